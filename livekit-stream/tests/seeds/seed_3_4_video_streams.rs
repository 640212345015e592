//! Pictures of every pixel format, size and rate.

use livekit_stream::frame::{VideoFormat, VideoFrame};
use livekit_stream::output::media::{
    MediaBackend, MediaEncoderError, PixelFormat, StreamingMediaEncoder, VideoChunk,
    VideoStreamOptions,
};

use crate::encoder_kit::{
    assert_decodes, colours, has_ffmpeg, packed, pictures, probe, psnr, read, times,
};

const WIDTH: usize = 192;
const HEIGHT: usize = 128;
const PICTURES: usize = 20;

fn stream(rate: f64) -> VideoStreamOptions {
    VideoStreamOptions::new(rate, WIDTH as u32, HEIGHT as u32)
}

async fn encode(
    name: &str,
    options: VideoStreamOptions,
    chunks: impl IntoIterator<Item = VideoChunk>,
) -> Result<Vec<u8>, MediaEncoderError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut encoder = StreamingMediaEncoder::new(&path).backend(MediaBackend::Native);
    let index = encoder.add_video_stream(options)?;
    encoder.open_default().await?;
    for chunk in chunks {
        encoder.write_video_chunk(index, chunk, None).await?;
    }
    encoder.close().await?;
    Ok(read(&path))
}

fn rgb(count: usize) -> VideoChunk {
    let planes = (0..count).flat_map(|n| colours(n, WIDTH, HEIGHT));
    VideoChunk::new(planes.collect::<Vec<u8>>(), [count, 3, HEIGHT, WIDTH]).unwrap()
}

#[tokio::test]
async fn every_pixel_format_is_the_same_picture() {
    if !has_ffmpeg() {
        return;
    }
    let plane = WIDTH * HEIGHT;
    for format in [
        PixelFormat::Rgb24,
        PixelFormat::Bgr24,
        PixelFormat::Yuv444p,
        PixelFormat::Gray8,
        PixelFormat::Yuv420p,
    ] {
        let mut given = Vec::new();
        let mut chunks = Vec::new();
        for n in 0..PICTURES {
            let planes = colours(n, WIDTH, HEIGHT);
            let frame = VideoFrame::new(
                VideoFormat::Rgb24,
                WIDTH as u32,
                HEIGHT as u32,
                packed(&planes),
            );
            let frame = frame.unwrap();
            let shape = |channels| [1, channels, HEIGHT, WIDTH];
            given.push(packed(&planes));
            chunks.push(match format {
                PixelFormat::Bgr24 => {
                    let (red, rest) = planes.split_at(plane);
                    let (green, blue) = rest.split_at(plane);
                    VideoChunk::new([blue, green, red].concat(), shape(3)).unwrap()
                }
                PixelFormat::Yuv444p => {
                    let yuv = frame.convert(VideoFormat::I444, false).unwrap();
                    VideoChunk::new(yuv.data().clone(), shape(3)).unwrap()
                }
                PixelFormat::Gray8 => {
                    given[n] = planes[..plane].iter().flat_map(|grey| [*grey; 3]).collect();
                    VideoChunk::new(planes[..plane].to_vec(), shape(1)).unwrap()
                }
                // A frame of another format than the stream's.
                PixelFormat::Yuv420p => frame.into(),
                _ => VideoChunk::new(planes, shape(3)).unwrap(),
            });
        }
        let file = encode("film.mp4", stream(30.0).format(format), chunks)
            .await
            .unwrap();
        assert_decodes(&file);
        let shown = pictures(&file, WIDTH, HEIGHT);
        assert_eq!(shown.len(), PICTURES);
        for (index, (shown, given)) in shown.iter().zip(&given).enumerate() {
            let decibels = psnr(shown, given);
            assert!(decibels > 30.0, "{format}: picture {index} {decibels} dB");
        }
    }
}

#[tokio::test]
async fn pictures_are_scaled_to_the_encoders_size() {
    if !has_ffmpeg() {
        return;
    }
    // An odd side is cut by one pixel: H.264's chroma has half of each.
    for (width, height, encoded) in [(96, 64, "h264,96,64"), (385, 257, "h264,384,256")] {
        let options = stream(30.0).encoder_width(width).encoder_height(height);
        let file = encode("film.mp4", options, [rgb(5)]).await.unwrap();
        assert_decodes(&file);
        assert_eq!(probe("stream=codec_name,width,height", &file), [encoded]);
        let (width, height) = (width as usize & !1, height as usize & !1);
        let shown = pictures(&file, width, height);
        let decibels = psnr(&shown[4], &packed(&colours(4, width, height)));
        assert!(decibels > 28.0, "{encoded}: {decibels} dB");
    }
}

#[tokio::test]
async fn pictures_are_repeated_and_left_out_to_the_encoders_rate() {
    if !has_ffmpeg() {
        return;
    }
    for (rate, count) in [(60.0, 60), (15.0, 15), (12.5, 13)] {
        let options = stream(30.0).encoder_frame_rate(rate);
        let file = encode("film.mp4", options, [rgb(30)]).await.unwrap();
        let times = times("v:0", &file);
        assert_eq!(times.len(), count, "at {rate}");
        for (index, time) in times.iter().enumerate() {
            assert!(
                (time - index as f64 / rate).abs() < 0.001,
                "at {rate}: {index} at {time}"
            );
        }
        let shown = pictures(&file, WIDTH, HEIGHT);
        for (index, picture) in shown.iter().enumerate() {
            // Each shows what was there at its time, within half a picture.
            let near = (index as f64 * 30.0 / rate).floor() as usize;
            let best = (near.saturating_sub(1)..=near + 1)
                .map(|n| psnr(picture, &packed(&colours(n, WIDTH, HEIGHT))))
                .fold(0.0, f64::max);
            assert!(best > 30.0, "at {rate}: picture {index} {best} dB");
        }
    }
}

#[tokio::test]
async fn what_the_encoder_does_not_take_is_said() {
    for (name, options, message) in [
        (
            "f.mp4",
            stream(30.0).encoder("libx265"),
            "video stream 0: the encoder libx265 needs",
        ),
        (
            "f.mp4",
            stream(30.0).hw_accel("cuda:0"),
            "video stream 0: hw_accel = cuda:0 needs",
        ),
        (
            "f.mp4",
            stream(30.0).filter_desc("hflip"),
            "video stream 0: filter_desc needs",
        ),
        (
            "f.mp4",
            stream(30.0).encoder_format("yuv444p"),
            "the pixel format yuv444p needs",
        ),
        (
            "f.mp4",
            stream(30.0).encoder_option("crf", "20"),
            "the encoder's option crf needs",
        ),
        (
            "f.webm",
            stream(30.0),
            "an encoder of VP8, VP9 or AV1, which WebM holds needs",
        ),
        (
            "f.mp4",
            stream(30.0).encoder_width(8),
            "width = \"8\" cannot be used: H.264",
        ),
    ] {
        let text = encode(name, options, [rgb(1)])
            .await
            .unwrap_err()
            .to_string();
        assert!(text.contains(message), "{text}");
    }
    let preset = stream(30.0).encoder_option("preset", "medium");
    encode("f.mp4", preset, [rgb(1)]).await.unwrap();
}
