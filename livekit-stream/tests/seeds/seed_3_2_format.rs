//! The container by name, in place of what the destination's name says.

use livekit_stream::output::media::{
    AudioChunk, AudioStreamOptions, Destination, MediaBackend, MediaEncoderError,
    StreamingMediaEncoder,
};

use crate::encoder_kit::{assert_decodes, has_ffmpeg, probe, read};

async fn write(mut encoder: StreamingMediaEncoder) -> Result<(), MediaEncoderError> {
    let sound = encoder.add_audio_stream(AudioStreamOptions::new(48_000, 1))?;
    encoder.open_default().await?;
    let chunk = AudioChunk::new(vec![0.1_f32; 48_000], [48_000, 1])?;
    encoder.write_audio_chunk(sound, chunk, None).await?;
    encoder.close().await
}

#[tokio::test]
async fn the_format_given_counts_more_than_the_name() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, format, container, codec) in [
        ("sound.flv", "mp4", "mov,mp4,m4a,3gp,3g2,mj2", "aac"),
        ("sound.bin", "flv", "flv", "aac"),
        ("sound", "matroska", "matroska,webm", "aac"),
        ("sound.mp4", "webm", "matroska,webm", "opus"),
    ] {
        let path = folder.path().join(name);
        write(StreamingMediaEncoder::new(&path).format(format))
            .await
            .unwrap();
        let file = read(&path);
        assert_decodes(&file);
        assert_eq!(
            probe("format=format_name", &file)[0].replace('"', ""),
            container
        );
        assert_eq!(probe("stream=codec_name", &file), [codec]);
    }
}

#[tokio::test]
async fn without_a_name_and_a_format_nothing_is_guessed() {
    let text = write(StreamingMediaEncoder::new("sound"))
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(text, "no container is known for sound: set the format");
    let encoder = StreamingMediaEncoder::new(Destination::writer(Vec::new()));
    let text = write(encoder).await.unwrap_err().to_string();
    assert_eq!(text, "no container is known for a writer: set the format");
}

#[tokio::test]
async fn what_only_ffmpeg_has_names_the_feature() {
    for (destination, format, what) in [
        ("sound.ogg", None, "the container ogg"),
        ("-", Some("sdl"), "the container sdl"),
        ("udp://127.0.0.1:9", Some("mpegts"), "a udp:// address"),
        (
            "rtmp://localhost/live/secret",
            Some("mpegts"),
            "mpegts to an RTMP server",
        ),
    ] {
        let mut encoder = StreamingMediaEncoder::new(destination).backend(MediaBackend::Native);
        if let Some(format) = format {
            encoder = encoder.format(format);
        }
        let error = write(encoder).await.unwrap_err();
        assert!(
            matches!(error, MediaEncoderError::NeedsFfmpeg { .. }),
            "{error}"
        );
        assert_eq!(
            error.to_string(),
            format!(
                "{what} needs FFmpeg's libraries: build livekit-stream with its feature `ffmpeg`"
            )
        );
    }
}

#[test]
fn a_destination_tells_no_secret() {
    for (destination, shown) in [
        (
            "rtmp://user:secret@localhost/live/secret",
            "rtmp://localhost/live/***",
        ),
        ("srt://localhost:1?passphrase=secret", "srt://***"),
        ("film.mp4", "film.mp4"),
    ] {
        let shown_now = Destination::from(destination).to_string();
        assert!(!shown_now.contains("secret"), "{shown_now}");
        if !destination.contains('@') {
            assert_eq!(shown_now, shown);
        }
    }
}
