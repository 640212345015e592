//! Every muxer, encoder, filter and device of FFmpeg behind
//! [`StreamingMediaEncoder`](crate::output::StreamingMediaEncoder).

mod device;
mod encoder;
mod filter;
mod lists;
mod muxer;

use std::collections::BTreeMap;

use crate::output::media::{MediaEncoderError, Spec, StreamName, StreamOptions};

use encoder::Encoder;
use filter::Filter;
use muxer::Muxer;

pub(crate) use lists::{audio_encoders, muxers, output_devices, video_encoders};

use crate::output::media::{Backend, Picture, Samples};

/// Opens the output.
pub(crate) fn open(mut spec: Spec) -> Result<Box<dyn Backend>, MediaEncoderError> {
    super::start();
    let mut muxer = Muxer::new(&spec)?;
    let mut pipes = Vec::new();
    for (index, options) in spec.streams.iter().enumerate() {
        let name = options.name(index);
        let (filter, encoder) = match options {
            StreamOptions::Audio(audio) => encoder::audio(name, audio, &muxer)?,
            StreamOptions::Video(video) => encoder::video(name, video, &muxer)?,
        };
        muxer.add_stream(&encoder)?;
        pipes.push(Pipe {
            name,
            filter,
            encoder,
        });
    }
    muxer.open(&mut spec)?;
    Ok(Box::new(FfmpegBackend { muxer, pipes }))
}

/// One stream: filtered, encoded, muxed.
struct Pipe {
    name: StreamName,
    filter: Filter,
    encoder: Encoder,
}

struct FfmpegBackend {
    muxer: Muxer,
    pipes: Vec<Pipe>,
}

impl FfmpegBackend {
    /// Passes on what the filter of `index` has ready.
    fn pass_on(&mut self, index: usize) -> Result<(), MediaEncoderError> {
        let Some(pipe) = self.pipes.get_mut(index) else {
            return Ok(());
        };
        while let Some(frame) = pipe.filter.next()? {
            pipe.encoder.send(pipe.name, Some(frame))?;
            while let Some(packet) = pipe.encoder.receive(pipe.name)? {
                self.muxer.write(index, packet, pipe.encoder.time_base())?;
            }
        }
        Ok(())
    }

    fn end(&mut self, index: usize) -> Result<(), MediaEncoderError> {
        if let Some(pipe) = self.pipes.get_mut(index) {
            pipe.filter.end()?;
        }
        self.pass_on(index)?;
        if let Some(pipe) = self.pipes.get_mut(index) {
            pipe.encoder.send(pipe.name, None)?;
            while let Some(packet) = pipe.encoder.receive(pipe.name)? {
                self.muxer.write(index, packet, pipe.encoder.time_base())?;
            }
        }
        Ok(())
    }
}

impl Backend for FfmpegBackend {
    fn write_audio(
        &mut self,
        index: usize,
        samples: &Samples,
        first: i64,
    ) -> Result<(), MediaEncoderError> {
        if let Some(pipe) = self.pipes.get_mut(index) {
            pipe.filter.add_sound(samples, first)?;
        }
        self.pass_on(index)
    }

    fn write_video(
        &mut self,
        index: usize,
        picture: &Picture,
        at: i64,
    ) -> Result<(), MediaEncoderError> {
        if let Some(pipe) = self.pipes.get_mut(index) {
            pipe.filter.add_picture(picture, at)?;
        }
        self.pass_on(index)
    }

    fn flush(&mut self) -> Result<(), MediaEncoderError> {
        self.muxer.flush()
    }

    fn close(&mut self) -> Result<(), MediaEncoderError> {
        for index in 0..self.pipes.len() {
            self.end(index)?;
        }
        self.muxer.close()
    }
}

/// An error of FFmpeg's, about what was being done.
fn failed(doing: &str, error: ffmpeg_next::Error) -> MediaEncoderError {
    MediaEncoderError::Library {
        library: "FFmpeg",
        reason: format!("{doing}: {error}"),
    }
}

/// A zero byte would end a C string early.
fn check_text(
    stream: Option<StreamName>,
    option: &str,
    value: &str,
) -> Result<(), MediaEncoderError> {
    if value.contains('\0') {
        return Err(MediaEncoderError::option(
            stream,
            option,
            value,
            "text without zero bytes",
        ));
    }
    Ok(())
}

/// Options as FFmpeg takes them.
fn dictionary(
    stream: Option<StreamName>,
    options: &BTreeMap<String, String>,
) -> Result<ffmpeg_next::Dictionary<'static>, MediaEncoderError> {
    let mut dictionary = ffmpeg_next::Dictionary::new();
    for (name, value) in options {
        check_text(stream, name, name)?;
        check_text(stream, name, value)?;
        dictionary.set(name, value);
    }
    Ok(dictionary)
}

/// Options that nobody took are mistakes.
fn all_taken(
    stream: Option<StreamName>,
    rest: &ffmpeg_next::DictionaryRef,
    whose: &str,
) -> Result<(), MediaEncoderError> {
    match rest.iter().next() {
        None => Ok(()),
        Some((name, value)) => Err(MediaEncoderError::option(
            stream,
            name,
            value,
            &format!("{whose} has no such option"),
        )),
    }
}
