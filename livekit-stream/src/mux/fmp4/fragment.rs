//! Bytes of one movie fragment: `moof` (ISO/IEC 14496-12 section 8.8.4) and its `mdat`.

use bytes::Bytes;
use mp4_atom::{Encode, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry};

use super::timeline::Sample;
use crate::mux::MuxError;

/// `sample_depends_on = 2`: a sample that needs no other one (section 8.8.3.1).
pub(super) const SYNC_SAMPLE: u32 = 0x0200_0000;
/// `sample_depends_on = 1` and `sample_is_non_sync_sample`.
pub(super) const NON_SYNC_SAMPLE: u32 = 0x0101_0000;

const MDAT_HEADER: usize = 8;

/// The samples of one track in a fragment; at least one, each ending where the next starts.
pub(super) struct Run {
    pub(super) track_id: u32,
    /// What the track's samples are unless they say otherwise, as in its `trex`.
    pub(super) default_flags: u32,
    pub(super) samples: Vec<Sample>,
}

/// One `moof` and one `mdat`, with a `traf` and a `trun` a track.
pub(super) fn fragment(sequence_number: u32, runs: &[Run]) -> Result<Bytes, MuxError> {
    let mut moof = Moof {
        mfhd: Mfhd { sequence_number },
        traf: runs.iter().map(traf).collect(),
    };
    // All fields have a fixed width, so the offsets do not change the size they count from.
    let mut out = Vec::new();
    moof.encode(&mut out)?;
    let mut offset = out.len() + MDAT_HEADER;
    for (traf, run) in moof.traf.iter_mut().zip(runs) {
        let data_offset = i32::try_from(offset).map_err(|_| MuxError::too_large(offset))?;
        for trun in &mut traf.trun {
            trun.data_offset = Some(data_offset);
        }
        offset += run.samples.iter().map(|s| s.data.len()).sum::<usize>();
    }
    let mdat_size = u32::try_from(offset - out.len()).map_err(|_| MuxError::too_large(offset))?;

    out.clear();
    out.reserve(offset);
    moof.encode(&mut out)?;
    out.extend_from_slice(&mdat_size.to_be_bytes());
    out.extend_from_slice(b"mdat");
    for sample in runs.iter().flat_map(|run| &run.samples) {
        out.extend_from_slice(&sample.data);
    }
    Ok(out.into())
}

fn traf(run: &Run) -> Traf {
    let first = run.samples.first();
    let shared_duration = first
        .map(|sample| sample.duration)
        .filter(|&duration| run.samples.iter().all(|s| s.duration == duration));
    let flags = |sample: &Sample| {
        if sample.sync {
            SYNC_SAMPLE
        } else {
            NON_SYNC_SAMPLE
        }
    };
    // Flags of the first sample alone have a field of their own in `trun`.
    let rest_is_default = run
        .samples
        .iter()
        .skip(1)
        .all(|sample| flags(sample) == run.default_flags);
    let all_default = rest_is_default && first.is_none_or(|s| flags(s) == run.default_flags);
    let is_reordered = run.samples.iter().any(|s| s.composition_offset != 0);
    let entries: Vec<TrunEntry> = run
        .samples
        .iter()
        .enumerate()
        .map(|(index, sample)| TrunEntry {
            duration: shared_duration.is_none().then_some(sample.duration),
            // No frame is longer than `MAX_FRAME_BYTES`.
            size: Some(sample.data.len() as u32),
            flags: (!all_default && (index == 0 || !rest_is_default)).then(|| flags(sample)),
            cts: is_reordered.then(|| sample.composition_offset.into()),
        })
        .collect();
    Traf {
        tfhd: Tfhd {
            track_id: run.track_id,
            default_sample_duration: shared_duration,
            default_sample_flags: Some(run.default_flags),
            default_base_is_moof: true,
            ..Tfhd::default()
        },
        tfdt: Some(Tfdt {
            base_media_decode_time: first.map_or(0, |sample| sample.start),
        }),
        trun: vec![Trun {
            data_offset: Some(0),
            samples: entries.into(),
        }],
        ..Traf::default()
    }
}
