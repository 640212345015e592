//! Publishing H.265, AV1, VP9 and Opus as they are to servers that take Enhanced RTMP.

use std::path::Path;
use std::process::Command;

use livekit_stream::codec::{Codec, MediaKind};
use livekit_stream::demux::flv::{Demuxer, Item, TagReader};
use livekit_stream::frame::EncodedFrame;
use livekit_stream::input::RtmpListener;
use livekit_stream::mux::AudioTrack;
use livekit_stream::output::rtmp::{
    EnhancedRtmp, PublishError, PublisherOptions, PublisherStats, RtmpPublisher,
};

use crate::rtmp_kit::*;

const ENCODERS: [(Codec, &str); 3] = [
    (
        Codec::H265,
        "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=0:pools=1",
    ),
    (Codec::Av1, "-c:v libaom-av1 -usage realtime -cpu-used 8"),
    (Codec::Vp9, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"),
];

/// A second of pictures and Opus as FFmpeg writes it to `file`, and read back.
fn clip(program: &Path, file: &Path, encode: &str) -> Vec<EncodedFrame> {
    let status = Command::new(program)
        .args("-v error -y -f lavfi -i testsrc2=size=320x180:rate=25".split_whitespace())
        .args("-f lavfi -i sine -ac 2".split_whitespace())
        .args(encode.split_whitespace())
        .args("-pix_fmt yuv420p -g 25 -c:a libopus -ar 48000 -t 1 -f flv".split_whitespace())
        .arg(file)
        .status()
        .unwrap();
    assert!(status.success());
    let mut frames = read(file);
    // Sound before the first picture is left out.
    let first = frames
        .iter()
        .find(|frame| frame.codec.kind() == MediaKind::Video);
    let start_us = first.unwrap().timestamp_us;
    frames.retain(|frame| frame.timestamp_us >= start_us);
    frames
}

/// The frames of an FLV file.
fn read(file: &Path) -> Vec<EncodedFrame> {
    let (mut reader, mut demuxer) = (TagReader::default(), Demuxer::default());
    reader.push(&std::fs::read(file).unwrap());
    let mut items = Vec::new();
    while let Some(tag) = reader.next_tag().unwrap() {
        demuxer
            .push(tag.kind, tag.timestamp_ms, &tag.body, &mut items)
            .unwrap();
    }
    let frames = items.into_iter().filter_map(|item| match item {
        Item::Frame(frame) => Some(frame.frame),
        _ => None,
    });
    frames.collect()
}

/// The payloads of one kind are the same, bit for bit.
fn same(back: &[EncodedFrame], sent: &[EncodedFrame], kind: MediaKind, log: &str) {
    let of = |frames: &[EncodedFrame]| -> Vec<_> {
        let of_kind = frames.iter().filter(|frame| frame.codec.kind() == kind);
        of_kind.map(|frame| frame.data.clone()).collect()
    };
    let (back, sent) = (of(back), of(sent));
    let lengths =
        |frames: &[bytes::Bytes]| frames.iter().map(bytes::Bytes::len).collect::<Vec<_>>();
    assert_eq!(lengths(&back), lengths(&sent), "{log}");
    assert!(back == sent, "{log}");
}

fn enhanced(mode: EnhancedRtmp) -> PublisherOptions {
    let mut options = options();
    options.enhanced = mode;
    options
}

async fn publish(url: &str, frames: &[EncodedFrame], mode: EnhancedRtmp) -> PublisherStats {
    let mut options = enhanced(mode);
    // A server that is just being started.
    options.reconnect.first_connection = true;
    options.reconnect.max_attempts = 500;
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options).unwrap();
    publisher.set_audio_track(AudioTrack::opus(2));
    soon("publishing", publisher.published()).await.unwrap();
    pace(frames, 2, |frame| publisher.send(frame).unwrap()).await;
    publisher.close().await
}

