//! The Opus decoder of `unsafe-libopus` (libopus translated to Rust) behind a safe interface.

#![allow(unsafe_code)]

use std::ptr::NonNull;

use unsafe_libopus::{
    OPUS_OK, OpusDecoder, opus_decode, opus_decoder_create, opus_decoder_destroy,
};

use super::DecodeError;
use crate::codec::Codec;

/// A decoder's state.
pub(super) struct Decoder {
    state: NonNull<OpusDecoder>,
    num_channels: usize,
}

// SAFETY: the state is a plain block of memory that only this value points to; nothing in it
// belongs to a thread.
unsafe impl Send for Decoder {}

impl Decoder {
    /// `sample_rate` is 8, 12, 16, 24 or 48 kHz and `num_channels` 1 or 2, else it fails.
    pub(super) fn new(sample_rate: u32, num_channels: u32) -> Result<Self, DecodeError> {
        let mut error = OPUS_OK;
        // SAFETY: `error` outlives the call; bad arguments give a null pointer and an error.
        let state =
            unsafe { opus_decoder_create(sample_rate as i32, num_channels as i32, &raw mut error) };
        let state = NonNull::new(state).ok_or_else(|| failure(error))?;
        Ok(Self {
            state,
            num_channels: num_channels as usize,
        })
    }

    /// Decodes `packet` to at most `samples` samples a channel, interleaved. `None` makes up
    /// that many for a packet that is lost. With `fec` it is the packet behind the lost one, and
    /// the copy in it, if there is one, is decoded. Both take multiples of 2.5 ms.
    pub(super) fn decode(
        &mut self,
        packet: Option<&[u8]>,
        samples: usize,
        fec: bool,
    ) -> Result<Vec<i16>, DecodeError> {
        let mut pcm = vec![0; samples * self.num_channels];
        let (data, length) = packet.map_or((std::ptr::null(), 0), |packet| {
            (
                packet.as_ptr(),
                i32::try_from(packet.len()).unwrap_or(i32::MAX),
            )
        });
        // SAFETY: `state` is a live decoder that nothing else uses; `data` points to `length`
        // bytes or is null with length 0; `pcm` holds `samples` samples of each channel.
        let decoded = unsafe {
            opus_decode(
                self.state.as_ptr(),
                data,
                length,
                pcm.as_mut_ptr(),
                samples as i32,
                i32::from(fec),
            )
        };
        let decoded = usize::try_from(decoded).map_err(|_| failure(decoded))?;
        pcm.truncate(decoded * self.num_channels);
        Ok(pcm)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: `state` came from `opus_decoder_create` and is destroyed once.
        unsafe { opus_decoder_destroy(self.state.as_ptr()) }
    }
}

/// The error of a negative return value.
fn failure(code: i32) -> DecodeError {
    let reason = match code {
        unsafe_libopus::OPUS_BAD_ARG => "bad argument",
        unsafe_libopus::OPUS_BUFFER_TOO_SMALL => "the packet is longer than 120 ms",
        unsafe_libopus::OPUS_INVALID_PACKET => "the packet is corrupt",
        unsafe_libopus::OPUS_ALLOC_FAIL => "out of memory",
        _ => "internal error",
    };
    DecodeError::Corrupt {
        codec: Codec::Opus,
        reason: reason.to_owned(),
    }
}
