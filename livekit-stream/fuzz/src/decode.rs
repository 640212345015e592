//! The decoders that are built in. The input is frames, each behind its length in two bytes.

use bytes::Bytes;
use livekit_stream::codec::{Codec, av1, h264};
use livekit_stream::decode::{audio_decoder, video_decoder};
use livekit_stream::{EncodedFrame, VideoRotation, VideoSize};

pub(crate) fn h264(data: &[u8]) {
    pictures(Codec::H264, data, h264::is_keyframe);
}

pub(crate) fn av1(data: &[u8]) {
    if !announces_large_pictures(data) {
        pictures(Codec::Av1, data, av1::is_keyframe);
    }
}

/// Whether a picture may take more memory than the tests have for all. The decoder itself takes
/// pictures of 64 million pixels.
fn announces_large_pictures(data: &[u8]) -> bool {
    frames(Codec::Av1, data, |_| false).any(|frame| {
        let headers = av1::obus(&frame.data).filter(|obu| obu.kind == av1::ObuType::SequenceHeader);
        let mut sizes = headers
            .filter_map(|obu| av1::SequenceHeader::parse(obu.payload))
            .map(|header| header.max_size);
        sizes.any(|size| u64::from(size.width) * u64::from(size.height) > 1 << 21)
    })
}

pub(crate) fn opus(data: &[u8]) {
    let mut decoder = audio_decoder(Codec::Opus, 48_000, 2).expect("built in");
    for frame in frames(Codec::Opus, data, |_| true) {
        // 120 ms at 48 kHz is the longest packet (RFC 6716 section 3.2.5).
        if let Ok(sound) = decoder.decode(&frame) {
            assert!(sound.samples_per_channel() <= 5_760);
        }
    }
}

fn pictures(codec: Codec, data: &[u8], is_keyframe: fn(&[u8]) -> bool) {
    let mut decoder = video_decoder(codec).expect("built in");
    for frame in frames(codec, data, is_keyframe) {
        if let Ok(Some(picture)) = decoder.decode(&frame) {
            assert!(picture.width() > 0 && picture.height() > 0);
        }
    }
}

fn frames(
    codec: Codec,
    mut data: &[u8],
    is_keyframe: fn(&[u8]) -> bool,
) -> impl Iterator<Item = EncodedFrame> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (frame, rest) = rest.split_at(length);
        data = rest;
        Some(EncodedFrame {
            codec,
            data: Bytes::copy_from_slice(frame),
            keyframe: is_keyframe(frame),
            timestamp_us: 0,
            rotation: VideoRotation::Deg0,
            size: VideoSize::default(),
            lost_packets: 0,
        })
    })
}
