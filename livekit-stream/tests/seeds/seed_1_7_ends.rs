//! Row 1.7: dropping the stream closes the source; the end of the input, wherever it is, flushes the
//! last fragment.

use std::fs;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::executor::block_on;
use futures::{Stream, StreamExt, stream};
use livekit_stream::demux::mkv::MkvError;
use livekit_stream::pipeline::mkv::{TranscodeError, TranscodeOptions, transcode_mkv};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::kit::{Folder, boxes, collect, decoded, has_ffmpeg, hashes, packets, transcode};
use crate::matroska::split;

const OPTIONS: &str = "-c:v libx264 -preset veryfast -bf 2 -g 25 -c:a aac";

/// A source that tells how much of it was taken and when it is dropped.
struct Watched {
    pieces: std::vec::IntoIter<Bytes>,
    taken: Arc<AtomicUsize>,
    dropped: Arc<AtomicBool>,
}

impl Watched {
    fn new(file: &[u8]) -> (Self, Arc<AtomicUsize>, Arc<AtomicBool>) {
        let (taken, dropped) = <(Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let pieces: Vec<_> = file.chunks(4_096).map(Bytes::copy_from_slice).collect();
        let watched = Self {
            pieces: pieces.into_iter(),
            taken: taken.clone(),
            dropped: dropped.clone(),
        };
        (watched, taken, dropped)
    }
}

impl Stream for Watched {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(self.pieces.next().map(Ok))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

#[test]
fn seed_1_7_dropping_the_stream_closes_the_source() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let file = fs::read(folder.film("in.mkv", 8, OPTIONS)).unwrap();
        let (source, taken, dropped) = Watched::new(&file);
        let mut mp4 = transcode_mkv(source, TranscodeOptions::default()).unwrap();
        for _ in 0..2 {
            block_on(mp4.next()).unwrap().unwrap();
        }
        // Nothing is read ahead of what is asked for.
        assert!(taken.load(Ordering::Relaxed) * 4_096 < file.len() * 2 / 3);
        assert!(!dropped.load(Ordering::Relaxed));
        drop(mp4);
        assert!(dropped.load(Ordering::Relaxed));
        // So does the longest duration, before the stream itself is dropped.
        let (source, _, dropped) = Watched::new(&file);
        let mut options = TranscodeOptions::default();
        options.max_duration_ms = Some(1_000.0);
        let mut mp4 = transcode_mkv(source, options).unwrap();
        assert_eq!(
            collect(&mut mp4).map_err(|(_, error)| error).unwrap().len(),
            2
        );
        assert!(dropped.load(Ordering::Relaxed));
    }
}

#[test]
fn seed_1_7_an_input_cut_anywhere_gives_all_that_is_whole() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let path = folder.film("in.mkv", 4, OPTIONS);
        let file = fs::read(&path).unwrap();
        let header = split(&file).0.len();
        let (pieces, _) = transcode(&file, TranscodeOptions::default()).unwrap();
        let all = packets(&folder.write("all.mp4", &pieces.concat()), "v");
        let mut random = StdRng::seed_from_u64(7);
        for round in 0..100 {
            let length = random.random_range(0..file.len());
            match transcode(&file[..length], TranscodeOptions::default()) {
                Ok((pieces, stats)) => {
                    assert_eq!(boxes(&pieces[0]), ["ftyp", "moov"], "{length} bytes");
                    assert!(
                        pieces[1..]
                            .iter()
                            .all(|piece| boxes(piece) == ["moof", "mdat"])
                    );
                    // ffprobe is asked now and then: a hundred times would take a minute.
                    if round % 10 == 0 && stats.video_frames > 0 {
                        let cut = folder.write("cut.mp4", &pieces.concat());
                        let some = packets(&cut, "v");
                        assert_eq!(some.len() as u64, stats.video_frames);
                        assert_eq!(hashes(&some), hashes(&all)[..some.len()], "{length} bytes");
                        decoded(&cut);
                    }
                }
                Err(TranscodeError::Mkv(MkvError::TruncatedHeader { bytes })) => {
                    assert_eq!(bytes, length as u64);
                    assert!(length < header);
                }
                Err(error) => panic!("{length} bytes: {error}"),
            }
        }
    }
}

#[test]
fn seed_1_7_what_came_before_the_source_failed_is_written() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let file = fs::read(folder.film("in.mkv", 4, OPTIONS)).unwrap();
        let pieces = [
            Ok(Bytes::copy_from_slice(&file[..file.len() / 2])),
            Err(io::Error::other("the network is gone")),
        ];
        let mut mp4 = transcode_mkv(stream::iter(pieces), TranscodeOptions::default()).unwrap();
        let (written, error) = collect(&mut mp4).unwrap_err();
        assert_eq!(error.to_string(), "the source failed: the network is gone");
        let path = folder.write("out.mp4", &written.concat());
        assert!(decoded(&path).len() > 30);
    }
}
