//! Joins LiveKit rooms and turns remote tracks into frames, fragmented MP4 and RTMP.
//!
//! Encoded frames are the spine and decoding is a tap: what a publisher sends goes to a file or
//! to an RTMP server as it is, and is decoded only for those who ask for pixels.

pub mod codec;
pub mod decode;
pub mod encode;
pub mod frame;
pub mod input;
pub mod mux;
pub mod output;
pub mod rtmp;
pub mod rtp;
