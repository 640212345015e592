//! The figures shown of tracks and targets: sums from reports, rates from their differences.

use std::collections::HashMap;
use std::time::Instant;

use livekit_stream::{TargetReport, TrackReport, Treatment};

/// What was counted of one track when its line was made last.
struct Sample {
    at: Instant,
    frames: u64,
    bytes: u64,
}

/// Makes the lines.
#[derive(Default)]
pub(crate) struct Figures {
    last: HashMap<String, Sample>,
}

impl Figures {
    /// Name and figures of a track.
    pub(crate) fn track(&mut self, track: &TrackReport, now: Instant) -> (String, String) {
        let name = format!("{} {}", track.participant, track.source);
        if track.frames == 0 {
            let state = if track.codec.is_empty() {
                "nothing came yet"
            } else {
                "no keyframe yet"
            };
            return (name, state.to_owned());
        }
        let sample = Sample {
            at: now,
            frames: track.frames,
            bytes: track.bytes,
        };
        let last = self.last.insert(name.clone(), sample);
        let rates = last.map_or_else(String::new, |last| rates(&last, track, now));
        let treatment = match track.treatment {
            Treatment::Copied => format!("{} copied", track.codec),
            Treatment::Transcoded => format!("{} to {}", track.codec, track.written_codec),
        };
        let size = match (track.width, track.height) {
            (0, _) | (_, 0) => String::new(),
            (width, height) => format!(", {width}x{height}"),
        };
        let text = format!(
            "{}, {treatment}{size}{rates}, lost {}, recovered {}, dropped {}",
            seconds(track.duration_us),
            track.packets_lost,
            track.packets_recovered,
            track.frames_dropped,
        );
        (name, text)
    }
}

/// Name and figures of an RTMP target.
pub(crate) fn target(target: &TargetReport) -> (String, String) {
    let mut text = format!(
        "{}, {}, {} frames, dropped {}, reconnected {} times",
        target.state,
        bytes(target.bytes),
        target.video_frames + target.audio_frames,
        target.frames_dropped,
        target.reconnects,
    );
    if let Some(error) = &target.last_error {
        text = format!("{text} ({error})");
    }
    (target.target.clone(), text)
}

fn rates(last: &Sample, track: &TrackReport, now: Instant) -> String {
    let seconds = now
        .saturating_duration_since(last.at)
        .as_secs_f64()
        .max(0.001);
    let bits = track.bytes.saturating_sub(last.bytes) as f64 * 8.0 / seconds;
    let frames = track.frames.saturating_sub(last.frames) as f64 / seconds;
    let bits = if bits < 1e6 {
        format!("{:.0} kb/s", bits / 1e3)
    } else {
        format!("{:.2} Mb/s", bits / 1e6)
    };
    // Packets of sound are no frames to a reader, and their rate says nothing.
    if track.width == 0 {
        format!(", {bits}")
    } else {
        format!(", {bits}, {frames:.1} fps")
    }
}

/// Microseconds as seconds.
pub(crate) fn seconds(us: i64) -> String {
    format!("{:.1} s", us as f64 / 1e6)
}

/// Bytes in the unit that suits them.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_suit_the_number() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500), "1.5 kB");
        assert_eq!(bytes(12_340_000), "12.3 MB");
        assert_eq!(seconds(2_460_000), "2.5 s");
    }
}
