//! What the synthetic publisher shows and plays: a drifting pattern with a bouncing ball and a
//! clock burned in; at every full second the top left quarter flashes white and a tone beeps.

use livekit_stream::{AudioFrame, ConvertError, VideoFormat, VideoFrame};

/// Pixels a row.
pub(crate) const WIDTH: usize = 1280;
/// Rows.
pub(crate) const HEIGHT: usize = 720;
/// Pictures a second.
pub(crate) const FRAME_RATE: u64 = 30;
/// Samples a second.
pub(crate) const SAMPLE_RATE: u32 = 48_000;

/// Flash and beep last a tenth of a second.
const SIGNAL_FRAMES: u64 = FRAME_RATE / 10;
const SIGNAL_SAMPLES: u64 = SAMPLE_RATE as u64 / 10;
const TONE_HZ: f64 = 440.0;
const TONE_AMPLITUDE: f64 = 0.5 * i16::MAX as f64;

/// Luma of white and of black in limited range (ITU-R BT.601).
const WHITE: u8 = 235;
const BLACK: u8 = 16;
/// Chroma of everything grey.
const GREY: u8 = 128;
/// After so many columns the pattern is the same again.
const PERIOD: usize = 512;
/// Columns by which the pattern drifts from picture to picture; even, for chroma has half.
const DRIFT: usize = 4;
const BALL: usize = 96;

/// Pixels of a digit's dots.
const DOT: usize = 12;
/// Columns of dots a digit takes, with the gap behind it.
const DIGIT_COLUMNS: usize = 6;
const CLOCK_LEFT: usize = 384;
const CLOCK_TOP: usize = 560;

/// Digits of five by seven dots, one byte a row, the leftmost dot in bit 4.
const FONT: [(char, [u8; 7]); 12] = [
    ('0', [0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e]),
    ('1', [0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e]),
    ('2', [0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f]),
    ('3', [0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e]),
    ('4', [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02]),
    ('5', [0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e]),
    ('6', [0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e]),
    ('7', [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08]),
    ('8', [0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e]),
    ('9', [0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c]),
    (':', [0x00, 0x0c, 0x0c, 0x00, 0x0c, 0x0c, 0x00]),
    ('.', [0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c]),
];

/// Draws pictures.
pub(crate) struct Scene {
    /// Rows of the pattern, one period wider than the picture: drifting is copying.
    luma: Vec<Vec<u8>>,
    blue: Vec<u8>,
    red: Vec<u8>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        // Up and down again over one period, between dark and medium grey.
        let wave = |at: usize, period: usize| {
            let at = at % period;
            let up = at.min(period - at);
            (up * 2 * 80 / period) as u8
        };
        let luma = (0..HEIGHT)
            .map(|row| {
                let columns = 0..WIDTH + PERIOD;
                columns
                    .map(|column| 50 + wave(column + row, PERIOD) / 2 + wave(row, 240))
                    .collect()
            })
            .collect();
        let chroma = |low: u8| {
            let columns = 0..WIDTH / 2 + PERIOD / 2;
            columns
                .map(|column| low + wave(column, PERIOD / 2))
                .collect()
        };
        Self {
            luma,
            blue: chroma(100),
            red: chroma(90),
        }
    }

    /// Picture `number`, shown at `number / FRAME_RATE` seconds.
    pub(crate) fn picture(&self, number: u64) -> Result<VideoFrame, ConvertError> {
        let mut picture = Canvas(Vec::with_capacity(WIDTH * HEIGHT * 3 / 2));
        let drift = number as usize * DRIFT % PERIOD;
        for row in &self.luma {
            picture.0.extend_from_slice(&row[drift..drift + WIDTH]);
        }
        for chroma in [&self.blue, &self.red] {
            for _ in 0..HEIGHT / 2 {
                picture
                    .0
                    .extend_from_slice(&chroma[drift / 2..drift / 2 + WIDTH / 2]);
            }
        }
        let bounce = |speed: usize, room: usize| {
            let at = number as usize * speed % (room * 2);
            at.min(room * 2 - at) & !1
        };
        picture.fill(
            bounce(10, WIDTH - BALL),
            bounce(6, HEIGHT - BALL),
            BALL,
            BALL,
            180,
        );
        if number % FRAME_RATE < SIGNAL_FRAMES {
            picture.fill(0, 0, WIDTH / 2, HEIGHT / 2, WHITE);
        }
        picture.clock(number);
        VideoFrame::new(VideoFormat::I420, WIDTH as u32, HEIGHT as u32, picture.0)
    }
}

