//! The Opus encoder of `unsafe-libopus` (libopus translated to Rust) behind a safe interface.

#![allow(unsafe_code)]

use std::ptr::NonNull;

use unsafe_libopus::{
    OPUS_APPLICATION_AUDIO, OPUS_GET_LOOKAHEAD_REQUEST, OPUS_OK, OPUS_SET_BITRATE_REQUEST,
    OpusEncoder, opus_encode, opus_encoder_create, opus_encoder_ctl, opus_encoder_destroy,
};

use super::EncodeError;
use crate::codec::Codec;

/// The longest packet of 20 ms (RFC 6716 section 3.4).
const MAX_PACKET: usize = 1275;

/// An encoder's state.
pub(super) struct Encoder {
    state: NonNull<OpusEncoder>,
    num_channels: usize,
}

// SAFETY: the state is a plain block of memory that only this value points to; nothing in it
// belongs to a thread.
unsafe impl Send for Encoder {}

impl Encoder {
    /// `sample_rate` is 8, 12, 16, 24 or 48 kHz and `num_channels` 1 or 2, else it fails.
    pub(super) fn new(
        sample_rate: u32,
        num_channels: u32,
        bit_rate: u32,
    ) -> Result<Self, EncodeError> {
        let mut error = OPUS_OK;
        // SAFETY: `error` outlives the call; bad arguments give a null pointer and an error.
        let state = unsafe {
            opus_encoder_create(
                sample_rate as i32,
                num_channels as i32,
                OPUS_APPLICATION_AUDIO,
                &raw mut error,
            )
        };
        let encoder = Self {
            state: NonNull::new(state).ok_or_else(|| failure(error))?,
            num_channels: num_channels as usize,
        };
        // SAFETY: the state is live, and this request takes one integer.
        let set = unsafe {
            opus_encoder_ctl!(
                encoder.state.as_ptr(),
                OPUS_SET_BITRATE_REQUEST,
                bit_rate as i32
            )
        };
        if set == OPUS_OK {
            Ok(encoder)
        } else {
            Err(failure(set))
        }
    }

    /// Samples of each channel by which decoded sound comes late.
    pub(super) fn delay(&mut self) -> usize {
        let mut delay = 0;
        // SAFETY: the state is live, and this request takes a reference to an integer.
        unsafe {
            opus_encoder_ctl!(self.state.as_ptr(), OPUS_GET_LOOKAHEAD_REQUEST, &mut delay);
        }
        usize::try_from(delay).unwrap_or(0)
    }

    /// Encodes 2.5, 5, 10, 20, 40 or 60 ms of interleaved samples to one packet.
    pub(super) fn encode(&mut self, samples: &[i16]) -> Result<Vec<u8>, EncodeError> {
        let mut packet = vec![0; MAX_PACKET];
        // SAFETY: the state is live; `samples` holds the given count of each channel; `packet`
        // is as long as the call is told.
        let length = unsafe {
            opus_encode(
                self.state.as_ptr(),
                samples.as_ptr(),
                (samples.len() / self.num_channels) as i32,
                packet.as_mut_ptr(),
                packet.len() as i32,
            )
        };
        packet.truncate(usize::try_from(length).map_err(|_| failure(length))?);
        Ok(packet)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: `state` came from `opus_encoder_create` and is destroyed once.
        unsafe { opus_encoder_destroy(self.state.as_ptr()) }
    }
}

/// The error of a negative return value.
fn failure(code: i32) -> EncodeError {
    let reason = match code {
        unsafe_libopus::OPUS_BAD_ARG => "bad argument",
        unsafe_libopus::OPUS_BUFFER_TOO_SMALL => "the packet does not fit",
        unsafe_libopus::OPUS_ALLOC_FAIL => "out of memory",
        _ => "internal error",
    };
    EncodeError::Failed {
        codec: Codec::Opus,
        reason: reason.to_owned(),
    }
}
