//! From encoded frames to pictures and sound, on threads of their own: a live stream never ends,
//! and tokio's blocking pool is for work that does.

use std::sync::Arc;

use futures::executor::block_on;

use super::CaptureError;
use super::rate::{Rate, Reorder};
use super::shared::{Shared, Undecoded};
use crate::codec::Codec;
use crate::decode::{self, AudioDecoder, DecodeError, VideoDecoder};
use crate::frame::{
    ConvertError, Resampler, VideoFrame, VideoFrameEvent, VideoRotation, VideoSize,
};
use crate::mux::AudioTrack;

/// Starts both threads.
pub(super) fn start(shared: &Arc<Shared>) -> Result<(), CaptureError> {
    let spawn = |name: &str, run: fn(&Shared)| {
        let shared = Arc::clone(shared);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&shared))
            .map_err(|error| CaptureError::Thread(Arc::new(error)))
    };
    spawn("rtmp-pictures", pictures)?;
    spawn("rtmp-sound", sound)?;
    Ok(())
}

/// Whether no later frame can be decoded either.
fn is_lasting(error: &CaptureError) -> bool {
    matches!(error, CaptureError::Decode(error) if matches!(
        **error,
        DecodeError::UnsupportedCodec { .. } | DecodeError::LibraryMissing { .. }
    ))
}

fn pictures(shared: &Shared) {
    let mut worker = Pictures {
        shared,
        decoder: None,
        reorder: Reorder::default(),
        rate: shared.options.fps.map(Rate::new),
        last_us: None,
    };
    while let Some(undecoded) = block_on(shared.undecoded_video.next()) {
        let decode_us = undecoded.decode_us;
        if let Err(error) = worker.decode(&undecoded) {
            tracing::warn!(%error, "a picture cannot be decoded");
            let mut buffer = shared.lock();
            buffer.counts.decode_errors += 1;
            buffer.video_error = is_lasting(&error).then(|| error.clone());
            buffer.counts.last_error = Some(error);
            drop(buffer);
            shared.changed();
        }
        worker.show(decode_us);
    }
    worker.finish();
    shared.lock().video_ended = true;
    shared.changed();
}

struct Pictures<'a> {
    shared: &'a Shared,
    decoder: Option<(Codec, Box<dyn VideoDecoder>)>,
    reorder: Reorder,
    rate: Option<Rate>,
    last_us: Option<i64>,
}

impl Pictures<'_> {
    fn decode(&mut self, undecoded: &Undecoded) -> Result<(), CaptureError> {
        let frame = &undecoded.frame;
        let decoder = match &mut self.decoder {
            Some((codec, decoder)) if *codec == frame.codec => decoder,
            other => {
                let decoder = decode::video_decoder(frame.codec)?;
                &mut other.insert((frame.codec, decoder)).1
            }
        };
        if let Some(picture) = decoder.decode(frame)? {
            self.reorder.push(decoder.timestamp_us(frame), picture);
        }
        Ok(())
    }

    /// Gives what waits in the decoder and here, at the end.
    fn finish(&mut self) {
        while let Some((_, decoder)) = &mut self.decoder
            && let Ok(Some((picture, timestamp_us))) = decoder.flush()
        {
            self.reorder.push(timestamp_us, picture);
        }
        self.show(i64::MAX);
    }

    /// Gives the pictures that nothing decoded after this moment comes before.
    fn show(&mut self, decode_us: i64) {
        while let Some((timestamp_us, picture)) = self.reorder.pop(decode_us) {
            // One that comes too late, after a jump of the source's clock.
            if self.last_us.is_some_and(|last| timestamp_us <= last) {
                self.shared.lock().counts.pictures_dropped += 1;
                continue;
            }
            self.last_us = Some(timestamp_us);
            let shared = self.shared;
            match &mut self.rate {
                Some(rate) => rate.push(timestamp_us, &picture, |timestamp_us, picture| {
                    give(shared, timestamp_us, picture);
                }),
                None => give(shared, timestamp_us, &picture),
            }
        }
    }
}

