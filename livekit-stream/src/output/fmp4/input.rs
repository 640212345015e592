use bytes::Bytes;

use crate::frame::{EncodedFrame, VideoFrame, VideoFrameEvent};

/// What a [`FragmentedMp4Encoder`](super::FragmentedMp4Encoder) takes; everything here converts
/// into it by `into()`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum InputFrame {
    /// A picture; its place among the others and the frame rate give its time.
    Picture(VideoFrame),
    /// A picture with its time and rotation.
    Event(VideoFrameEvent),
    /// A picture as tightly packed rows of RGB24, timed like `Picture`.
    Rgb24(Bytes),
    /// A frame that is encoded already, with its time.
    Encoded(EncodedFrame),
}

impl From<VideoFrame> for InputFrame {
    fn from(frame: VideoFrame) -> Self {
        Self::Picture(frame)
    }
}

impl From<VideoFrameEvent> for InputFrame {
    fn from(event: VideoFrameEvent) -> Self {
        Self::Event(event)
    }
}

impl From<EncodedFrame> for InputFrame {
    fn from(frame: EncodedFrame) -> Self {
        Self::Encoded(frame)
    }
}

impl From<Bytes> for InputFrame {
    fn from(rgb24: Bytes) -> Self {
        Self::Rgb24(rgb24)
    }
}

impl From<Vec<u8>> for InputFrame {
    fn from(rgb24: Vec<u8>) -> Self {
        Self::Rgb24(rgb24.into())
    }
}
