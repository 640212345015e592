use proptest::prelude::*;

use super::*;

const VIDEO: u32 = 90_000;
const AUDIO: u32 = 48_000;

/// A sender whose wall clock runs `ppm` fast against ours, and its network.
struct Sender {
    epoch: Instant,
    ppm: i64,
}

/// 2026 in NTP seconds, to have numbers of real size.
const NTP_EPOCH: u64 = 3_900_000_000;

impl Sender {
    /// The instant at a true time.
    fn at(&self, us: i64) -> Instant {
        self.epoch + Duration::from_micros(us as u64)
    }

    /// The sender's own clock at a true time, in microseconds since the start.
    fn own(&self, us: i64) -> i64 {
        us + us * self.ppm / 1_000_000
    }

    fn ntp(&self, us: i64) -> u64 {
        let own = self.own(us) as u64;
        (NTP_EPOCH + own / 1_000_000) << 32 | ((own % 1_000_000) << 32).div_ceil(1_000_000)
    }

    fn rtp(&self, us: i64, rate: u32, first: u32) -> u32 {
        first.wrapping_add((self.own(us) * i64::from(rate) / 1_000_000) as u32)
    }
}

#[test]
fn the_room_s_clock_counts_from_its_epoch_in_both_directions() {
    let before = Instant::now();
    let epoch = before + Duration::from_micros(7);
    let room = RoomClock::new(epoch);
    assert_eq!(room.time_us(epoch + Duration::from_micros(5)), 5);
    assert_eq!(room.time_us(before), -7);
}

#[test]
fn without_reports_the_spacing_is_the_sender_s_whatever_the_arrival() {
    let epoch = Instant::now();
    let mut track = RoomClock::new(epoch).participant().track(VIDEO);
    let first = u32::MAX - 100_000;
    for i in 0..1000_u32 {
        let jitter = u64::from(i * 7919 % 60) * 1_000;
        let arrival = epoch + Duration::from_micros(u64::from(i) * 1_000_000 / 30 + jitter);
        let time = track.timestamp_us(first.wrapping_add(i * 3000), arrival);
        let ticks = (time * 9 + 50).div_euclid(100);
        assert_eq!(ticks, i64::from(i) * 3000);
    }
    assert!(!track.is_synchronized());
}

#[test]
fn a_late_first_keyframe_is_made_up_for_before_reports_come() {
    let epoch = Instant::now();
    let at = |ms: u64| epoch + Duration::from_millis(ms);
    let mut track = RoomClock::new(epoch).participant().track(VIDEO);
    assert_eq!(track.timestamp_us(0, at(130)), 130_000);
    let mut last = 130_000;
    for n in 1..40_u32 {
        // Thirty milliseconds of way, and the first picture took a hundred more.
        let time = track.timestamp_us(n * 3_000, at(u64::from(n) * 1_000 / 30 + 31));
        assert!(time > last);
        last = time;
        let error = time - i64::from(n) * 1_000_000 / 30 - 30_000;
        assert!(n < 27 || error.abs() <= 4_000, "{error} us at {n}");
    }
    assert!(!track.is_synchronized());
    // Nobody sees less, and pictures stay as far apart as they were taken.
    let mut track = RoomClock::new(epoch).participant().track(VIDEO);
    for n in 0..40_u32 {
        let late = if n == 0 { 15 } else { 0 };
        let arrival = at(u64::from(n) * 1_000 / 30 + late + 30);
        let time = track.timestamp_us(n * 3_000, arrival);
        assert!((time - 45_000 - i64::from(n) * 1_000_000 / 30).abs() <= 1);
    }
}

