//! Scaling: bilinear where a picture grows; where it shrinks, the same filter widened to the area
//! that each new pixel covers, so that nothing is skipped.

use super::format::VideoFormat;
use super::video::{ConvertError, VideoFrame, planes_of};

/// Fraction bits of the weights.
const WEIGHT_BITS: u32 = 14;
/// Fraction bits kept between the vertical and the horizontal pass.
const MIDDLE_BITS: u32 = 6;

impl VideoFrame {
    /// The picture at another size, in the same format, with tight rows.
    ///
    /// ```
    /// use livekit_stream::frame::{VideoFormat, VideoFrame};
    ///
    /// let frame = VideoFrame::new(VideoFormat::Rgb24, 2, 1, vec![0, 0, 0, 100, 200, 50])?;
    /// assert_eq!(frame.scale(1, 1)?.data()[..], [50, 100, 25]);
    /// # Ok::<(), livekit_stream::frame::ConvertError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConvertError::SizeOutOfRange`].
    pub fn scale(&self, width: u32, height: u32) -> Result<Self, ConvertError> {
        let planes = planes_of(self.format(), width, height)?;
        if (width, height) == (self.width(), self.height()) {
            return Ok(self.tight());
        }
        let mut data = Vec::with_capacity(planes.iter().map(|p| p.row_bytes * p.rows).sum());
        for (index, (from, to)) in self.planes().iter().zip(&planes).enumerate() {
            let channels = channels(self.format(), index);
            let bytes = if self.format() == VideoFormat::I010 {
                2
            } else {
                1
            };
            let rows: Vec<_> = self.rows(index).collect();
            let vertical = Taps::new(from.rows, to.rows);
            let pixel = channels * bytes;
            let horizontal = Taps::new(from.row_bytes / pixel, to.row_bytes / pixel);
            let mut line = vec![0; from.row_bytes / bytes];
            for y in 0..to.rows {
                line.fill(1 << (WEIGHT_BITS - MIDDLE_BITS - 1));
                for (&weight, row) in vertical.weights(y).iter().zip(&rows[vertical.first(y)..]) {
                    if bytes == 1 {
                        add(&mut line, weight, row.iter().map(|s| i32::from(*s)));
                    } else {
                        let words = row.as_chunks::<2>().0.iter();
                        add(
                            &mut line,
                            weight,
                            words.map(|b| i32::from(u16::from_le_bytes(*b))),
                        );
                    }
                }
                for sample in &mut line {
                    *sample >>= WEIGHT_BITS - MIDDLE_BITS;
                }
                for x in 0..to.row_bytes / pixel {
                    let first = horizontal.first(x) * channels;
                    for channel in first..first + channels {
                        let samples = line[channel..].iter().step_by(channels);
                        let sum: i32 = horizontal
                            .weights(x)
                            .iter()
                            .zip(samples)
                            .map(|(weight, sample)| weight * sample)
                            .sum();
                        let rounded = sum + (1 << (WEIGHT_BITS + MIDDLE_BITS - 1));
                        let sample = rounded >> (WEIGHT_BITS + MIDDLE_BITS);
                        if bytes == 1 {
                            data.push(sample.clamp(0, 255) as u8);
                        } else {
                            data.extend_from_slice(&(sample.clamp(0, 1023) as u16).to_le_bytes());
                        }
                    }
                }
            }
        }
        Ok(Self::with_planes(self.format(), width, height, data, planes)?.with_color(self.color()))
    }
}

/// Components that lie side by side in a plane.
fn channels(format: VideoFormat, plane: usize) -> usize {
    match (format, plane) {
        (VideoFormat::Rgba | VideoFormat::Abgr | VideoFormat::Argb | VideoFormat::Bgra, _) => 4,
        (VideoFormat::Rgb24, _) => 3,
        (VideoFormat::Nv12, 1) => 2,
        _ => 1,
    }
}

fn add(line: &mut [i32], weight: i32, samples: impl Iterator<Item = i32>) {
    for (sum, sample) in line.iter_mut().zip(samples) {
        *sum += weight * sample;
    }
}

