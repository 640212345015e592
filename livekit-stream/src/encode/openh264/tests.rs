use super::*;
use crate::encode::video_encoder;
use crate::frame::ffmpeg::{ffmpeg, psnr};

fn encoder(options: VideoOptions) -> Box<dyn VideoEncoder> {
    video_encoder(Codec::H264, options).expect("options are in range")
}

/// Pictures of a moving test card made by ffmpeg.
fn test_card(
    width: u32,
    height: u32,
    frames: usize,
    format: VideoFormat,
) -> Option<Vec<VideoFrame>> {
    let name = if format == VideoFormat::Rgb24 {
        "rgb24"
    } else {
        "yuv420p"
    };
    let raw = ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s={width}x{height}:r=30 -frames:v {frames} -pix_fmt {name} -f rawvideo -"
        ),
        &[],
    )?;
    let size = format.frame_len(width, height).expect("in range");
    Some(
        raw.chunks_exact(size)
            .map(|data| VideoFrame::new(format, width, height, data.to_vec()).expect("whole"))
            .collect(),
    )
}

/// The NAL unit types of an access unit in Annex B form.
fn nal_types(data: &[u8]) -> Vec<u8> {
    (0..data.len().saturating_sub(4))
        .filter(|&at| data[at..].starts_with(&[0, 0, 0, 1]))
        .map(|at| data[at + 4] & 31)
        .collect()
}

#[test]
fn ffmpeg_decodes_every_picture_as_it_was_encoded() {
    let Some(frames) = test_card(320, 240, 40, VideoFormat::Rgb24) else {
        return;
    };
    let mut options = VideoOptions::default();
    options.bit_rate = Some(2_000_000);
    options.gop_size = 15;
    let mut encoder = encoder(options);
    let mut stream = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let encoded = encoder.encode(frame, index as i64 * 33_333, false);
        let encoded = encoded.expect("encodes").expect("nothing is skipped");
        assert_eq!(encoded.keyframe, index % 15 == 0, "frame {index}");
        let slice = if encoded.keyframe {
            vec![7, 8, 5]
        } else {
            vec![1]
        };
        assert_eq!(nal_types(&encoded.data), slice, "frame {index}");
        assert_eq!(encoded.timestamp_us, index as i64 * 33_333);
        stream.extend_from_slice(&encoded.data);
    }
    let decoded = ffmpeg("-f h264 -i - -f rawvideo -pix_fmt yuv420p -", &stream).expect("there");
    let size = 320 * 240 * 3 / 2;
    assert_eq!(decoded.len(), frames.len() * size);
    for (frame, decoded) in frames.iter().zip(decoded.chunks_exact(size)) {
        let wanted = frame.convert(VideoFormat::I420, false).expect("converts");
        let quality = psnr(wanted.data(), decoded);
        assert!(quality > 32.0, "{quality} dB");
    }
}
