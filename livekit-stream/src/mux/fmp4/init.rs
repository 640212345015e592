//! Bytes of the initialization segment: `ftyp` and `moov` (ISO/IEC 14496-12 sections 4.3, 8.2).

use std::time::Duration;

use bytes::Bytes;
use mp4_atom::{
    Audio, Codec as SampleEntry, Dinf, Dops, Dref, DrefEntry, Edts, Elst, ElstEntry, Encode, Esds,
    FixedPoint, FourCC, Ftyp, Hdlr, Ilst, IlstData, IlstDataValue, KeyEntry, Keys, Matrix, Mdhd,
    Mdia, Mehd, Meta, Minf, Moov, Mp4a, Mvex, Mvhd, Opus, Smhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex,
    Udta, Url, Vmhd, esds,
};

use super::fragment::{NON_SYNC_SAMPLE, SYNC_SAMPLE};
use super::video;
use super::{Options, ParameterSetPlacement};
use crate::codec::Codec;
use crate::codec::aac::AudioSpecificConfig;
use crate::frame::{VideoRotation, VideoSize};
use crate::mux::{AudioTrack, MuxError, Track};

/// Ticks a second of video tracks: RTP's video clock, in which common frame rates are whole.
pub(super) const VIDEO_TIMESCALE: u32 = 90_000;

/// Ticks a second of `mvhd` and `mehd`.
const MOVIE_TIMESCALE: u32 = 1_000;

/// What `esds` announces: the frames themselves say nothing, and Safari refuses zero.
const NOMINAL_AAC_BIT_RATE: u32 = 128_000;

/// Ticks a second of a track.
pub(super) fn timescale(track: &Track) -> u32 {
    match track {
        Track::Video(_) => VIDEO_TIMESCALE,
        Track::Audio(track) => track.sample_rate,
    }
}

/// What a track's samples are unless a fragment says otherwise.
pub(super) fn default_flags(track: &Track) -> u32 {
    match track {
        Track::Video(_) => NON_SYNC_SAMPLE,
        Track::Audio(_) => SYNC_SAMPLE,
    }
}

/// Track ids count from one in the order of the tracks.
pub(super) fn track_id(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}

/// `ftyp` and `moov`.
pub(super) fn init_segment(tracks: &[Track], options: &Options) -> Result<Bytes, MuxError> {
    let mut compatible_brands = vec![
        FourCC::new(b"iso6"),
        FourCC::new(b"iso5"),
        FourCC::new(b"mp41"),
    ];
    compatible_brands.extend(
        tracks
            .iter()
            .filter_map(|track| video::brand(track.codec())),
    );
    // `default-base-is-moof` needs iso5 and signed composition offsets iso6. The CMAF and DASH
    // brands are not claimed: they forbid several tracks and fragments without a keyframe.
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands,
    };
    let moov = Moov {
        // Durations are 0 in `mvhd`, `tkhd` and `mdhd`: the `moov` describes no samples. The
        // alternative, all ones for "unknown", is shown as centuries by players that do not know
        // it; with 0 and no `mehd` Chromium takes the stream as live, and ffprobe and VLC add up
        // the fragments.
        mvhd: Mvhd {
            timescale: MOVIE_TIMESCALE,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: track_id(tracks.len()),
            ..Mvhd::default()
        },
        trak: tracks
            .iter()
            .enumerate()
            .map(|(index, track)| {
                let media_start = options.media_starts.get(index).copied();
                Ok(Trak {
                    edts: media_start.and_then(|start| edts(start, timescale(track))),
                    ..trak(track_id(index), track, options.parameter_sets)?
                })
            })
            .collect::<Result<_, MuxError>>()?,
        mvex: Some(Mvex {
            mehd: options.duration.map(|duration| Mehd {
                fragment_duration: ticks(duration, MOVIE_TIMESCALE),
            }),
            trex: tracks
                .iter()
                .enumerate()
                .map(|(index, track)| Trex {
                    track_id: track_id(index),
                    default_sample_description_index: 1,
                    default_sample_flags: default_flags(track),
                    ..Trex::default()
                })
                .collect(),
        }),
        udta: (!options.metadata.is_empty()).then(|| user_data(&options.metadata)),
        ..Moov::default()
    };
    let mut out = Vec::with_capacity(1_024);
    ftyp.encode(&mut out)?;
    moov.encode(&mut out)?;
    Ok(out.into())
}

