//! The wrong order of calls, index, type, shape: each an error that names the stream and both
//! sides, after which the right call still works.

use livekit_stream::frame::{AudioFrame, VideoFormat, VideoFrame};
use livekit_stream::output::media::{
    AudioChunk, AudioStreamOptions, Destination, MediaEncoderError, PixelFormat, SampleFormat,
    StreamingMediaEncoder, VideoChunk, VideoStreamOptions,
};

fn encoder() -> StreamingMediaEncoder {
    StreamingMediaEncoder::new(Destination::writer(std::io::sink())).format("mp4")
}

/// Sound in stream 0, pictures in stream 1.
fn both() -> StreamingMediaEncoder {
    let mut encoder = encoder();
    let sound = AudioStreamOptions::new(48_000, 2);
    assert_eq!(encoder.add_audio_stream(sound).unwrap(), 0);
    let pictures = VideoStreamOptions::new(30.0, 32, 16);
    assert_eq!(encoder.add_video_stream(pictures).unwrap(), 1);
    encoder
}

fn sound() -> AudioChunk {
    AudioChunk::new(vec![0.0_f32; 20], [10, 2]).unwrap()
}

fn picture() -> VideoChunk {
    VideoChunk::new(vec![0; 3 * 16 * 32], [1, 3, 16, 32]).unwrap()
}

