//! A sound that says where in it one listens, for tests of encoders.

use super::AudioEncoder;
use crate::frame::{AudioFrame, EncodedFrame};

/// Two seconds of a sine that climbs from 200 Hz to 3 kHz, mono at 48 kHz, sent through the
/// encoder in frames of 10 ms with the first sample at `start_us`.
pub(super) fn encode_sweep(
    encoder: &mut dyn AudioEncoder,
    start_us: i64,
) -> (Vec<EncodedFrame>, AudioFrame) {
    let samples: Vec<i16> = (0..96_000)
        .map(|i| {
            let t = f64::from(i) / 48_000.0;
            let phase = (200.0 + 700.0 * t) * t * std::f64::consts::TAU;
            (phase.sin() * 12_000.0) as i16
        })
        .collect();
    let sweep = AudioFrame {
        samples,
        sample_rate: 48_000,
        num_channels: 1,
        timestamp_us: start_us,
    };
    let mut out = Vec::new();
    for (index, piece) in sweep.samples.chunks(480).enumerate() {
        let frame = AudioFrame {
            samples: piece.to_vec(),
            timestamp_us: start_us + index as i64 * 10_000,
            ..sweep
        };
        encoder.encode(&frame, &mut out).expect("encodes");
    }
    encoder.flush(&mut out).expect("flushes");
    (out, sweep)
}

/// By how many samples `heard` comes later than `wanted`, and their correlation there.
pub(super) fn best_lag(heard: &[i16], wanted: &[i16]) -> (isize, f64) {
    let middle = wanted.len() / 2;
    let pattern: Vec<f64> = wanted[middle..middle + 1_500]
        .iter()
        .map(|s| f64::from(*s))
        .collect();
    let energy = |samples: &[f64]| samples.iter().map(|s| s * s).sum::<f64>();
    let own = energy(&pattern);
    (-2_100..=2_100_isize)
        .filter_map(|lag| {
            let start = middle.checked_add_signed(lag)?;
            let piece: Vec<f64> = heard
                .get(start..start + pattern.len())?
                .iter()
                .map(|s| f64::from(*s))
                .collect();
            let product: f64 = piece.iter().zip(&pattern).map(|(a, b)| a * b).sum();
            Some((lag, product / (energy(&piece) * own).sqrt()))
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .expect("some lag is within the sound")
}