/// Which samples make each new one, and with which weights; these add up to one.
struct Taps {
    first: Vec<usize>,
    weights: Vec<i32>,
    /// Weights of each new sample.
    count: usize,
}

impl Taps {
    fn new(from: usize, to: usize) -> Self {
        let step = from as f64 / to as f64;
        let reach = step.max(1.0);
        let count = (2 * reach.ceil() as usize + 1).min(from);
        let mut first = Vec::with_capacity(to);
        let mut weights = Vec::with_capacity(to * count);
        for i in 0..to {
            let center = (i as f64 + 0.5) * step - 0.5;
            let lowest = (center - reach).ceil() as isize;
            let start = lowest.clamp(0, (from - count) as isize);
            let mut shares = vec![0.0; count];
            for at in lowest..=(center + reach).floor() as isize {
                // What lies outside counts as the sample at the edge.
                let inside = (at.clamp(0, from as isize - 1) - start).clamp(0, count as isize - 1);
                shares[inside as usize] += (1.0 - (at as f64 - center).abs() / reach).max(0.0);
            }
            let sum: f64 = shares.iter().sum();
            let one = 1 << WEIGHT_BITS;
            let start_of_weights = weights.len();
            weights.extend(
                shares
                    .iter()
                    .map(|s| (s / sum * f64::from(one)).round() as i32),
            );
            let own = &mut weights[start_of_weights..];
            let missing = one - own.iter().sum::<i32>();
            if let Some(largest) = own.iter_mut().max() {
                *largest += missing;
            }
            first.push(start as usize);
        }
        Self {
            first,
            weights,
            count,
        }
    }

    fn first(&self, index: usize) -> usize {
        self.first[index]
    }

    fn weights(&self, index: usize) -> &[i32] {
        &self.weights[index * self.count..][..self.count]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::ffmpeg::{ffmpeg, psnr};

    #[test]
    fn pictures_are_those_of_ffmpegs_bilinear_scaler() {
        for (format, name) in [
            (VideoFormat::Rgb24, "rgb24"),
            (VideoFormat::I444, "yuv444p"),
            (VideoFormat::Rgba, "rgba"),
            (VideoFormat::I420, "yuv420p"),
            (VideoFormat::Nv12, "nv12"),
        ] {
            let source = "-f lavfi -i testsrc2=s=320x240 -frames:v 1";
            let Some(data) = ffmpeg(&format!("{source} -pix_fmt {name} -f rawvideo -"), &[]) else {
                return;
            };
            let frame = VideoFrame::new(format, 320, 240, data).expect("length fits");
            for (width, height) in [(160, 120), (480, 360), (212, 160), (640, 120)] {
                let wanted = ffmpeg(
                    &format!(
                        "-f rawvideo -pix_fmt {name} -s 320x240 -i - -vf scale={width}:{height}:flags=bilinear+accurate_rnd+full_chroma_int+full_chroma_inp -pix_fmt {name} -f rawvideo -"
                    ),
                    frame.data(),
                )
                .expect("ffmpeg is there");
                let scaled = frame.scale(width, height).expect("in range");
                let decibels = psnr(scaled.data(), &wanted);
                assert!(
                    decibels > 38.0,
                    "{format:?} {width}x{height}: {decibels} dB"
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_even_colour_stays_what_it_is(
            format in prop::sample::select(VideoFormat::ALL.to_vec()),
            from in (1..80_u32, 1..80_u32),
            to in (1..80_u32, 1..80_u32),
            value in any::<u8>(),
        ) {
            let length = format.frame_len(from.0, from.1).expect("in range");
            let mut data = vec![value; length];
            if format == VideoFormat::I010 {
                data.iter_mut().skip(1).step_by(2).for_each(|high| *high &= 3);
            }
            let (low, high) = (data[0], data[data.len() - 1]);
            let frame = VideoFrame::new(format, from.0, from.1, data).expect("length fits");
            let scaled = frame.scale(to.0, to.1).expect("in range");
            prop_assert_eq!((scaled.width(), scaled.height()), to);
            let same = |(i, v): (usize, &u8)| *v == [low, high][i % 2];
            prop_assert!(scaled.data().iter().enumerate().all(same));
        }
    }
}
