//! Bit rates, distances of keyframes, and what needs FFmpeg.

use livekit_stream::output::media::{
    AudioChunk, AudioStreamOptions, CodecConfig, MediaBackend, MediaEncoderError,
    StreamingMediaEncoder, VideoChunk, VideoStreamOptions,
};

use crate::encoder_kit::{ffmpeg, has_ffmpeg, probe, read};

const WIDTH: usize = 320;
const HEIGHT: usize = 180;
const PICTURES: usize = 90;

/// Three seconds of a picture that is hard to encode, as planes.
fn noisy() -> Vec<u8> {
    let args = format!(
        "-nostdin -f lavfi -i testsrc2=size={WIDTH}x{HEIGHT}:rate=30,noise=alls=20:allf=t \
         -frames:v {PICTURES} -pix_fmt gbrp -f rawvideo -"
    );
    // FFmpeg's planes are green, blue, red.
    let plane = WIDTH * HEIGHT;
    let pictures = ffmpeg(&args, &[]);
    let order = pictures.chunks(3 * plane).flat_map(|picture| {
        let (green, rest) = picture.split_at(plane);
        let (blue, red) = rest.split_at(plane);
        [red, green, blue].concat()
    });
    order.collect()
}

async fn encode(config: CodecConfig, planes: &[u8]) -> Result<Vec<u8>, MediaEncoderError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    let mut encoder = StreamingMediaEncoder::new(&path).backend(MediaBackend::Native);
    let options = VideoStreamOptions::new(30.0, WIDTH as u32, HEIGHT as u32);
    let index = encoder.add_video_stream(options.codec_config(config))?;
    encoder.open_default().await?;
    let chunk = VideoChunk::new(planes.to_vec(), [PICTURES, 3, HEIGHT, WIDTH])?;
    encoder.write_video_chunk(index, chunk, None).await?;
    encoder.close().await?;
    Ok(read(&path))
}

#[tokio::test]
async fn the_bit_rate_and_the_distance_of_keyframes_are_those_asked_for() {
    if !has_ffmpeg() {
        return;
    }
    let planes = noisy();
    for bit_rate in [400_000, 1_200_000] {
        let config = CodecConfig::new().bit_rate(bit_rate);
        let file = encode(config, &planes).await.unwrap();
        let sizes = probe("packet=size", &file);
        let bytes: u32 = sizes.iter().map(|size| size.parse::<u32>().unwrap()).sum();
        let actual = f64::from(bytes) * 8.0 / 3.0;
        let ratio = actual / f64::from(bit_rate);
        assert!(
            (0.6..1.4).contains(&ratio),
            "{actual} b/s instead of {bit_rate}"
        );
    }
    for gop in [10, 45] {
        let file = encode(CodecConfig::new().gop_size(gop).max_b_frames(0), &planes)
            .await
            .unwrap();
        for (index, flags) in probe("packet=flags", &file).iter().enumerate() {
            let keyframe = flags.starts_with('K');
            assert_eq!(
                keyframe,
                index % gop as usize == 0,
                "picture {index} of {gop}"
            );
        }
    }
}

#[tokio::test]
async fn the_bit_rate_of_sound_is_that_asked_for() {
    if !has_ffmpeg() {
        return;
    }
    // Noise, which takes all that it is given.
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16 / 4
    });
    let noise: Vec<i16> = noise.take(2 * 3 * 48_000).collect();
    let folder = tempfile::tempdir().unwrap();
    for (name, bit_rate) in [("s.mp4", 64_000), ("s.mp4", 192_000), ("s.webm", 64_000)] {
        let path = folder.path().join(name);
        let mut encoder = StreamingMediaEncoder::new(&path);
        let options = AudioStreamOptions::new(48_000, 2)
            .format("s16".parse().unwrap())
            .codec_config(CodecConfig::new().bit_rate(bit_rate));
        let index = encoder.add_audio_stream(options).unwrap();
        encoder.open_default().await.unwrap();
        let chunk = AudioChunk::new(noise.clone(), [3 * 48_000, 2]).unwrap();
        encoder.write_audio_chunk(index, chunk, None).await.unwrap();
        encoder.close().await.unwrap();
        let sizes = probe("packet=size", &read(&path));
        let bytes: u32 = sizes.iter().map(|size| size.parse::<u32>().unwrap()).sum();
        let ratio = f64::from(bytes) * 8.0 / 3.0 / f64::from(bit_rate);
        assert!((0.8..1.2).contains(&ratio), "{name}: {ratio} of {bit_rate}");
    }
}

#[tokio::test]
async fn what_needs_ffmpeg_is_said() {
    let config = CodecConfig::new;
    for (config, what) in [
        (config().qscale(5), "video stream 0: qscale"),
        (
            config().compression_level(3),
            "video stream 0: compression_level",
        ),
        (
            config().max_b_frames(2),
            "video stream 0: max_b_frames above 0",
        ),
    ] {
        let error = encode(config, &[]).await.unwrap_err();
        assert!(
            matches!(error, MediaEncoderError::NeedsFfmpeg { .. }),
            "{error}"
        );
        assert!(error.to_string().starts_with(what), "{error}");
    }
    let error = encode(config().bit_rate(1), &[]).await.unwrap_err();
    assert!(
        error.to_string().contains("bit_rate = 1 is out of range"),
        "{error}"
    );
    let error = encode(config().gop_size(0), &[]).await.unwrap_err();
    assert!(
        error.to_string().contains("gop_size = 0 is out of range"),
        "{error}"
    );
}
