//! Sound of every sample type, rate and number of channels.

use livekit_stream::output::media::{
    AudioChunk, AudioStreamOptions, CodecConfig, MediaBackend, MediaEncoderError, SampleFormat,
    Samples, StreamingMediaEncoder,
};

use crate::encoder_kit::{
    assert_decodes, has_ffmpeg, level, probe, read, share_of_tone, sound, times, tone,
};

/// A second of 440 Hz in this type, the same in all channels.
fn chunk(format: SampleFormat, rate: u32, channels: usize) -> AudioChunk {
    let frames = rate as usize;
    let tone = tone(rate, frames);
    let all = tone
        .iter()
        .flat_map(|sample| std::iter::repeat_n(*sample, channels));
    let samples: Samples = match format {
        SampleFormat::U8 => all
            .map(|s| (s * 127.0 + 128.0) as u8)
            .collect::<Vec<_>>()
            .into(),
        SampleFormat::S16 => all
            .map(|s| (s * 32_767.0) as i16)
            .collect::<Vec<_>>()
            .into(),
        SampleFormat::S32 => all
            .map(|s| (s * 2_147_483_647.0) as i32)
            .collect::<Vec<_>>()
            .into(),
        SampleFormat::S64 => all
            .map(|s| (s * 9.223e18) as i64)
            .collect::<Vec<_>>()
            .into(),
        SampleFormat::Flt => all.map(|s| s as f32).collect::<Vec<_>>().into(),
        _ => all.collect::<Vec<f64>>().into(),
    };
    AudioChunk::new(samples, [frames, channels]).unwrap()
}

async fn encode(
    name: &str,
    options: AudioStreamOptions,
    seconds: usize,
) -> Result<Vec<u8>, MediaEncoderError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut encoder = StreamingMediaEncoder::new(&path).backend(MediaBackend::Native);
    let index = encoder.add_audio_stream(options.clone())?;
    encoder.open_default().await?;
    for _ in 0..seconds {
        let chunk = chunk(
            options.format,
            options.sample_rate,
            options.num_channels as usize,
        );
        encoder.write_audio_chunk(index, chunk, None).await?;
    }
    encoder.close().await?;
    Ok(read(&path))
}

/// The tone is there, at its level, and nothing else.
fn assert_tone(file: &[u8], seconds: f64, label: &str) {
    assert_decodes(file);
    let heard = sound(file, 48_000);
    let lasts = heard.len() as f64 / 48_000.0;
    assert!((lasts - seconds).abs() < 0.05, "{label}: {lasts} s");
    let middle = &heard[4_800..heard.len() - 9_600];
    let share = share_of_tone(middle, 48_000, 440.0);
    assert!(share > 0.98, "{label}: {share} of the power");
    let level = level(middle);
    // Half of full scale's sine.
    assert!((level - 0.3536).abs() < 0.02, "{label}: level {level}");
}

#[tokio::test]
async fn every_sample_type_is_the_same_sound() {
    if !has_ffmpeg() {
        return;
    }
    for format in [
        SampleFormat::U8,
        SampleFormat::S16,
        SampleFormat::S32,
        SampleFormat::S64,
        SampleFormat::Flt,
        SampleFormat::Dbl,
    ] {
        for (name, codec) in [("sound.mp4", "aac"), ("sound.webm", "opus")] {
            let options = AudioStreamOptions::new(48_000, 2).format(format);
            let file = encode(name, options, 1).await.unwrap();
            assert_eq!(
                probe("stream=codec_name,sample_rate,channels", &file),
                [format!("{codec},48000,2")]
            );
            assert_tone(&file, 1.0, &format!("{format} as {codec}"));
        }
    }
}

#[tokio::test]
async fn rates_and_channels_are_the_encoders_where_it_takes_them() {
    if !has_ffmpeg() {
        return;
    }
    let stream = AudioStreamOptions::new;
    for (name, options, encoded) in [
        ("s.mp4", stream(16_000, 1), "aac,16000,1"),
        ("s.mp4", stream(44_100, 2), "aac,44100,2"),
        // AAC has no such rate, and nothing here has five channels.
        ("s.mp4", stream(50_000, 5), "aac,48000,2"),
        ("s.webm", stream(44_100, 1), "opus,48000,1"),
        ("s.mp4", stream(48_000, 2).encoder("opus"), "opus,48000,2"),
        (
            "s.flv",
            stream(48_000, 2)
                .encoder_sample_rate(22_050)
                .encoder_num_channels(1),
            "aac,22050,1",
        ),
        (
            "s.mkv",
            stream(8_000, 1).encoder_num_channels(2).encoder("libopus"),
            "opus,48000,2",
        ),
    ] {
        let file = encode(name, options, 2).await.unwrap();
        assert_eq!(
            probe("stream=codec_name,sample_rate,channels", &file),
            [encoded]
        );
        assert_tone(&file, 2.0, encoded);
        let times = times("a:0", &file);
        assert!(times[0].abs() < 0.001, "{encoded} starts at {}", times[0]);
    }
}

#[tokio::test]
async fn what_an_encoder_or_a_container_does_not_take_is_said() {
    let stream = || AudioStreamOptions::new(48_000, 2);
    for (name, options, message) in [
        ("s.flv", stream().encoder("opus"), "FLV does not hold Opus"),
        ("s.webm", stream().encoder("aac"), "WebM does not hold AAC"),
        (
            "s.mp4",
            stream().encoder("flac"),
            "audio stream 0: the encoder flac needs FFmpeg's",
        ),
        (
            "s.mp4",
            stream().filter_desc("atempo=2"),
            "audio stream 0: filter_desc needs FFmpeg's",
        ),
        (
            "s.mp4",
            stream().encoder_format("fltp"),
            "the sample format fltp needs FFmpeg's",
        ),
        (
            "s.mp4",
            stream().encoder_option("aac_coder", "fast"),
            "option aac_coder needs FFmpeg's",
        ),
        (
            "s.mp4",
            stream().encoder_sample_rate(47_000),
            "sample_rate = 47000 is out of range",
        ),
        (
            "s.mp4",
            stream().encoder_num_channels(5),
            "num_channels = 5 is out of range",
        ),
        (
            "s.mp4",
            stream().codec_config(CodecConfig::new().bit_rate(5)),
            "bit_rate = 5 is out of range",
        ),
    ] {
        let text = encode(name, options, 1).await.unwrap_err().to_string();
        assert!(text.contains(message), "{text}");
    }
    // Encoders that have no threads take no notice.
    encode("s.mp4", stream().encoder_option("threads", "4"), 1)
        .await
        .unwrap();
}