fn text<T: std::fmt::Debug>(result: Result<T, MediaEncoderError>) -> String {
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn calls_out_of_order() {
    let mut empty = encoder();
    let error = text(empty.open_default().await.map(|_| ()));
    assert_eq!(
        error,
        "open without a stream: add an audio or a video stream first"
    );

    let mut encoder = both();
    let error = text(encoder.write_audio_chunk(0, sound(), None).await);
    assert_eq!(error, "write_audio_chunk before open");
    let error = text(encoder.write_video_chunk(1, picture(), None).await);
    assert_eq!(error, "write_video_chunk before open");
    assert_eq!(text(encoder.flush().await), "flush before open");
    assert_eq!(text(encoder.close().await), "close before open");

    encoder.open_default().await.unwrap();
    assert_eq!(
        text(encoder.open_default().await.map(|_| ())),
        "open after open"
    );
    let stream = AudioStreamOptions::new(48_000, 2);
    assert_eq!(
        text(encoder.add_audio_stream(stream)),
        "add_audio_stream after open"
    );
    let stream = VideoStreamOptions::new(30.0, 32, 16);
    assert_eq!(
        text(encoder.add_video_stream(stream)),
        "add_video_stream after open"
    );
    assert_eq!(
        text(encoder.set_metadata([("a", "b")])),
        "set_metadata after open"
    );
    encoder.write_audio_chunk(0, sound(), None).await.unwrap();
    encoder.write_video_chunk(1, picture(), None).await.unwrap();

    encoder.close().await.unwrap();
    assert_eq!(text(encoder.close().await), "close after close");
    assert_eq!(text(encoder.flush().await), "flush after close");
    let error = text(encoder.write_audio_chunk(0, sound(), None).await);
    assert_eq!(error, "write_audio_chunk after close");
    assert_eq!(
        text(encoder.open_default().await.map(|_| ())),
        "open after close"
    );
}

#[tokio::test]
async fn a_failed_opening_is_final() {
    let mut encoder = StreamingMediaEncoder::new("/nonexistent/film.mp4");
    encoder
        .add_video_stream(VideoStreamOptions::new(30.0, 32, 16))
        .unwrap();
    assert!(encoder.open_default().await.is_err());
    assert_eq!(
        text(encoder.open_default().await.map(|_| ())),
        "open after close"
    );
    let error = text(encoder.write_video_chunk(0, picture(), None).await);
    assert_eq!(error, "write_video_chunk before open");
}

#[tokio::test]
async fn a_wrong_stream() {
    let mut encoder = both();
    encoder.open_default().await.unwrap();
    let error = text(encoder.write_audio_chunk(2, sound(), None).await);
    assert_eq!(error, "stream 2 does not exist: there are 2 streams");
    let error = text(encoder.write_audio_chunk(1, sound(), None).await);
    assert_eq!(
        error,
        "stream 1 is video stream 1: write_audio_chunk does not write to it"
    );
    let error = text(encoder.write_video_chunk(0, picture(), None).await);
    assert_eq!(
        error,
        "stream 0 is audio stream 0: write_video_chunk does not write to it"
    );
}

#[tokio::test]
async fn a_wrong_type_or_shape() {
    let mut encoder = both();
    encoder.open_default().await.unwrap();

    let bytes = AudioChunk::new(vec![0_u8; 20], [10, 2]).unwrap();
    let error = text(encoder.write_audio_chunk(0, bytes, None).await);
    assert_eq!(error, "audio stream 0 takes flt samples, not u8");
    let frame = AudioFrame {
        samples: vec![0; 20],
        sample_rate: 48_000,
        num_channels: 2,
        timestamp_us: 0,
    };
    let error = text(encoder.write_audio_chunk(0, frame, None).await);
    assert_eq!(error, "audio stream 0 takes flt samples, not s16");
    let mono = AudioChunk::new(vec![0.0_f32; 10], [10, 1]).unwrap();
    let error = text(encoder.write_audio_chunk(0, mono, None).await);
    assert_eq!(
        error,
        "audio stream 0 takes chunks of (frame, 2), not (10, 1)"
    );

    let grey = VideoChunk::new(vec![0; 16 * 32], [1, 1, 16, 32]).unwrap();
    let error = text(encoder.write_video_chunk(1, grey, None).await);
    assert_eq!(
        error,
        "video stream 1 takes chunks of (time, 3, 16, 32), not (1, 1, 16, 32)"
    );
    let turned = VideoChunk::new(vec![0; 2 * 3 * 16 * 32], [2, 3, 32, 16]).unwrap();
    let error = text(encoder.write_video_chunk(1, turned, None).await);
    assert_eq!(
        error,
        "video stream 1 takes chunks of (time, 3, 16, 32), not (2, 3, 32, 16)"
    );
    let large = VideoFrame::blank(VideoFormat::I420, 64, 16).unwrap();
    let error = text(encoder.write_video_chunk(1, large, None).await);
    assert_eq!(error, "video stream 1 takes 32x16 pictures, not 64x16");

    // None of it is in the way of what is right.
    encoder.write_audio_chunk(0, sound(), None).await.unwrap();
    encoder.write_video_chunk(1, picture(), None).await.unwrap();
    encoder.close().await.unwrap();

    let error = text(AudioChunk::new(vec![0.0_f32; 5], [3, 2]));
    assert_eq!(error, "a chunk of [3, 2] holds 6 values, 5 were given");
    let error = text(VideoChunk::new(vec![0; 5], [1, 1, 2, 2]));
    assert_eq!(
        error,
        "a chunk of [1, 1, 2, 2] holds 4 values, 5 were given"
    );
    assert!(VideoChunk::new(vec![0; 5], [usize::MAX, 3, 2, 2]).is_err());
}

#[tokio::test]
async fn a_format_without_arrays() {
    let mut encoder = encoder();
    let stream = VideoStreamOptions::new(30.0, 32, 16).format(PixelFormat::Yuv420p);
    encoder.add_video_stream(stream).unwrap();
    encoder.open_default().await.unwrap();
    let error = text(encoder.write_video_chunk(0, picture(), None).await);
    assert_eq!(
        error,
        "video stream 0 of yuv420p takes VideoFrames, not chunks of (time, channel, height, width)"
    );
}

#[test]
fn names_and_numbers_that_nobody_takes() {
    let error = text("s24".parse::<SampleFormat>());
    assert_eq!(
        error,
        "format = \"s24\" cannot be used: u8, s16, s32, s64, flt, dbl"
    );
    assert_eq!("bgr24".parse::<PixelFormat>().unwrap(), PixelFormat::Bgr24);
    assert!("nv12".parse::<PixelFormat>().is_err());

    let mut encoder = encoder();
    let error = text(encoder.add_audio_stream(AudioStreamOptions::new(0, 2)));
    assert_eq!(
        error,
        "audio stream 0: sample_rate = \"0\" cannot be used: 4000 to 384000 Hz"
    );
    let error = text(encoder.add_audio_stream(AudioStreamOptions::new(48_000, 0)));
    assert_eq!(
        error,
        "audio stream 0: num_channels = \"0\" cannot be used: 1 to 32"
    );
    let error = text(encoder.add_video_stream(VideoStreamOptions::new(f64::NAN, 32, 16)));
    assert!(error.contains("frame_rate = \"NaN\""), "{error}");
    let error = text(encoder.add_video_stream(VideoStreamOptions::new(30.0, 0, 16)));
    assert!(error.contains("width = \"0\""), "{error}");
}