#[test]
fn reports_bring_sound_and_picture_together_however_late_one_of_them_started() {
    let sender = Sender {
        epoch: Instant::now(),
        ppm: 0,
    };
    let participant = RoomClock::new(sender.epoch).participant();
    let mut video = participant.track(VIDEO);
    let mut audio = participant.track(AUDIO);
    let (mut picture, mut sound) = (Vec::new(), Vec::new());
    // Sound takes 15 ms. Pictures take 40 ms, the first ones 400 ms more, in a burst.
    for i in 0..1500_i64 {
        let capture = i * 20_000;
        let arrival = sender.at(capture + 15_000 + i * 7919 % 9_000);
        sound.push((
            capture,
            audio.timestamp_us(sender.rtp(capture, AUDIO, 77), arrival),
        ));
        if i % 250 == 100 {
            let (ntp, rtp) = (sender.ntp(capture), sender.rtp(capture, AUDIO, 77));
            audio.handle_sender_report(ntp, rtp, arrival);
        }
        if i % 2 == 0 && i >= 50 {
            let late = (2_000_000 - capture).clamp(0, 400_000);
            let arrival = sender.at(capture + 40_000 + late);
            let rtp = sender.rtp(capture, VIDEO, u32::MAX - 5);
            picture.push((capture, video.timestamp_us(rtp, arrival)));
            if i % 250 == 150 {
                let ntp = sender.ntp(capture);
                video.handle_sender_report(ntp, rtp, arrival);
            }
        }
    }
    assert!(video.is_synchronized() && audio.is_synchronized());
    assert!(
        video.correction_us() < -300_000,
        "{}",
        video.correction_us()
    );
    let error = |(capture, time): (i64, i64)| time - capture;
    for (picture, sound) in picture.iter().rev().zip(sound.iter().rev()).take(400) {
        let offset = error(*picture) - error(*sound);
        assert!(offset.abs() <= 1_000, "{offset}");
    }
    for times in [picture, sound] {
        assert!(times.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }
}

#[test]
fn a_clock_100_ppm_off_is_followed_within_5_ms_for_two_hours() {
    for ppm in [-100, 100] {
        let sender = Sender {
            epoch: Instant::now(),
            ppm,
        };
        let mut track = RoomClock::new(sender.epoch).participant().track(VIDEO);
        let (delay, mut last) = (20_000, -1);
        for i in 0..72_000_i64 {
            let capture = i * 100_000;
            let rtp = sender.rtp(capture, VIDEO, 12345);
            // Queues add up to 30 ms, and every tenth frame none.
            let arrival = sender.at(capture + delay + i * 7919 % 10 * 3_000);
            let time = track.timestamp_us(rtp, arrival);
            assert!(time > last);
            last = time;
            let error = time - capture - delay;
            assert!(i < 100 || error.abs() <= 5_000, "{error} us at {i}");
            if i % 50 == 10 {
                track.handle_sender_report(sender.ntp(capture), rtp, arrival);
            }
        }
    }
}

#[test]
fn without_drift_reports_leave_the_spacing_exact() {
    let sender = Sender {
        epoch: Instant::now(),
        ppm: 0,
    };
    let mut track = RoomClock::new(sender.epoch).participant().track(AUDIO);
    let mut times = Vec::new();
    for i in 0..5_000_i64 {
        let capture = i * 20_000;
        let arrival = sender.at(capture + 5_000 + i * 7919 % 2_000);
        times.push(track.timestamp_us(sender.rtp(capture, AUDIO, 9), arrival));
        if i % 250 == 0 {
            // Senders' reports are a millisecond or so off.
            let wrong = i / 250 % 3 * 500;
            let rtp = sender.rtp(capture + wrong, AUDIO, 9);
            track.handle_sender_report(sender.ntp(capture), rtp, arrival);
        }
    }
    assert!(
        times[100..]
            .windows(2)
            .all(|pair| pair[1] - pair[0] == 20_000)
    );
}

/// Sound and pictures of the same moments, reported each `interval` of 20 ms. `ahead_us` tells how
/// far the wall clock in the reports is ahead, of pictures and of sound; `check` sees how far apart
/// both are placed.
fn side_by_side(
    ppm: i64,
    interval: i64,
    ahead_us: impl Fn(i64) -> (i64, i64),
    check: impl Fn(i64, i64),
) -> TrackClock {
    let epoch = Instant::now();
    let sender = Sender { epoch, ppm };
    let participant = RoomClock::new(sender.epoch).participant();
    let mut video = participant.track(VIDEO);
    let mut audio = participant.track(AUDIO);
    for i in 0..3_000_i64 {
        let capture = i * 20_000;
        let arrival = sender.at(capture + 10_000);
        let sound_rtp = sender.rtp(capture, AUDIO, 9);
        let picture_rtp = sender.rtp(capture, VIDEO, 7);
        let sound = audio.timestamp_us(sound_rtp, arrival);
        let picture = video.timestamp_us(picture_rtp, arrival);
        if i % interval == 10 {
            let (pictures_us, sound_us) = ahead_us(i);
            video.handle_sender_report(sender.ntp(capture + pictures_us), picture_rtp, arrival);
            audio.handle_sender_report(sender.ntp(capture + sound_us), sound_rtp, arrival);
        }
        check(i, picture - sound);
    }
    audio
}

#[test]
fn a_report_of_a_busy_sender_does_not_part_sound_and_picture() {
    // What was sent 80 ms late is told as if it were of now, in two reports of five.
    let late = |i: i64| if i / 150 % 5 < 2 { 80_000 } else { 0 };
    side_by_side(
        50,
        150,
        |i| (late(i), 0),
        |i, apart| {
            // Reports come every three seconds; with two there is no telling which is wrong, with
            // three of which two are late neither.
            assert!(i <= 700 || apart.abs() <= 4_000, "{apart} us at {i}");
        },
    );
}

#[test]
fn a_wall_clock_that_was_set_by_two_seconds_is_followed_by_the_second_report() {
    let set = |i| if i >= 1_000 { 2_000_000 } else { 0 };
    let audio = side_by_side(
        0,
        100,
        |i| (set(i), set(i)),
        |i, apart| assert!(apart.abs() <= 4_000, "{apart} us at {i}"),
    );
    assert_eq!(audio.told.0.len(), 5);
}

#[test]
fn a_jump_of_rtp_time_against_arrival_begins_anew_at_the_arrival() {
    let epoch = Instant::now();
    let at = |ms| epoch + Duration::from_millis(ms);
    let mut track = RoomClock::new(epoch).participant().track(VIDEO);
    assert_eq!(track.timestamp_us(1000, at(100)), 100_000);
    // Five minutes of RTP time in 40 ms.
    assert_eq!(track.timestamp_us(27_001_000, at(140)), 140_000);
    assert_eq!(track.timestamp_us(27_004_600, at(180)), 180_000);
    // Back again: still forward in time.
    assert_eq!(track.timestamp_us(5000, at(220)), 220_000);
    // A pause that both clocks agree on is none.
    let (rtp, arrival) = (5000 + 90_000 * 600, at(600_225));
    assert_eq!(track.timestamp_us(rtp, arrival), 600_220_000);
    // A timestamp that goes back a little.
    assert_eq!(track.timestamp_us(rtp - 3000, arrival), 600_220_001);
}

#[test]
fn reports_that_cannot_be_are_ignored_until_they_insist() {
    let sender = Sender {
        epoch: Instant::now(),
        ppm: 0,
    };
    let mut track = RoomClock::new(sender.epoch).participant().track(VIDEO);
    let hour = 3600_u64 << 32;
    let mut time = 0;
    for i in 0..300_i64 {
        let capture = i * 40_000;
        let (rtp, arrival) = (sender.rtp(capture, VIDEO, 5), sender.at(capture + 10_000));
        time = track.timestamp_us(rtp, arrival);
        let ntp = sender.ntp(capture);
        match i {
            25 | 50 => track.handle_sender_report(ntp, rtp, arrival),
            30 => track.handle_sender_report(0, rtp, arrival),
            60 => track.handle_sender_report(ntp + hour, rtp, arrival),
            61 => track.handle_sender_report(ntp, rtp.wrapping_add(1 << 30), arrival),
            // The sender's clock was set.
            100 => track.handle_sender_report(ntp - hour, rtp, arrival),
            _ => {}
        }
        assert_eq!(time, capture + 10_000);
        assert_eq!(track.is_synchronized(), i >= 25);
    }
    assert_eq!(time, 299 * 40_000 + 10_000);
}

#[test]
fn a_report_before_the_first_frame_counts() {
    let sender = Sender {
        epoch: Instant::now(),
        ppm: 0,
    };
    let mut track = RoomClock::new(sender.epoch).participant().track(VIDEO);
    track.handle_sender_report(sender.ntp(0), sender.rtp(0, VIDEO, 3), sender.at(1000));
    track.timestamp_us(sender.rtp(40_000, VIDEO, 3), sender.at(50_000));
    assert!(track.is_synchronized());
}

proptest! {
    #[test]
    fn time_never_goes_back_and_nothing_panics(
        steps in proptest::collection::vec((any::<u32>(), 0..20_000_000_u64, any::<u64>(), any::<bool>()), 1..60),
        rate in prop_oneof![Just(0_u32), Just(VIDEO), Just(AUDIO), any::<u32>()],
    ) {
        let epoch = Instant::now();
        let mut track = RoomClock::new(epoch).participant().track(rate);
        let (mut now, mut last) = (epoch, i64::MIN);
        for (rtp, wait, ntp, report) in steps {
            now += Duration::from_micros(wait);
            if report {
                track.handle_sender_report(ntp, rtp, now);
            } else {
                let time = track.timestamp_us(rtp, now);
                prop_assert!(time > last);
                last = time;
            }
        }
    }
}
