//! A media encoder without FFmpeg: pictures as H.264, sound as AAC or Opus, in the containers of
//! [`crate::mux`].

mod audio;
mod container;
mod interleave;
mod plan;
mod rtmp;
mod sink;
mod video;

use super::MediaEncoderError;
use super::backend::{Backend, Spec};
use super::chunk::{Picture, Samples};
use crate::frame::EncodedFrame;
use crate::mux::Track;
use audio::AudioPipe;
use container::Container;
use interleave::Interleaver;
use plan::{Plan, StreamPlan};
use video::VideoPipe;

/// Whether the whole can be done natively; an error says what cannot.
pub(super) fn check(spec: &Spec) -> Result<(), MediaEncoderError> {
    Plan::new(spec).map(|_| ())
}

pub(super) fn open(spec: Spec) -> Result<Box<dyn Backend>, MediaEncoderError> {
    let plan = Plan::new(&spec)?;
    let mut pipes = Vec::new();
    let mut tracks: Vec<Track> = Vec::new();
    for stream in &plan.streams {
        let pipe = match stream {
            StreamPlan::Audio(audio) => Pipe::Audio(AudioPipe::new(audio)?),
            StreamPlan::Video(video) => Pipe::Video(Box::new(VideoPipe::new(video)?)),
        };
        tracks.push(match &pipe {
            Pipe::Audio(audio) => audio.track()?.into(),
            Pipe::Video(video) => video.track().clone().into(),
        });
        pipes.push(pipe);
    }
    let container = container::open(spec, &plan, tracks)?;
    Ok(Box::new(NativeBackend {
        interleaver: Interleaver::new(pipes.len()),
        pipes,
        container,
        encoded: Vec::new(),
    }))
}

enum Pipe {
    Audio(AudioPipe),
    Video(Box<VideoPipe>),
}

struct NativeBackend {
    pipes: Vec<Pipe>,
    interleaver: Interleaver,
    container: Box<dyn Container>,
    /// What the pipe in use gave.
    encoded: Vec<EncodedFrame>,
}

impl NativeBackend {
    /// Passes on what `index` gave, in the order of time with the other streams.
    fn pass_on(&mut self, index: usize, all: bool) -> Result<(), MediaEncoderError> {
        for frame in self.encoded.drain(..) {
            self.interleaver.push(index, frame);
        }
        while let Some((index, frame)) = self.interleaver.next(all) {
            self.container.write(index, frame)?;
        }
        Ok(())
    }
}

impl Backend for NativeBackend {
    fn write_audio(
        &mut self,
        index: usize,
        samples: &Samples,
        first: i64,
    ) -> Result<(), MediaEncoderError> {
        if let Some(Pipe::Audio(pipe)) = self.pipes.get_mut(index) {
            pipe.write(samples, first, &mut self.encoded)?;
        }
        self.pass_on(index, false)
    }

    fn write_video(
        &mut self,
        index: usize,
        picture: &Picture,
        at: i64,
    ) -> Result<(), MediaEncoderError> {
        if let Some(Pipe::Video(pipe)) = self.pipes.get_mut(index) {
            pipe.write(picture, at, &mut self.encoded)?;
        }
        self.pass_on(index, false)
    }

    fn flush(&mut self) -> Result<(), MediaEncoderError> {
        self.pass_on(0, true)?;
        self.container.flush()
    }

    fn close(&mut self) -> Result<(), MediaEncoderError> {
        for index in 0..self.pipes.len() {
            match self.pipes.get_mut(index) {
                Some(Pipe::Audio(pipe)) => pipe.finish(&mut self.encoded)?,
                Some(Pipe::Video(pipe)) => pipe.finish(&mut self.encoded)?,
                None => {}
            }
            self.pass_on(index, false)?;
        }
        self.pass_on(0, true)?;
        self.container.close()
    }
}
