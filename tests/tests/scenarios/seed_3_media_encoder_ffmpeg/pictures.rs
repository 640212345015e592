//! Row 3.4: pictures, filters, formats and hardware.

use super::*;

/// The mean red of the left and of the right half.
fn red(path: &Path) -> (f64, f64) {
    let all = media::pictures(path);
    let (width, height) = (all[0].width, all[0].height);
    let mean = |left: usize| {
        let mut sum = 0.0;
        for y in 0..height {
            for x in left..left + width / 2 {
                sum += f64::from(all[0].rgb[(y * width + x) * 3]);
            }
        }
        sum / (width / 2 * height) as f64
    };
    (mean(0), mean(width / 2))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_4_pictures_go_to_every_container() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let stream = || VideoStreamOptions::new(25.0, 64, 48);
    for (name, options, codec, size, frames) in [
        ("loop.gif", stream(), "gif", (64, 48), 20),
        ("loop.apng", stream(), "apng", (64, 48), 20),
        (
            "film.mp4",
            stream()
                .encoder("libx264")
                .encoder_option("preset", "veryfast"),
            "h264",
            (64, 48),
            20,
        ),
        (
            "film.webm",
            stream()
                .encoder("libvpx-vp9")
                .encoder_option("deadline", "realtime"),
            "vp9",
            (64, 48),
            20,
        ),
        ("film.avi", stream(), "mpeg4", (64, 48), 20),
        (
            "large.mkv",
            stream()
                .encoder("libx265")
                .encoder_width(128)
                .encoder_height(96),
            "hevc",
            (128, 96),
            20,
        ),
        (
            "slow.mp4",
            stream().encoder("mpeg4").encoder_frame_rate(12.5),
            "mpeg4",
            (64, 48),
            10,
        ),
        (
            "nearest.mpg",
            VideoStreamOptions::new(24.5, 64, 48),
            "mpeg1video",
            (64, 48),
            20,
        ),
        (
            "lossless.mkv",
            stream().encoder("ffv1").encoder_format("bgr0"),
            "ffv1",
            (64, 48),
            20,
        ),
        (
            "threads.mp4",
            stream()
                .encoder("libx264")
                .encoder_option("threads", "2")
                .encoder_option("thread_type", "slice"),
            "h264",
            (64, 48),
            20,
        ),
    ] {
        let path = folder.path().join(name);
        pictures(&path, options, 20).await;
        let probe = media::probe(&path);
        let video = probe.video();
        assert_eq!(video.codec, codec, "{name}");
        assert_eq!((video.width, video.height), size, "{name}");
        media::decode_without_errors(&path);
        let shown = media::decoded_frames(&path);
        // Where the rate is another, one picture more or less.
        assert!(
            shown.abs_diff(frames)
                <= usize::from(name.starts_with("near") || name.starts_with("slow")),
            "{name}: {shown}"
        );
        let (left, right) = red(&path);
        assert!(left > 200.0 && right < 60.0, "{name}: {left} {right}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_4_filters_come_before_encoders() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mirrored.mp4");
    let options = VideoStreamOptions::new(25.0, 64, 48)
        .encoder("libx264")
        .filter_desc("hflip,scale=96:72");
    pictures(&path, options, 10).await;
    let (left, right) = red(&path);
    assert!(left < 60.0 && right > 200.0, "{left} {right}");
    assert_eq!(media::probe(&path).video().width, 96);

    let path = folder.path().join("soft.wav");
    let options = AudioStreamOptions::new(16_000, 1).filter_desc("volume=0.5,atempo=2.0");
    sound_file(&path, options, &[]).await;
    let duration_us = media::probe(&path).duration_us.expect("known");
    assert!(
        (450_000..560_000).contains(&duration_us),
        "{duration_us} us"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_4_every_pixel_format_is_taken() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let plane = |value: u8| vec![value; 48 * 64];
    let rgb = [plane(200), plane(40), plane(90)].concat();
    let bgr = [plane(90), plane(40), plane(200)].concat();
    let yuv = [plane(110), plane(110), plane(180)].concat();
    for (format, data, wanted) in [
        (PixelFormat::Gray8, plane(120), [120, 120, 120]),
        (PixelFormat::Rgb24, rgb, [200, 40, 90]),
        (PixelFormat::Bgr24, bgr, [200, 40, 90]),
        (PixelFormat::Yuv444p, yuv, [192, 74, 73]),
    ] {
        let path = folder.path().join(format!("{format}.mkv"));
        let options = VideoStreamOptions::new(10.0, 64, 48)
            .format(format)
            .encoder("ffv1");
        let mut encoder = StreamingMediaEncoder::new(path.as_path()).backend(MediaBackend::Ffmpeg);
        encoder.add_video_stream(options).expect("a stream");
        encoder.open_default().await.expect("opened");
        let channels = data.len() / (48 * 64);
        let chunk = VideoChunk::new(data, [1, channels, 48, 64]).expect("a chunk");
        encoder
            .write_video_chunk(0, chunk, None)
            .await
            .expect("written");
        encoder.close().await.expect("closed");
        let shown = &media::pictures(&path)[0];
        for (shown, wanted) in shown.rgb.iter().zip(wanted.iter().cycle()) {
            assert!(
                shown.abs_diff(*wanted) <= 4,
                "{format}: {:?}, not {wanted:?}",
                &shown
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_3_4_hardware_that_is_not_there_is_an_error_that_lists_what_is() {
    let video = VideoStreamOptions::new(25.0, 256, 256)
        .encoder("h264_nvenc")
        .hw_accel("cuda:0");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fast.mp4");
    let mut encoder = StreamingMediaEncoder::new(path.as_path());
    encoder.add_video_stream(video).expect("a stream");
    if let Err(error) = encoder.open_default().await {
        let text = error.to_string();
        assert!(
            text.contains("cuda:0") || text.contains("h264_nvenc"),
            "{text}"
        );
        assert!(
            text.contains("there are") || text.contains("no device"),
            "{text}"
        );
    }
}
