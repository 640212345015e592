//! Headers and parameter sets of the codecs.

use livekit_stream::codec::{aac, h264, opus, vp8};

pub(crate) fn h264(data: &[u8]) {
    if let Some(sps) = h264::Sps::parse(data) {
        assert_eq!(sps.codec_string().len(), 6);
    }
    let _ = h264::is_keyframe(data);
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

pub(crate) fn vp8(data: &[u8]) {
    if let Some(header) = vp8::FrameHeader::parse(data) {
        assert_eq!(header.keyframe, vp8::is_keyframe(data));
        assert!(header.keyframe || header.size.is_none());
    }
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