/// An I420 picture.
struct Canvas(Vec<u8>);

impl Canvas {
    /// Fills a rectangle of even place and size with grey.
    fn fill(&mut self, left: usize, top: usize, width: usize, height: usize, luma: u8) {
        for row in self
            .0
            .chunks_exact_mut(WIDTH)
            .take(HEIGHT)
            .skip(top)
            .take(height)
        {
            row[left..left + width].fill(luma);
        }
        let (_, chroma) = self.0.split_at_mut(WIDTH * HEIGHT);
        for plane in chroma.chunks_exact_mut(WIDTH * HEIGHT / 4) {
            for row in plane
                .chunks_exact_mut(WIDTH / 2)
                .skip(top / 2)
                .take(height / 2)
            {
                row[left / 2..left / 2 + width / 2].fill(GREY);
            }
        }
    }

    /// Burns in the time of picture `number`.
    fn clock(&mut self, number: u64) {
        let (seconds, hundredths) = (number / FRAME_RATE, number % FRAME_RATE * 100 / FRAME_RATE);
        let text = format!(
            "{:02}:{:02}.{hundredths:02}",
            seconds / 60 % 100,
            seconds % 60
        );
        let columns = text.chars().count() * DIGIT_COLUMNS + 1;
        self.fill(CLOCK_LEFT, CLOCK_TOP, columns * DOT, 9 * DOT, BLACK);
        for (place, character) in text.chars().enumerate() {
            let Some((_, rows)) = FONT.iter().find(|(known, _)| *known == character) else {
                continue;
            };
            for (row, dots) in rows.iter().enumerate() {
                for column in (0..5).filter(|column| dots >> (4 - column) & 1 == 1) {
                    let left = CLOCK_LEFT + (place * DIGIT_COLUMNS + column + 1) * DOT;
                    self.fill(left, CLOCK_TOP + (row + 1) * DOT, DOT, DOT, WHITE);
                }
            }
        }
    }
}

/// The sound of `length` samples from sample `start` on, one channel.
pub(crate) fn sound(start: u64, length: usize) -> AudioFrame {
    let rate = u64::from(SAMPLE_RATE);
    let sample = |number: u64| {
        let since = number % rate;
        if since >= SIGNAL_SAMPLES {
            return 0;
        }
        let angle = std::f64::consts::TAU * TONE_HZ * since as f64 / rate as f64;
        (angle.sin() * TONE_AMPLITUDE) as i16
    };
    AudioFrame {
        samples: (start..start + length as u64).map(sample).collect(),
        sample_rate: SAMPLE_RATE,
        num_channels: 1,
        timestamp_us: (start * 1_000_000 / rate) as i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean luma of the top left quarter.
    fn quarter(picture: &VideoFrame) -> usize {
        let rows = picture.rows(0).take(HEIGHT / 2);
        let sum: usize = rows
            .flat_map(|row| &row[..WIDTH / 2])
            .map(|luma| usize::from(*luma))
            .sum();
        sum / (WIDTH * HEIGHT / 4)
    }

    #[test]
    fn the_quarter_flashes_for_a_tenth_of_each_second() {
        let scene = Scene::new();
        for (number, flashes) in [(0, true), (2, true), (3, false), (29, false), (30, true)] {
            let picture = scene.picture(number).expect("a picture");
            assert_eq!(quarter(&picture) > 200, flashes, "picture {number}");
        }
    }

    #[test]
    fn every_picture_of_a_minute_can_be_drawn() {
        let scene = Scene::new();
        for number in (0..60 * FRAME_RATE).step_by(7) {
            assert_eq!(
                scene.picture(number).map(|picture| picture.width()),
                Ok(WIDTH as u32)
            );
        }
    }

    #[test]
    fn the_tone_sounds_for_a_tenth_of_each_second() {
        let loud = |start| {
            sound(start, 960)
                .samples
                .iter()
                .any(|sample| sample.abs() > 1000)
        };
        assert!(loud(0) && loud(48_000) && !loud(4_800) && !loud(47_040));
        assert_eq!(sound(48_000, 960).timestamp_us, 1_000_000);
    }
}
