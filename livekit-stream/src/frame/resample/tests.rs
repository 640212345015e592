use proptest::prelude::*;

use super::*;

/// A sine of `hertz` from the time zero on.
fn sine(hertz: f64, rate: u32, channels: u32, instants: usize) -> Vec<i16> {
    (0..instants)
        .flat_map(|i| {
            let phase = i as f64 * hertz / f64::from(rate) * std::f64::consts::TAU;
            std::iter::repeat_n((phase.sin() * 16_000.0) as i16, channels as usize)
        })
        .collect()
}

fn frame(samples: Vec<i16>, rate: u32, channels: u32, timestamp_us: i64) -> AudioFrame {
    AudioFrame {
        samples,
        sample_rate: rate,
        num_channels: channels,
        timestamp_us,
    }
}

/// How clean a sine of `hertz` is in decibels, and how many samples it comes late.
fn measure(samples: &[f64], hertz: f64, rate: u32) -> (f64, f64) {
    // Away from both ends, over whole periods.
    let omega = hertz / f64::from(rate) * std::f64::consts::TAU;
    let period = (f64::from(rate) / hertz * 100.0).round() as usize;
    let (mut sine, mut cosine, mut all) = (0.0, 0.0, 0.0);
    for (i, sample) in samples.iter().enumerate().skip(1_000).take(period) {
        sine += sample * (omega * i as f64).sin();
        cosine += sample * (omega * i as f64).cos();
        all += sample * sample;
    }
    let signal = (sine * sine + cosine * cosine) * 2.0 / period as f64;
    let noise = (all - signal).max(f64::MIN_POSITIVE);
    (10.0 * (signal / noise).log10(), -cosine.atan2(sine) / omega)
}

#[test]
fn a_sine_stays_the_same_sine_at_the_same_time() {
    for (from, to) in [
        (44_100, 48_000),
        (48_000, 16_000),
        (16_000, 48_000),
        (48_000, 44_100),
    ] {
        for channels in [1, 2] {
            let input = sine(400.0, from, channels, from as usize);
            let mut resampler = Resampler::new(to, channels).expect("in range");
            let mut output = Vec::new();
            for (index, piece) in input.chunks(441 * channels as usize).enumerate() {
                let timestamp = 5_000_000 + index as i64 * 441 * 1_000_000 / i64::from(from);
                let ready = resampler
                    .process(&frame(piece.to_vec(), from, channels, timestamp))
                    .expect("resamples");
                let before = output.len() as i64 / i64::from(channels);
                let expected = 5_000_000 + before * 1_000_000 / i64::from(to);
                assert!((ready.timestamp_us - expected).abs() <= 40, "{ready:?}");
                output.extend(ready.samples);
            }
            output.extend(resampler.flush().expect("flushes").samples);
            assert_eq!(output.len(), (to * channels) as usize, "{from} to {to}");
            let left = output.iter().step_by(channels as usize);
            let left: Vec<_> = left.map(|s| f64::from(*s)).collect();
            let (decibels, late) = measure(&left, 400.0, to);
            assert!(decibels > 60.0, "{from} to {to}: {decibels} dB");
            let coarse = f64::from(to) / f64::from(from.min(to));
            assert!(late.abs() < coarse, "{from} to {to}: {late} samples late");
        }
    }
}

#[test]
fn nothing_above_the_new_band_folds_back() {
    let input = frame(sine(9_500.0, 48_000, 1, 48_000), 48_000, 1, 0);
    let output = input.resample(16_000, 1).expect("resamples");
    let loudest = output.samples[1_000..15_000]
        .iter()
        .map(|s| s.unsigned_abs())
        .max();
    assert!(loudest < Some(60), "{loudest:?} of 16000");
}

#[test]
fn channels_are_mixed() {
    let mono = |samples: &[i16], channels| {
        let frame = frame(samples.to_vec(), 48_000, channels, 7);
        frame.resample(48_000, 1).expect("mixes")
    };
    assert_eq!(mono(&[100, 300, -5, -7], 2).samples, [200, -6]);
    assert_eq!(mono(&[i16::MAX, i16::MAX], 2).samples, [i16::MAX]);
    assert_eq!(mono(&[9, 9, 0], 3).samples, [6]);
    assert_eq!(mono(&[1, 2], 1).timestamp_us, 7);
    let stereo = frame(vec![1, 2], 48_000, 1, 0)
        .resample(48_000, 2)
        .expect("mixes");
    assert_eq!(stereo.samples, [1, 1, 2, 2]);
    let quad = frame(vec![10, 20, 30, 40], 48_000, 4, 0);
    assert_eq!(quad.resample(48_000, 2).expect("mixes").samples, [20, 30]);
}

#[test]
fn a_change_of_the_input_loses_nothing() {
    let mut resampler = Resampler::new(48_000, 2).expect("in range");
    let mut output = 0;
    for (rate, channels) in [(16_000, 1), (48_000, 2), (44_100, 2), (16_000, 2)] {
        let samples = vec![1; (rate / 10 * channels) as usize];
        let input = frame(samples, rate, channels, 0);
        output += resampler.process(&input).expect("resamples").samples.len();
    }
    output += resampler.flush().expect("flushes").samples.len();
    assert_eq!(output, 4 * 4_800 * 2);
}

#[test]
fn what_is_no_sound_is_refused() {
    assert_eq!(
        Resampler::new(0, 2).err(),
        Some(ResampleError::SampleRate(0))
    );
    assert!(Resampler::new(48_000, 3).is_err());
    let mut resampler = Resampler::new(48_000, 2).expect("in range");
    assert!(resampler.process(&AudioFrame::default()).is_err());
    assert!(resampler.process(&frame(vec![0; 2], 48_000, 0, 0)).is_err());
    assert!(resampler.process(&frame(vec![0; 3], 48_000, 2, 0)).is_err());
    assert!(
        resampler
            .process(&frame(vec![0; 2], u32::MAX, 2, 0))
            .is_err()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn counts_are_exact_however_it_is_cut(
        from in prop::sample::select(vec![8_000, 11_025, 16_000, 44_100, 48_000, 96_000]),
        to in prop::sample::select(vec![8_000, 16_000, 24_000, 44_100, 48_000]),
        pieces in prop::collection::vec(0..1_500_usize, 0..12),
        timestamp in any::<i64>(),
    ) {
        let mut resampler = Resampler::new(to, 1).expect("in range");
        let mut output = 0;
        for &piece in &pieces {
            let input = frame(vec![0; piece], from, 1, timestamp);
            output += resampler.process(&input).expect("resamples").samples.len();
        }
        output += resampler.flush().expect("flushes").samples.len();
        let taken = pieces.iter().sum::<usize>() as u64;
        prop_assert_eq!(output as u64, (taken * u64::from(to)).div_ceil(u64::from(from)));
    }
}
