//! Streams whose pictures are shown in another order than they are sent in.
//!
//! openh264 puts such pictures in order itself, by the low bits of their order counts, which come
//! round, and loses its pictures' memory when each is asked for at once. It does neither where the
//! profile allows no reordering. So the profile in the sequence parameter set is changed for its
//! eyes: it then gives each picture for its own frame, and who asked for them puts them in order by
//! their times.

use h264_reader::rbsp::decode_nal;

use crate::codec::h264::{NalUnitType, START_CODE, annexb_nal_units};

/// "Scalable Baseline" (ITU-T H.264 G.10.1.1), whose parameter sets look like High's. openh264
/// decodes it with all the tools it has.
const PROFILE: u8 = 83;

/// `chroma_format_idc` 1, 8 bits of luma and chroma, no bypass, no scaling matrix: what a set of
/// Main leaves out (7.3.2.1.1).
const HIGH_FIELDS: [bool; 7] = [false, true, false, true, true, false, false];

/// An access unit whose sequence parameter sets of Main and High say another profile.
pub(super) fn without_reordering(access_unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(access_unit.len() + 16);
    for unit in annexb_nal_units(access_unit) {
        out.extend_from_slice(&START_CODE);
        match changed(unit) {
            Some(changed) => out.extend(changed),
            None => out.extend_from_slice(unit),
        }
    }
    out
}

fn changed(unit: &[u8]) -> Option<Vec<u8>> {
    if NalUnitType::of(unit) != Some(NalUnitType::Sps) {
        return None;
    }
    match *unit.get(1)? {
        100 => {
            let mut changed = unit.to_vec();
            *changed.get_mut(1)? = PROFILE;
            Some(changed)
        }
        77 => with_high_fields(unit),
        _ => None,
    }
}

/// A set of Main with the fields that one of High has behind its id.
fn with_high_fields(unit: &[u8]) -> Option<Vec<u8>> {
    let header = *unit.first()?;
    let rbsp = decode_nal(unit).ok()?;
    let (fixed, rest) = rbsp.split_at_checked(3)?;
    let bits = |bytes: &[u8]| -> Vec<bool> {
        let of = |byte: &u8| (0..8).rev().map(|n| byte >> n & 1 == 1).collect::<Vec<_>>();
        bytes.iter().flat_map(of).collect()
    };
    let rest = bits(rest);
    // `seq_parameter_set_id` in Exp-Golomb form: as many bits behind its first one as before it.
    let id = 2 * rest.iter().position(|bit| *bit)? + 1;
    // The stop bit is the last one.
    let end = rest.iter().rposition(|bit| *bit)?;
    let mut all: Vec<bool> = rest.get(..id)?.to_vec();
    all.extend(HIGH_FIELDS);
    all.extend_from_slice(rest.get(id..=end)?);
    let bytes = all.chunks(8).map(|chunk| {
        let bit = |(n, bit): (usize, &bool)| u8::from(*bit) << (7 - n);
        chunk.iter().enumerate().map(bit).sum::<u8>()
    });
    let mut out = vec![header];
    let mut zeros = 0;
    for byte in [PROFILE]
        .into_iter()
        .chain(fixed.get(1..)?.iter().copied())
        .chain(bytes)
    {
        // emulation_prevention_three_byte (7.4.1).
        if zeros == 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    Some(out)
}

/// Whether the first slice of an access unit is a B slice (table 7-6).
pub(super) fn has_b_slices(access_unit: &[u8]) -> bool {
    annexb_nal_units(access_unit)
        .find(|unit| NalUnitType::of(unit).is_some_and(NalUnitType::is_vcl))
        .and_then(|slice| {
            let mut bits = slice
                .iter()
                .skip(1)
                .flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1));
            // `first_mb_in_slice` and `slice_type`, of a few bits each.
            let mut exp_golomb = || -> Option<u32> {
                let zeros = bits.by_ref().take_while(|bit| *bit == 0).take(16).count();
                let value =
                    (0..zeros).try_fold(1, |value, _| Some(value << 1 | u32::from(bits.next()?)));
                Some(value? - 1)
            };
            exp_golomb()?;
            exp_golomb()
        })
        .is_some_and(|slice_type| slice_type % 5 == 1)
}
