//! Headers and parameter sets of the codecs.

use bytes::Bytes;
use livekit_stream::codec::{aac, av1, h264, h265, opus, vp8, vp9};

pub(crate) fn h264(data: &[u8]) {
    if let Some(sps) = h264::Sps::parse(data) {
        assert_eq!(sps.codec_string().len(), 6);
    }
    let _ = h264::is_keyframe(data);
    assert!(h264::max_num_reorder(data).is_none_or(|count| count <= 16));
    let sets = h264::ParameterSets::from_access_unit(data);
    if let Ok(configuration) = h264::DecoderConfiguration::new(sets) {
        let record = configuration.to_bytes();
        let again = h264::DecoderConfiguration::parse(&record).expect("a record just written");
        assert_eq!(again.to_bytes(), record);
    }
    if let Ok(configuration) = h264::DecoderConfiguration::parse(data) {
        let _ = configuration.to_bytes();
    }
    let sample = h264::annexb_to_avcc(data, h264::Keep::All);
    let units = h264::avcc_to_annexb(&sample, 4).expect("a sample just written");
    assert!(h264::annexb_nal_units(&units).eq(h264::annexb_nal_units(data)));
    for length_size in 1..=4 {
        let _ = h264::avcc_to_annexb(data, length_size);
    }
}

pub(crate) fn h265(data: &[u8]) {
    if let Some(sps) = h265::Sps::parse(data) {
        assert!(!sps.codec_string().is_empty());
    }
    let _ = h265::is_keyframe(data);
    let sets = h265::ParameterSets::from_access_unit(data);
    assert!(sets.contains(&sets));
    if let Some(configuration) = h265::DecoderConfiguration::parse(data) {
        assert!(matches!(configuration.length_size, 1 | 2 | 4));
    }
    let sample = h265::annexb_to_hvcc(data, true);
    let units = h265::annexb_nal_units(data).map(<[u8]>::len);
    assert!(sample.len() <= units.map(|length| length + 4).sum());
}

pub(crate) fn vp8(data: &[u8]) {
    if let Some(header) = vp8::FrameHeader::parse(data) {
        assert_eq!(header.keyframe, vp8::is_keyframe(data));
        assert!(header.keyframe || header.size.is_none());
    }
}

pub(crate) fn vp9(data: &[u8]) {
    let _ = vp9::is_keyframe(data);
    if let Some(configuration) = vp9::Configuration::from_keyframe(data) {
        assert!(vp9::is_keyframe(data));
        assert!(configuration.codec_string().starts_with("vp09."));
    }
    let mut references = vp9::References::default();
    for frame in vp9::frames(data).unwrap_or_default() {
        let header = vp9::FrameHeader::parse(frame);
        if let Some(header) = &header {
            references.update(header);
        }
        if let (Some(_), Some(hidden)) = (header, vp9::hide(frame, 64)) {
            let hidden = vp9::FrameHeader::parse(&hidden);
            assert!(hidden.is_some(), "the header just written cannot be read");
        }
    }
}

pub(crate) fn av1(data: &[u8]) {
    let _ = av1::is_keyframe(data);
    if let Some(configuration) = av1::Configuration::from_keyframe(data) {
        assert!(configuration.sequence.codec_string().starts_with("av01."));
    }
    let unit = Bytes::copy_from_slice(data);
    let bare = av1::without_delimiters(&unit);
    assert!(bare.len() <= data.len());
    assert_eq!(av1::without_delimiters(&bare), bare);
    if let Some((value, _)) = av1::read_leb128(data) {
        let mut bytes = Vec::new();
        av1::write_leb128(value, &mut bytes);
        assert_eq!(av1::read_leb128(&bytes), Some((value, &[][..])));
    }
    // Twice: the second time with what the first left behind.
    let mut stream = av1::Stream::default();
    stream.next(data);
    stream.next(data);
}

pub(crate) fn audio(data: &[u8]) {
    assert!(opus::duration(data).is_none_or(|samples| samples <= opus::MAX_DURATION));
    let _ = opus::channels(data);
    let _ = opus::is_dtx(data);
    if let Ok(configuration) = aac::AudioSpecificConfig::parse(data)
        && let Ok(bytes) = configuration.build()
    {
        let again = aac::AudioSpecificConfig::parse(&bytes).expect("a configuration just built");
        assert_eq!(again, configuration);
    }
}