#[tokio::test]
async fn ffmpeg_takes_them_when_asked_to_send_always() {
    let Some(program) = ffmpeg_enhanced() else {
        return;
    };
    for (codec, encode) in ENCODERS {
        let dir = tempfile::tempdir().unwrap();
        let sent = dir.path().join("sent.flv");
        let frames = clip(&program, &sent, encode);
        assert_eq!(
            frames.iter().filter(|frame| frame.codec == codec).count(),
            25
        );
        let port = free_port().await;
        let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
        let received = dir.path().join("received.flv");
        let log = dir.path().join("ffmpeg.log");
        let args = ["-listen", "1", "-i", &url, "-c", "copy", "-copyts"];
        let args = [&args[..], &[received.to_str().unwrap()]].concat();
        let mut server = start(&program, &args, &log);
        let stats = publish(&url, &frames, EnhancedRtmp::Always).await;
        server.ended().await;
        let log = std::fs::read_to_string(log).unwrap();
        assert_eq!(
            stats.video_frames_dropped + stats.audio_frames_dropped,
            0,
            "{stats:?}"
        );
        let back = read(&received);
        same(&back, &frames, MediaKind::Video, &log);
        same(&back, &frames, MediaKind::Audio, &log);
        let hashes = picture_hashes_by(&program, &received);
        assert!(
            hashes == picture_hashes_by(&program, &sent),
            "{codec}: {log}"
        );
    }
}

#[tokio::test]
async fn they_are_sent_to_a_server_that_announces_them() {
    let Some(program) = ffmpeg_enhanced() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let sent = dir.path().join("sent.flv");
    let frames = clip(&program, &sent, ENCODERS[0].1);
    let listener = RtmpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/{KEY}", listener.local_addr().unwrap());
    let received = dir.path().join("received.flv");
    let file = tokio::fs::File::create(&received).await.unwrap();
    let recording = tokio::spawn(async move {
        let mut publishers = listener.publishers(|request| request.is("live", KEY));
        let mut publisher = publishers.next().await.unwrap();
        publisher.record_flv(file).await.unwrap()
    });
    let stats = publish(&url, &frames, EnhancedRtmp::Announced).await;
    assert_eq!(
        stats.codecs,
        [
            Codec::H264,
            Codec::Aac,
            Codec::H265,
            Codec::Av1,
            Codec::Vp9,
            Codec::Opus
        ]
    );
    soon("the end", recording).await.unwrap();
    // Judged by another program than ours.
    let hashes = picture_hashes_by(&program, &received);
    assert!(hashes == picture_hashes_by(&program, &sent));
    same(&read(&received), &frames, MediaKind::Audio, "");
}

#[tokio::test]
async fn a_server_that_announces_nothing_gets_none_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_nginx, port)) = nginx(dir.path()).await else {
        return;
    };
    let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options()).unwrap();
    soon("publishing", publisher.published()).await.unwrap();
    assert_eq!(publisher.codecs().unwrap()[..], [Codec::H264, Codec::Aac]);
    let error = publisher
        .send(frame(Codec::H265, vec![0, 0, 0, 1, 0x26, 1], true, 0))
        .unwrap_err();
    assert!(
        matches!(
            &error,
            PublishError::NotAnnounced {
                codec: Codec::H265,
                ..
            }
        ),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("does not announce H.265") && !text.contains(KEY),
        "{text}"
    );
    publisher.send(keyframe(64, 48, 0)).unwrap();
    let stats = publisher.close().await;
    assert_eq!(
        (stats.video_frames_sent, stats.video_frames_dropped),
        (1, 1)
    );
    // Ruled out from the start.
    let never = RtmpPublisher::new(url.parse().unwrap(), enhanced(EnhancedRtmp::Never)).unwrap();
    let error = never
        .send(frame(Codec::Opus, vec![1], true, 0))
        .unwrap_err();
    assert!(
        matches!(error, PublishError::UnsupportedCodec { .. }),
        "{error}"
    );
}
