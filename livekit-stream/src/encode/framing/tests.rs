use super::*;

const BLOCK: usize = 1024;
const RATE: i64 = 48_000;

fn framing(delay: usize) -> Framing {
    let options = AudioOptions {
        num_channels: 1,
        ..AudioOptions::default()
    };
    Framing::new(Codec::Aac, &options, BLOCK, delay).expect("in range")
}

/// 10 ms of sound.
fn ten_ms(value: i16, timestamp_us: i64) -> AudioFrame {
    AudioFrame {
        samples: vec![value; 480],
        sample_rate: 48_000,
        num_channels: 1,
        timestamp_us,
    }
}

/// What an encoder that delays by `delay` samples and a decoder would make of the sound: the
/// frames' times and samples.
fn through(framing: &mut Framing, delay: usize, frames: &[AudioFrame]) -> Vec<(i64, Vec<i16>)> {
    let mut pipe = vec![0; delay];
    let mut out = Vec::new();
    let mut take = |framing: &mut Framing, block: Vec<i16>| {
        pipe.extend(block);
        let decoded: Vec<i16> = pipe.drain(..BLOCK).collect();
        if let Some(time) = framing.time_of_frame() {
            out.push((time, decoded));
        }
    };
    for frame in frames {
        framing.push(frame).expect("takes sound");
        while let Some(block) = framing.next_block() {
            take(framing, block);
        }
    }
    framing.finish().expect("finishes");
    while let Some(block) = framing.last_block() {
        take(framing, block);
    }
    out
}

/// The sample that is heard at a time.
fn at(frames: &[(i64, Vec<i16>)], time_us: i64) -> Option<i16> {
    let (start, samples) = frames.iter().rev().find(|(start, _)| *start <= time_us)?;
    samples
        .get(((time_us - start) * RATE / 1_000_000) as usize)
        .copied()
}

fn frames_follow_each_other(frames: &[(i64, Vec<i16>)]) {
    let start = frames[0].0;
    for (index, (time, _)) in frames.iter().enumerate() {
        assert_eq!(*time, start + (index * BLOCK) as i64 * 1_000_000 / RATE);
    }
}

#[test]
fn every_delay_is_taken_out() {
    for delay in [0, 1, 312, 1023, 1024, 1600, 2048] {
        let input: Vec<_> = (0..100)
            .map(|i| ten_ms(i as i16 + 1, 1_000_000 + i * 10_000))
            .collect();
        let frames = through(&mut framing(delay), delay, &input);
        assert_eq!(frames.len(), 48_000_usize.div_ceil(BLOCK), "delay {delay}");
        frames_follow_each_other(&frames);
        for i in 0..100 {
            let heard = at(&frames, 1_000_000 + i * 10_000 + 5_000);
            assert_eq!(heard, Some(i as i16 + 1), "delay {delay}");
        }
    }
}

#[test]
fn jitter_moves_nothing() {
    let input: Vec<_> = (0..100_i64)
        .map(|i| {
            ten_ms(
                i as i16,
                500_000 + i * 10_000 + (i * 7_919 % 31 - 15) * 1_000,
            )
        })
        .collect();
    let start = input[0].timestamp_us;
    let frames = through(&mut framing(0), 0, &input);
    frames_follow_each_other(&frames);
    for i in 0..100 {
        assert_eq!(at(&frames, start + i * 10_000 + 5_000), Some(i as i16));
    }
}

#[test]
fn a_gap_becomes_silence() {
    let input: Vec<_> = (0..200)
        .filter(|i| !(50..110).contains(i))
        .map(|i| ten_ms(1000 + i as i16, i * 10_000))
        .collect();
    let frames = through(&mut framing(2048), 2048, &input);
    frames_follow_each_other(&frames);
    for i in 0..200 {
        let wanted = if (50..110).contains(&i) {
            0
        } else {
            1000 + i as i16
        };
        assert_eq!(at(&frames, i * 10_000 + 5_000), Some(wanted), "at {i}");
    }
}

#[test]
fn drift_is_made_up_for_in_both_directions() {
    for per_second in [-60_000, 60_000] {
        let input: Vec<_> = (0..3_000_i64)
            .map(|i| ten_ms((i % 1_000) as i16 + 1, i * 10_000 + i * per_second / 1_000))
            .collect();
        let frames = through(&mut framing(0), 0, &input);
        frames_follow_each_other(&frames);
        let mut worst = 0;
        for (time, samples) in &frames {
            let value = i64::from(samples[0]);
            if value == 0 {
                continue;
            }
            let index = input
                .iter()
                .position(|f| {
                    i64::from(f.samples[0]) == value && (f.timestamp_us - time).abs() < 1_000_000
                })
                .expect("the sound is of about that time");
            worst = worst.max((input[index].timestamp_us - time).abs());
        }
        // 20 ms are tolerated, half a second's drift is 30 ms more, and a piece is 10 ms long.
        assert!(worst <= 65_000, "{worst} us");
    }
}

#[test]
fn sound_that_is_there_already_is_dropped() {
    let input: Vec<_> = (0..100)
        .chain(70..200)
        .map(|i| ten_ms(i as i16 + 1, i * 10_000))
        .collect();
    let frames = through(&mut framing(0), 0, &input);
    frames_follow_each_other(&frames);
    for i in (0..100).chain(170..200) {
        assert_eq!(
            at(&frames, i * 10_000 + 5_000),
            Some(i as i16 + 1),
            "at {i}"
        );
    }
}

#[test]
fn after_a_long_gap_the_count_starts_anew() {
    let hour = 3_600_000_000;
    let input: Vec<_> = (0..50)
        .map(|i| ten_ms(i as i16 + 1, i * 10_000))
        .chain((0..50).map(|i| ten_ms(i as i16 + 101, hour + i * 10_000)))
        .collect();
    let frames = through(&mut framing(2048), 2048, &input);
    assert!(frames.len() < 60, "{} frames", frames.len());
    assert!(frames.iter().any(|(time, _)| *time == hour));
    for i in 0..50 {
        assert_eq!(at(&frames, i * 10_000 + 5_000), Some(i as i16 + 1));
        assert_eq!(at(&frames, hour + i * 10_000 + 5_000), Some(i as i16 + 101));
    }
}

#[test]
fn a_clock_that_starts_again_goes_on() {
    let late = 3_600_000_000;
    let input: Vec<_> = (0..50)
        .map(|i| ten_ms(i as i16 + 1, late + i * 10_000))
        .chain((0..50).map(|i| ten_ms(i as i16 + 51, i * 10_000)))
        .collect();
    let frames = through(&mut framing(0), 0, &input);
    frames_follow_each_other(&frames);
    for i in 0..100 {
        assert_eq!(at(&frames, late + i * 10_000 + 5_000), Some(i as i16 + 1));
    }
}

#[test]
fn no_sound_makes_no_frames() {
    assert!(through(&mut framing(2048), 2048, &[]).is_empty());
}
