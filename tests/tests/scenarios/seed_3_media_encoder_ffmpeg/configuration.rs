//! Rows 3.6 to 3.8: times, configured encoders, and what is refused.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_6_times_are_truncated_to_the_streams_rate() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("times.mkv");
    let mut encoder = StreamingMediaEncoder::new(path.as_path()).backend(MediaBackend::Ffmpeg);
    let options = VideoStreamOptions::new(10.0, 64, 48).encoder("ffv1");
    encoder.add_video_stream(options).expect("a stream");
    encoder
        .add_audio_stream(AudioStreamOptions::new(16_000, 1).encoder("flac"))
        .expect("a stream");
    encoder.open_default().await.expect("opened");
    for pts in [Some(0.0), None, Some(0.77), None] {
        encoder
            .write_video_chunk(0, red_and_blue(1), pts)
            .await
            .expect("written");
    }
    encoder
        .write_audio_chunk(1, tone(16_000, 1, 0.5), Some(0.5))
        .await
        .expect("written");
    encoder.flush().await.expect("flushed");
    encoder.close().await.expect("closed");
    let probe = media::probe(&path);
    let times = |stream| -> Vec<i64> {
        let packets = probe.packets_of(stream);
        packets.iter().filter_map(|one| one.pts_us).collect()
    };
    assert_eq!(times(probe.video()), [0, 100_000, 700_000, 800_000]);
    assert_eq!(times(probe.audio())[0], 500_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_7_encoders_are_configured() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let length = |path: &PathBuf| std::fs::metadata(path).expect("there").len();
    let configured = |change: fn(&mut CodecConfig)| {
        let mut config = CodecConfig::default();
        change(&mut config);
        config
    };
    let mut lengths = Vec::new();
    for (name, config) in [
        (
            "thin.mp3",
            configured(|config| config.bit_rate = Some(32_000)),
        ),
        (
            "thick.mp3",
            configured(|config| config.bit_rate = Some(160_000)),
        ),
        ("best.mp3", configured(|config| config.qscale = Some(0))),
        ("worst.mp3", configured(|config| config.qscale = Some(9))),
        (
            "hard.flac",
            configured(|config| config.compression_level = Some(12)),
        ),
        (
            "easy.flac",
            configured(|config| config.compression_level = Some(0)),
        ),
    ] {
        let path = folder.path().join(name);
        let options = AudioStreamOptions::new(48_000, 2).codec_config(config);
        sound_file(&path, options, &[]).await;
        lengths.push(length(&path));
    }
    println!("{lengths:?}");
    assert!(lengths[1] > 3 * lengths[0]);
    assert!(lengths[2] > lengths[3]);
    assert!(lengths[4] < lengths[5]);

    let path = folder.path().join("groups.mp4");
    let config = configured(|config| {
        config.gop_size = Some(4);
        config.max_b_frames = Some(0);
    });
    let options = VideoStreamOptions::new(25.0, 64, 48)
        .encoder("libx264")
        .codec_config(config);
    pictures(&path, options, 20).await;
    let probe = media::probe(&path);
    let packets = probe.packets_of(probe.video());
    let keyframes = packets.iter().filter(|one| one.keyframe).count();
    assert_eq!(keyframes, 5);
    assert!(
        packets.iter().all(|one| one.pts_us == one.dts_us),
        "no B-frames"
    );
}

async fn refused(
    dst: &str,
    format: Option<&str>,
    sound: Option<AudioStreamOptions>,
    video: Option<VideoStreamOptions>,
) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut encoder =
        StreamingMediaEncoder::new(folder.path().join(dst).as_path()).backend(MediaBackend::Ffmpeg);
    if let Some(format) = format {
        encoder = encoder.format(format);
    }
    if let Some(sound) = sound {
        encoder.add_audio_stream(sound).expect("a stream");
    }
    if let Some(video) = video {
        encoder.add_video_stream(video).expect("a stream");
    }
    encoder
        .open_default()
        .await
        .expect_err("refused")
        .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_8_what_cannot_be_is_told_with_what_can() {
    let sound = || AudioStreamOptions::new(44_100, 2);
    let video = || VideoStreamOptions::new(25.0, 64, 48);
    for (error, parts) in [
        (
            refused("a.xyz", None, Some(sound()), None).await,
            vec!["a.xyz", "set the format"],
        ),
        (
            refused("a", Some("nothing"), Some(sound()), None).await,
            vec!["nothing", "get_muxers()"],
        ),
        (
            refused("a.wav", None, Some(sound().encoder("nothing")), None).await,
            vec!["audio stream 0", "nothing", "get_audio_encoders()"],
        ),
        (
            refused("a.mp4", None, None, Some(video().encoder("libopus"))).await,
            vec!["libopus", "get_video_encoders()"],
        ),
        (
            refused("a.wav", None, None, Some(video())).await,
            vec!["video stream 0"],
        ),
        (
            refused(
                "a.opus",
                None,
                Some(sound().encoder("libopus").encoder_sample_rate(44_100)),
                None,
            )
            .await,
            vec!["44100", "48000"],
        ),
        (
            refused("a.mp3", None, Some(sound().encoder_num_channels(6)), None).await,
            vec!["6", "libmp3lame takes"],
        ),
        (
            refused(
                "a.mp4",
                None,
                None,
                Some(video().encoder("libx264").encoder_format("rgb24")),
            )
            .await,
            vec!["rgb24", "yuv420p"],
        ),
        (
            refused(
                "a.mp4",
                None,
                None,
                Some(video().encoder("libx264").encoder_option("no_such", "1")),
            )
            .await,
            vec!["no_such", "libx264"],
        ),
        (
            refused(
                "a.mp4",
                None,
                None,
                Some(video().filter_desc("no_such_filter")),
            )
            .await,
            vec!["no_such_filter"],
        ),
        (
            refused("a.mp4", None, None, Some(video().hw_accel("warp:0"))).await,
            vec!["warp:0", "knows no such device", "there are"],
        ),
    ] {
        for part in parts {
            let no_device = part == "there are" && error.contains("no device of this machine");
            assert!(
                error.contains(part) || no_device,
                "{error:?} without {part:?}"
            );
        }
    }
}
