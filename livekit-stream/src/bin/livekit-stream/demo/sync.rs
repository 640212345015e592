//! Finds the flashes and the beeps in what was received, and how far apart they are.

use livekit_stream::{AudioFrame, VideoFrame};

/// Mean luma of the top left quarter from which it is the flash.
const FLASH_LUMA: usize = 200;
/// Every so many pixels and rows are looked at.
const STEP: usize = 8;
/// Level of a sample from which it is the beep.
const BEEP_LEVEL: u16 = 2000;
/// Silence before a beep: the tone itself crosses zero.
const SILENCE_US: i64 = 200_000;
/// Flash and beep of one second are nearer than those of the next.
const PAIRING_US: i64 = 500_000;

/// When flashes and beeps began, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    flashes: Vec<i64>,
    beeps: Vec<i64>,
    /// Whether the picture before was white; the first one's flash may be under way.
    white: Option<bool>,
    last_loud_us: Option<i64>,
}

impl Signals {
    /// Looks at a picture, of any format whose first plane is luma.
    pub(crate) fn see(&mut self, picture: &VideoFrame, timestamp_us: i64) {
        let (width, height) = (picture.width() as usize / 2, picture.height() as usize / 2);
        let rows = picture.rows(0).take(height).step_by(STEP);
        let pixels = rows.flat_map(|row| row.iter().take(width).step_by(STEP));
        let (sum, count) = pixels.fold((0, 0), |(sum, count), luma| {
            (sum + usize::from(*luma), count + 1)
        });
        let white = sum >= FLASH_LUMA * count.max(1);
        if white && self.white == Some(false) {
            self.flashes.push(timestamp_us);
        }
        self.white = Some(white);
    }

    /// Listens to sound of one channel.
    pub(crate) fn hear(&mut self, sound: &AudioFrame) {
        let rate = i64::from(sound.sample_rate.max(1));
        // The sound may begin within a beep.
        let mut quiet_since = *self.last_loud_us.get_or_insert(sound.timestamp_us);
        for (number, sample) in sound.samples.iter().enumerate() {
            if sample.unsigned_abs() < BEEP_LEVEL {
                continue;
            }
            let time_us = sound.timestamp_us + number as i64 * 1_000_000 / rate;
            if time_us - quiet_since >= SILENCE_US {
                self.beeps.push(time_us);
            }
            quiet_since = time_us;
        }
        self.last_loud_us = Some(quiet_since);
    }

    /// Takes in what another has seen or heard.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.flashes.extend(other.flashes);
        self.beeps.extend(other.beeps);
        self
    }

    /// For each flash with a beep: by how many microseconds the sound is late.
    pub(crate) fn offsets_us(&self) -> Vec<i64> {
        let nearest = |flash: &i64| {
            self.beeps
                .iter()
                .map(|beep| beep - flash)
                .min_by_key(|offset| offset.abs())
        };
        let offsets = self.flashes.iter().filter_map(nearest);
        offsets.filter(|offset| offset.abs() < PAIRING_US).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{self, FRAME_RATE, Scene};
    use super::*;

    #[test]
    fn flash_and_beep_of_the_scene_coincide() {
        let scene = Scene::new();
        let mut signals = Signals::default();
        for number in 0..70 {
            let picture = scene.picture(number).expect("a picture");
            signals.see(&picture, (number * 1_000_000 / FRAME_RATE) as i64);
        }
        for number in 0..120 {
            let mut sound = scene::sound(number * 960, 960);
            sound.timestamp_us += 5_000;
            signals.hear(&sound);
        }
        assert_eq!(
            signals.flashes,
            [1_000_000, 2_000_000],
            "the first began before"
        );
        let offsets = signals.offsets_us();
        assert_eq!(offsets.len(), 2);
        assert!(
            offsets.iter().all(|offset| (5_000..5_200).contains(offset)),
            "{offsets:?}"
        );
    }
}
