//! A path, an address or anything that can be written to, in pieces of the size asked for.
//! Addresses are in `seed_3_5_open`.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use livekit_stream::output::media::{
    AudioChunk, AudioStreamOptions, Destination, MediaEncoderError, StreamingMediaEncoder,
    VideoChunk, VideoStreamOptions,
};
use tokio::io::AsyncWrite;

use crate::encoder_kit::{
    assert_decodes, colours, has_ffmpeg, packed, pictures, probe, psnr, read, times,
};

const SIZE: (usize, usize) = (160, 96);

/// Two seconds of pictures and sound.
async fn write(mut encoder: StreamingMediaEncoder) -> Result<(), MediaEncoderError> {
    let (width, height) = SIZE;
    let sound = encoder.add_audio_stream(AudioStreamOptions::new(48_000, 2))?;
    let video =
        encoder.add_video_stream(VideoStreamOptions::new(25.0, width as u32, height as u32))?;
    encoder.open_default().await?;
    for second in 0..2 {
        let samples = vec![0.1_f32; 2 * 48_000];
        let chunk = AudioChunk::new(samples, [48_000, 2])?;
        encoder.write_audio_chunk(sound, chunk, None).await?;
        let planes = (0..25).flat_map(|n| colours(25 * second + n, width, height));
        let chunk = VideoChunk::new(planes.collect::<Vec<u8>>(), [25, 3, height, width])?;
        encoder.write_video_chunk(video, chunk, None).await?;
    }
    encoder.close().await
}

#[tokio::test]
async fn a_path_and_its_end_that_names_the_container() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, format) in [
        ("film.mp4", "mov,mp4,m4a,3gp,3g2,mj2"),
        ("film.flv", "flv"),
        ("film.mkv", "matroska,webm"),
    ] {
        let path = folder.path().join(name);
        write(StreamingMediaEncoder::new(&path)).await.unwrap();
        let file = read(&path);
        assert_decodes(&file);
        assert_eq!(
            probe("format=format_name", &file)[0].replace('"', ""),
            format
        );
        let video = times("v:0", &file);
        assert_eq!(video.len(), 50, "{name}");
        for (index, time) in video.iter().enumerate() {
            assert!(
                (time - index as f64 / 25.0).abs() < 0.001,
                "{name}: {index} at {time}"
            );
        }
        let sound = times("a:0", &file);
        let last = sound.last().unwrap();
        assert!(
            sound[0].abs() < 0.001 && (1.95..2.0).contains(last),
            "{name}: to {last}"
        );
        let shown = pictures(&file, SIZE.0, SIZE.1);
        for (index, picture) in shown.iter().enumerate() {
            let given = packed(&colours(index, SIZE.0, SIZE.1));
            let decibels = psnr(picture, &given);
            assert!(decibels > 30.0, "{name}: picture {index} {decibels} dB");
        }
    }
}

/// Keeps what it was given, piece by piece.
#[derive(Clone, Default)]
struct Pieces(Arc<Mutex<Vec<Vec<u8>>>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn writers_get_the_same_bytes_in_pieces_of_the_buffers_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    write(StreamingMediaEncoder::new(&path)).await.unwrap();
    let file = read(&path);
    for (is_async, size) in [(false, 4096), (true, 4096), (false, 1000), (true, 100_000)] {
        let pieces = Pieces::default();
        let destination = if is_async {
            Destination::async_writer(pieces.clone())
        } else {
            Destination::writer(pieces.clone())
        };
        let mut encoder = StreamingMediaEncoder::new(destination).format("mp4");
        if size != 4096 {
            encoder = encoder.buffer_size(size);
        }
        write(encoder).await.unwrap();
        let pieces = pieces.0.lock().unwrap();
        assert_eq!(pieces.concat(), file);
        let longest = pieces.iter().map(Vec::len).max().unwrap();
        assert!(longest <= size, "{longest} bytes at once");
        assert!(
            pieces.len() <= file.len() / size + 2,
            "{} pieces",
            pieces.len()
        );
    }
}

struct Broken;
impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("it is broken"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_an_error_that_names_it() {
    let error = write(StreamingMediaEncoder::new("/nonexistent/folder/film.mp4")).await;
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("cannot create /nonexistent/folder/film.mp4"),
        "{text}"
    );

    // Every write to this device says that the disk is full.
    let error = write(StreamingMediaEncoder::new("/dev/full").format("mp4")).await;
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("/dev/full") && text.contains("No space"),
        "{text}"
    );

    let encoder = StreamingMediaEncoder::new(Destination::writer(Broken)).format("flv");
    let text = write(encoder).await.unwrap_err().to_string();
    assert!(text.contains("it is broken"), "{text}");
}