/// Scales, converts and hands over one picture.
fn give(shared: &Shared, timestamp_us: i64, picture: &VideoFrame) {
    let frame = match fit(shared, picture) {
        Ok(frame) => frame,
        Err(error) => {
            shared.note(error.into());
            shared.lock().counts.pictures_dropped += 1;
            return;
        }
    };
    let mut buffer = shared.lock();
    buffer.video_error = None;
    buffer.counts.pictures += 1;
    let capacity = shared.options.buffer_size;
    if capacity != 0 && buffer.pictures.len() >= capacity {
        buffer.pictures.pop_front();
        buffer.counts.pictures_dropped += 1;
    }
    if let Some(newest) = buffer.newest_us {
        buffer.interval_us = Some(timestamp_us.saturating_sub(newest));
    }
    buffer.newest_us = Some(timestamp_us);
    buffer.pictures.push_back(VideoFrameEvent {
        frame,
        timestamp_us,
        rotation: VideoRotation::Deg0,
    });
    drop(buffer);
    shared.changed();
}

fn fit(shared: &Shared, picture: &VideoFrame) -> Result<VideoFrame, ConvertError> {
    let options = &shared.options;
    let VideoSize { width, height } = wanted(picture.size(), options.width, options.height);
    let scaled = if (width, height) == (picture.width(), picture.height()) {
        picture.clone()
    } else {
        picture.scale(width, height)?
    };
    if scaled.format() == options.format {
        Ok(scaled)
    } else {
        scaled.convert(options.format, false)
    }
}

/// The size asked for; what is not asked for follows in proportion, to whole pairs of pixels.
fn wanted(size: VideoSize, width: Option<u32>, height: Option<u32>) -> VideoSize {
    let proportional = |side: u32, of: u32, asked: u32| {
        let exact = f64::from(side) * f64::from(asked) / f64::from(of.max(1));
        ((exact / 2.0).round() as u32 * 2).clamp(2, 16_384)
    };
    match (width, height) {
        (None, None) => size,
        (Some(width), Some(height)) => VideoSize { width, height },
        (Some(width), None) => VideoSize {
            width,
            height: proportional(size.height, size.width, width),
        },
        (None, Some(height)) => VideoSize {
            width: proportional(size.width, size.height, height),
            height,
        },
    }
}

fn sound(shared: &Shared) {
    let mut worker = SoundWorker::default();
    while let Some(undecoded) = block_on(shared.undecoded_audio.next()) {
        if let Err(error) = worker.decode(shared, &undecoded) {
            tracing::warn!(%error, "sound cannot be decoded");
            let mut buffer = shared.lock();
            buffer.counts.decode_errors += 1;
            buffer.audio_error = is_lasting(&error).then(|| error.clone());
            buffer.counts.last_error = Some(error);
        }
        shared.changed();
    }
    shared.lock().audio_ended = true;
    shared.changed();
}

#[derive(Default)]
struct SoundWorker {
    decoder: Option<(Arc<AudioTrack>, Box<dyn AudioDecoder>)>,
    resampler: Option<Resampler>,
}

impl SoundWorker {
    fn decode(&mut self, shared: &Shared, undecoded: &Undecoded) -> Result<(), CaptureError> {
        let Some(track) = &undecoded.track else {
            return Ok(());
        };
        let decoder = match &mut self.decoder {
            Some((known, decoder)) if Arc::ptr_eq(known, track) => decoder,
            other => {
                let decoder = match track.codec {
                    Codec::Aac => decode::aac_decoder(&track.codec_config)?,
                    codec => decode::audio_decoder(codec, 48_000, track.num_channels.min(2))?,
                };
                self.resampler = None;
                &mut other.insert((Arc::clone(track), decoder)).1
            }
        };
        let sound = decoder.decode(&undecoded.frame)?;
        let resampler = match &mut self.resampler {
            Some(resampler) => resampler,
            none => none.insert(Resampler::new(
                shared.options.audio_sample_rate,
                shared.options.audio_channels,
            )?),
        };
        let sound = resampler.process(&sound)?;
        let mut buffer = shared.lock();
        buffer.audio_error = None;
        buffer.sound.push(&sound);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_that_is_not_asked_for_follows_in_proportion() {
        let size = |width, height| VideoSize { width, height };
        let source = size(1280, 720);
        assert_eq!(wanted(source, None, None), source);
        assert_eq!(wanted(source, Some(640), None), size(640, 360));
        assert_eq!(wanted(source, None, Some(240)), size(426, 240));
        assert_eq!(wanted(source, Some(100), Some(100)), size(100, 100));
        assert_eq!(
            wanted(size(1, 9_000), Some(16_000), None),
            size(16_000, 16_384)
        );
    }
}