/// Names and values as QuickTime's metadata items: `keys` has the names, `ilst` the values by
/// their names' numbers, which count from one.
fn user_data(metadata: &[(String, String)]) -> Udta {
    let keys = metadata.iter().map(|(name, _)| KeyEntry {
        key_namespace: FourCC::new(b"mdta"),
        key_value: name.clone(),
    });
    let values = (1..).zip(metadata).map(|(number, (_, value))| {
        let data = IlstData {
            country_indicator: 0,
            language_indicator: 0,
            value: IlstDataValue::Utf8(value.clone()),
        };
        (number, data)
    });
    let mut meta = Meta {
        hdlr: Hdlr {
            handler: FourCC::new(b"mdta"),
            name: String::new(),
        },
        items: Vec::new(),
    };
    meta.push(Keys {
        entries: keys.collect(),
    });
    meta.push(Ilst {
        mdta: values.collect(),
        ..Ilst::default()
    });
    Udta {
        meta: Some(meta),
        ..Udta::default()
    }
}

fn ticks(duration: Duration, timescale: u32) -> u64 {
    let scaled = duration.as_nanos() * u128::from(timescale);
    u64::try_from((scaled + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// One edit from there to the end: in a fragmented file its duration is 0.
fn edts(media_start: Duration, timescale: u32) -> Option<Edts> {
    let media_time = ticks(media_start, timescale);
    (media_time > 0).then(|| Edts {
        elst: Some(Elst {
            entries: vec![ElstEntry {
                segment_duration: 0,
                media_time: Some(media_time),
                media_rate: 1.into(),
            }],
        }),
    })
}

fn trak(track_id: u32, track: &Track, placement: ParameterSetPlacement) -> Result<Trak, MuxError> {
    let mut tkhd = Tkhd {
        track_id,
        enabled: true,
        in_movie: true,
        ..Tkhd::default()
    };
    let mut minf = Minf {
        dinf: Dinf {
            dref: Dref {
                // An empty location: the media is in this file.
                entries: vec![DrefEntry::Url(Url::default())],
            },
        },
        ..Minf::default()
    };
    let entry = match track {
        Track::Video(video) => {
            let (width, height) = side_lengths(video.size)?;
            tkhd.width = width.into();
            tkhd.height = height.into();
            tkhd.matrix = matrix(video.rotation, video.size);
            minf.vmhd = Some(Vmhd::default());
            video::sample_entry(video, (width, height), placement)?
        }
        Track::Audio(audio) => {
            tkhd.volume = 1.into();
            minf.smhd = Some(Smhd::default());
            audio_entry(audio)?
        }
    };
    minf.stbl = Stbl {
        stsd: Stsd {
            codecs: vec![entry],
        },
        stco: Some(Stco::default()),
        ..Stbl::default()
    };
    let (handler, name) = match track {
        Track::Video(_) => (b"vide", "VideoHandler"),
        Track::Audio(_) => (b"soun", "SoundHandler"),
    };
    Ok(Trak {
        tkhd,
        mdia: Mdia {
            mdhd: Mdhd {
                timescale: timescale(track),
                language: "und".to_owned(),
                ..Mdhd::default()
            },
            hdlr: Hdlr {
                handler: FourCC::new(handler),
                name: name.to_owned(),
            },
            minf,
        },
        ..Trak::default()
    })
}

fn side_lengths(size: VideoSize) -> Result<(u16, u16), MuxError> {
    let side = |field, value: u32| {
        u16::try_from(value)
            .ok()
            .filter(|&side| side > 0)
            .ok_or(MuxError::OutOfRange {
                field,
                value: u64::from(value),
                allowed: "1 to 65535 pixels",
            })
    };
    Ok((side("width", size.width)?, side("height", size.height)?))
}

/// The transformation of `tkhd` (section 8.3.2): a clockwise turn, moved back into the positive
/// quadrant. Translations and coefficients are 16.16.
fn matrix(rotation: VideoRotation, size: VideoSize) -> Matrix {
    const ONE: i32 = 0x1_0000;
    let fixed = |pixels: u32| (pixels.min(0x7fff) as i32) << 16;
    let unit = Matrix::default();
    match rotation {
        VideoRotation::Deg0 => unit,
        VideoRotation::Deg90 => Matrix {
            a: 0,
            b: ONE,
            c: -ONE,
            d: 0,
            x: fixed(size.height),
            ..unit
        },
        VideoRotation::Deg180 => Matrix {
            a: -ONE,
            d: -ONE,
            x: fixed(size.width),
            y: fixed(size.height),
            ..unit
        },
        VideoRotation::Deg270 => Matrix {
            a: 0,
            b: -ONE,
            c: ONE,
            d: 0,
            y: fixed(size.width),
            ..unit
        },
    }
}

fn audio_entry(track: &AudioTrack) -> Result<SampleEntry, MuxError> {
    let entry = |channels: u32| Audio {
        data_reference_index: 1,
        channel_count: channels.min(u32::from(u16::MAX)) as u16,
        sample_size: 16,
        // The field ends at 65535 Hz; above, 0 leaves it to the codec's configuration.
        sample_rate: FixedPoint::from(u16::try_from(track.sample_rate).unwrap_or(0)),
    };
    match track.codec {
        Codec::Opus => {
            let head = track.opus_head()?;
            if track.sample_rate != crate::codec::opus::SAMPLE_RATE {
                return Err(MuxError::OutOfRange {
                    field: "the sample rate of Opus",
                    value: u64::from(track.sample_rate),
                    allowed: "48000 Hz",
                });
            }
            Ok(Opus {
                audio: entry(u32::from(head.channels)),
                dops: Dops {
                    output_channel_count: head.channels,
                    pre_skip: head.pre_skip,
                    input_sample_rate: head.input_sample_rate,
                    output_gain: head.output_gain,
                    channel_mapping: track.opus_mapping(),
                },
                btrt: None,
            }
            .into())
        }
        Codec::Aac => {
            let config = AudioSpecificConfig::parse_core(&track.codec_config)?;
            if track.sample_rate != config.sample_rate {
                return Err(MuxError::OutOfRange {
                    field: "the sample rate of AAC",
                    value: u64::from(track.sample_rate),
                    allowed: "the rate in its configuration",
                });
            }
            Ok(Mp4a {
                audio: entry(config.num_channels),
                esds: esds(track),
                btrt: None,
                taic: None,
            }
            .into())
        }
        codec => Err(unsupported(codec)),
    }
}

fn esds(track: &AudioTrack) -> Esds {
    Esds {
        es_desc: esds::EsDescriptor {
            es_id: 0,
            dec_config: esds::DecoderConfig {
                // Audio ISO/IEC 14496-3, in an audio stream (ISO/IEC 14496-1 tables 5 and 6).
                object_type_indication: 0x40,
                stream_type: 5,
                // The decoder's input buffer: 6144 bits a channel (ISO/IEC 14496-3 4.5.3.2).
                buffer_size_db: (track.num_channels.min(8) * 768)
                    .try_into()
                    .unwrap_or_default(),
                max_bitrate: NOMINAL_AAC_BIT_RATE,
                avg_bitrate: NOMINAL_AAC_BIT_RATE,
                dec_specific: Some(esds::DecoderSpecific {
                    raw: track.codec_config.to_vec(),
                    ..esds::DecoderSpecific::default()
                }),
                ..esds::DecoderConfig::default()
            },
            ..esds::EsDescriptor::default()
        },
    }
}

pub(super) fn unsupported(codec: Codec) -> MuxError {
    MuxError::UnsupportedCodec {
        codec,
        container: "MP4",
    }
}
