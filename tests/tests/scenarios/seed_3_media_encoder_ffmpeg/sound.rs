//! Row 3.3: sound of every kind to every container.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_3_sound_goes_to_every_container() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let stream = |rate, channels| AudioStreamOptions::new(rate, channels);
    for (name, options, codec, rate, channels) in [
        ("same.wav", stream(22_050, 1), "pcm_s16le", 22_050, 1),
        (
            "deep.wav",
            stream(8_000, 2).encoder("pcm_s24le"),
            "pcm_s24le",
            8_000,
            2,
        ),
        ("same.mp3", stream(16_000, 2), "mp3", 16_000, 2),
        ("other.mp3", stream(37_000, 1), "mp3", 44_100, 1),
        (
            "named.mp3",
            stream(16_000, 2)
                .encoder_sample_rate(32_000)
                .encoder_num_channels(1),
            "mp3",
            32_000,
            1,
        ),
        ("lossless.flac", stream(44_100, 2), "flac", 44_100, 2),
        (
            "vorbis.ogg",
            stream(44_100, 2).encoder("libvorbis"),
            "vorbis",
            44_100,
            2,
        ),
        (
            "own.opus",
            stream(16_000, 1).encoder("opus"),
            "opus",
            48_000,
            1,
        ),
        (
            "lib.opus",
            stream(16_000, 1).encoder("libopus"),
            "opus",
            48_000,
            1,
        ),
        ("six.ac3", stream(48_000, 6), "ac3", 48_000, 6),
        ("air.g722", stream(48_000, 2), "adpcm_g722", 16_000, 1),
    ] {
        let path = folder.path().join(name);
        sound_file(&path, options, &[]).await;
        let probe = media::probe(&path);
        let sound = probe.audio();
        assert_eq!(sound.codec, codec, "{name}");
        assert_eq!(
            (sound.sample_rate, sound.channels),
            (rate, channels),
            "{name}"
        );
        media::decode_sound_without_errors(&path);
        if let Some(duration_us) = probe.duration_us {
            assert!(
                (950_000..1_110_000).contains(&duration_us),
                "{name}: {duration_us} us"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_3_raw_sound_is_what_was_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sound.raw");
    let samples: Vec<i16> = (0..20_000).map(|n| (n * 7 % 30_011) as i16).collect();
    let mut encoder = StreamingMediaEncoder::new(path.as_path()).format("s16le");
    let options = AudioStreamOptions::new(8_000, 2).format(SampleFormat::S16);
    encoder.add_audio_stream(options).expect("a stream");
    encoder.open_default().await.expect("opened");
    for part in samples.chunks(6_000) {
        let chunk = AudioChunk::new(part.to_vec(), [part.len() / 2, 2]).expect("a chunk");
        encoder
            .write_audio_chunk(0, chunk, None)
            .await
            .expect("written");
    }
    encoder.close().await.expect("closed");
    let wanted: Vec<u8> = samples.iter().flat_map(|one| one.to_le_bytes()).collect();
    assert!(std::fs::read(&path).expect("there") == wanted);
}
