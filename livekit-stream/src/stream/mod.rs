//! Streams of frames from one track: encoded, pictures, sound.
//!
//! Every stream owns a ring of its own behind the track's fan-out; a slow reader loses frames
//! there and nowhere else. Depends on [`crate::room`], [`crate::decode`] and [`crate::frame`].

mod audio;
mod choice;
mod decoded;
mod encoded;
mod error;
#[cfg(feature = "livekit")]
mod livekit;
mod source;
mod video;

pub use audio::{AudioStream, AudioStreamBuilder};
pub(crate) use choice::Choice;
pub use decoded::DecodedStream;
pub use encoded::{EncodedStream, EncodedVideoStream};
pub use error::StreamError;
pub(crate) use source::Current;
pub use source::FrameSource;
pub use video::{VideoStream, VideoStreamBuilder};
