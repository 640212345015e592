//! Sound of any codec to interleaved 16-bit samples.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::{mem, ptr};

use ffmpeg_next::codec::decoder::{self, Opened};
use ffmpeg_next::codec::{Context, Id};
use ffmpeg_next::{Dictionary, Error, Packet, ffi, frame};

use super::context::{MICROSECONDS, check, describe_sound, with_extradata};
use super::input::TrackInfo;
use crate::decode::{AudioFormat, DecodeError, PacketDecoder};
use crate::frame::AudioFrame;

/// Matroska's codec IDs and FFmpeg's, where the beginning of the ID tells; the longer first.
const MATROSKA: &[(&str, Id)] = &[
    ("A_AAC", Id::AAC),
    ("A_AC3", Id::AC3),
    ("A_EAC3", Id::EAC3),
    ("A_DTS", Id::DTS),
    ("A_TRUEHD", Id::TRUEHD),
    ("A_MLP", Id::MLP),
    ("A_FLAC", Id::FLAC),
    ("A_VORBIS", Id::VORBIS),
    ("A_OPUS", Id::OPUS),
    ("A_ALAC", Id::ALAC),
    ("A_MPEG/L1", Id::MP1),
    ("A_MPEG/L2", Id::MP2),
    ("A_MPEG/L3", Id::MP3),
    ("A_WAVPACK4", Id::WAVPACK),
];

/// The longest packet that is decoded: seconds of PCM in 8 channels.
const MAX_PACKET: usize = 16 << 20;

/// Decodes and resamples.
pub(crate) struct SoundDecoder {
    name: String,
    decoder: Opened,
    resampler: Option<Resampler>,
    sample_rate: u32,
    num_channels: u32,
    /// Where the sound of the last packet ended, for decoders that tell no times.
    end_us: i64,
}

impl SoundDecoder {
    pub(crate) fn new(
        format: &AudioFormat,
        sample_rate: u32,
        num_channels: u32,
    ) -> Result<Self, DecodeError> {
        super::start();
        let unknown = |hint| DecodeError::UnknownCodec {
            name: format.codec.clone(),
            hint,
        };
        let id = id_of(format).ok_or_else(|| unknown(""))?;
        let codec = decoder::find(id)
            .filter(ffmpeg_next::Codec::is_audio)
            .ok_or_else(|| {
                unknown(": the FFmpeg libraries of this system have no decoder for it")
            })?;
        let failed = |error: Error| DecodeError::Other {
            name: format.codec.clone(),
            reason: error.to_string(),
        };
        let private = extradata(id, &format.codec_private);
        let mut context = with_extradata(codec, &private).map_err(failed)?;
        describe_sound(
            &mut context,
            format.sample_rate,
            format.num_channels,
            format.bits_per_sample,
        );
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(MICROSECONDS);
        let options: Dictionary = [("threads", "1")].into_iter().collect();
        let decoder = decoder.open_as_with(codec, options).map_err(failed)?;
        let name = format.codec.clone();
        Ok(Self::opened(name, decoder, sample_rate, num_channels))
    }

    /// For a container's track.
    pub(crate) fn of_track(
        track: &TrackInfo,
        sample_rate: u32,
        num_channels: u32,
    ) -> Result<Self, DecodeError> {
        let failed = |error: Error| DecodeError::Other {
            name: track.name.clone(),
            reason: error.to_string(),
        };
        let codec =
            decoder::find(track.parameters.id()).ok_or_else(|| DecodeError::UnknownCodec {
                name: track.name.clone(),
                hint: ": the FFmpeg libraries of this system have no decoder for it",
            })?;
        let context = Context::from_parameters(track.parameters.clone()).map_err(failed)?;
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(MICROSECONDS);
        let options: Dictionary = [("threads", "1")].into_iter().collect();
        let decoder = decoder.open_as_with(codec, options).map_err(failed)?;
        let name = track.name.clone();
        Ok(Self::opened(name, decoder, sample_rate, num_channels))
    }

    fn opened(name: String, decoder: Opened, sample_rate: u32, num_channels: u32) -> Self {
        Self {
            name,
            decoder,
            resampler: None,
            sample_rate,
            num_channels,
            end_us: 0,
        }
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> DecodeError {
        DecodeError::Other {
            name: self.name.clone(),
            reason: error.to_string(),
        }
    }

    fn receive(&mut self, out: &mut Vec<AudioFrame>) -> Result<(), DecodeError> {
        let mut sound = frame::Audio::empty();
        loop {
            match self.decoder.receive_frame(&mut sound) {
                Ok(()) => self.take(&sound, out)?,
                Err(Error::Eof) => return Ok(()),
                Err(Error::Other { errno }) if errno == ffmpeg_next::error::EAGAIN => return Ok(()),
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    fn take(&mut self, sound: &frame::Audio, out: &mut Vec<AudioFrame>) -> Result<(), DecodeError> {
        let fits = |one: &Resampler| one.fits(sound);
        if !self.resampler.as_ref().is_some_and(fits) {
            self.drain(out)?;
            let made = Resampler::new(sound, self.sample_rate, self.num_channels);
            self.resampler = Some(made.map_err(|error| self.failed(&error))?);
        }
        let start_us = sound.pts().unwrap_or(self.end_us);
        let duration = sound.samples() as i64 * 1_000_000 / i64::from(sound.rate().max(1));
        self.end_us = start_us.saturating_add(duration);
        let Some(resampler) = &mut self.resampler else {
            return Ok(());
        };
        let made = resampler.convert(Some(sound), start_us);
        self.push(made, out)
    }

    /// What a resampler that is not needed any more still has.
    fn drain(&mut self, out: &mut Vec<AudioFrame>) -> Result<(), DecodeError> {
        let Some(mut resampler) = self.resampler.take() else {
            return Ok(());
        };
        let made = resampler.convert(None, self.end_us);
        self.push(made, out)
    }

    fn push(
        &self,
        made: Result<(Vec<i16>, i64), Error>,
        out: &mut Vec<AudioFrame>,
    ) -> Result<(), DecodeError> {
        let (samples, timestamp_us) = made.map_err(|error| self.failed(&error))?;
        if !samples.is_empty() {
            out.push(AudioFrame {
                samples,
                sample_rate: self.sample_rate,
                num_channels: self.num_channels,
                timestamp_us,
            });
        }
        Ok(())
    }
}

impl PacketDecoder for SoundDecoder {
    fn decode(
        &mut self,
        packet: &[u8],
        timestamp_us: i64,
        out: &mut Vec<AudioFrame>,
    ) -> Result<(), DecodeError> {
        if packet.is_empty() || packet.len() > MAX_PACKET {
            return Err(self.failed(&format_args!("a packet of {} bytes", packet.len())));
        }
        let mut packet = Packet::copy(packet);
        packet.set_pts(Some(timestamp_us));
        self.decoder
            .send_packet(&packet)
            .map_err(|error| self.failed(&error))?;
        self.receive(out)
    }

    fn flush(&mut self, out: &mut Vec<AudioFrame>) -> Result<(), DecodeError> {
        // A decoder that was told so before says that it has ended.
        let _ = self.decoder.send_eof();
        self.receive(out)?;
        self.drain(out)?;
        self.decoder.flush();
        Ok(())
    }
}

fn id_of(format: &AudioFormat) -> Option<Id> {
    let name = &*format.codec;
    let bits = match format.bits_per_sample {
        0 => 16,
        bits => bits,
    };
    match name {
        "A_PCM/INT/LIT" => match bits {
            8 => Some(Id::PCM_U8),
            16 => Some(Id::PCM_S16LE),
            24 => Some(Id::PCM_S24LE),
            32 => Some(Id::PCM_S32LE),
            _ => None,
        },
        "A_PCM/INT/BIG" => match bits {
            8 => Some(Id::PCM_U8),
            16 => Some(Id::PCM_S16BE),
            24 => Some(Id::PCM_S24BE),
            32 => Some(Id::PCM_S32BE),
            _ => None,
        },
        "A_PCM/FLOAT/IEEE" => match bits {
            64 => Some(Id::PCM_F64LE),
            _ => Some(Id::PCM_F32LE),
        },
        _ => MATROSKA
            .iter()
            .find(|(id, _)| {
                // `A_AAC/MPEG4/LC` is AAC, `A_MPEG/L33` is nothing.
                name.strip_prefix(id)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .map(|row| row.1)
            .or_else(|| decoder::find_by_name(name).map(|codec| codec.id()))
            .or_else(|| id_by_name(name)),
    }
}

/// The codec of this name, which its decoder need not have: `dts` is decoded by `dca`.
fn id_by_name(name: &str) -> Option<Id> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: a string with its end, read during the call; the descriptor is static.
    unsafe {
        let descriptor = ffi::avcodec_descriptor_get_by_name(name.as_ptr());
        descriptor.as_ref().map(|found| Id::from(found.id))
    }
}

/// The configuration as FFmpeg's decoder wants it.
fn extradata(id: Id, private: &[u8]) -> Vec<u8> {
    if id == Id::ALAC && private.len() == 24 {
        // The contents of MP4's box `alac` with the box around it.
        let mut with_box = b"\0\0\0\x24alac\0\0\0\0".to_vec();
        with_box.extend_from_slice(private);
        return with_box;
    }
    private.to_vec()
}

/// libswresample from whatever comes to interleaved 16 bits.
struct Resampler {
    context: *mut ffi::SwrContext,
    format: c_int,
    rate: c_int,
    layout: ffi::AVChannelLayout,
    to_rate: c_int,
    /// What libswresample makes: no more than comes in.
    channels: usize,
    /// One channel goes to both, as loud as it is; libswresample would make it 3 dB softer.
    doubled: bool,
}

// SAFETY: the context and the layout are owned and used through `&mut` alone; libswresample ties
// them to no thread.
unsafe impl Send for Resampler {}

impl Resampler {
    fn new(from: &frame::Audio, to_rate: u32, to_channels: u32) -> Result<Self, Error> {
        // SAFETY: the frame is FFmpeg's and has a valid layout, which is copied; the context is
        // freed by `Drop` also where its initialization fails.
        unsafe {
            let from = &*from.as_ptr();
            let doubled = from.ch_layout.nb_channels == 1 && to_channels == 2;
            let channels = if doubled { 1 } else { to_channels };
            let mut one = Self {
                context: ptr::null_mut(),
                format: from.format,
                rate: from.sample_rate,
                layout: mem::zeroed(),
                to_rate: to_rate as c_int,
                channels: channels as usize,
                doubled,
            };
            if from.ch_layout.order == ffi::AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC {
                let channels = from.ch_layout.nb_channels;
                ffi::av_channel_layout_default(&raw mut one.layout, channels);
            } else {
                check(ffi::av_channel_layout_copy(
                    &raw mut one.layout,
                    &raw const from.ch_layout,
                ))?;
            }
            let mut to: ffi::AVChannelLayout = mem::zeroed();
            ffi::av_channel_layout_default(&raw mut to, channels as c_int);
            check(ffi::swr_alloc_set_opts2(
                &raw mut one.context,
                (&raw const to).cast_mut(),
                ffi::AVSampleFormat::AV_SAMPLE_FMT_S16,
                one.to_rate,
                (&raw const one.layout).cast_mut(),
                mem::transmute::<c_int, ffi::AVSampleFormat>(one.format),
                one.rate,
                0,
                ptr::null_mut(),
            ))?;
            check(ffi::swr_init(one.context))?;
            Ok(one)
        }
    }

    fn fits(&self, sound: &frame::Audio) -> bool {
        // SAFETY: both layouts are valid.
        unsafe {
            let sound = &*sound.as_ptr();
            let same_layout = if sound.ch_layout.order
                == ffi::AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC
            {
                sound.ch_layout.nb_channels == self.layout.nb_channels
            } else {
                ffi::av_channel_layout_compare(&raw const sound.ch_layout, &raw const self.layout)
                    == 0
            };
            (sound.format, sound.sample_rate) == (self.format, self.rate) && same_layout
        }
    }

    /// What can be given of `sound`, or of all that is left, and the time of its first sample.
    fn convert(
        &mut self,
        sound: Option<&frame::Audio>,
        start_us: i64,
    ) -> Result<(Vec<i16>, i64), Error> {
        // SAFETY: the input's planes are FFmpeg's own, `nb_samples` long each; the output has room
        // for as many samples as are told to be there.
        unsafe {
            let delay_us = ffi::swr_get_delay(self.context, 1_000_000);
            let (planes, samples) = match sound {
                Some(sound) => {
                    let sound = &*sound.as_ptr();
                    (sound.extended_data.cast::<*const u8>(), sound.nb_samples)
                }
                None => (ptr::null_mut(), 0),
            };
            let room = ffi::swr_get_out_samples(self.context, samples);
            check(room)?;
            let mut converted = vec![0_i16; room as usize * self.channels];
            let mut plane = converted.as_mut_ptr().cast::<u8>();
            let given = ffi::swr_convert(self.context, &raw mut plane, room, planes, samples);
            check(given)?;
            converted.truncate(given as usize * self.channels);
            if self.doubled {
                converted = converted.iter().flat_map(|&one| [one, one]).collect();
            }
            Ok((converted, start_us.saturating_sub(delay_us)))
        }
    }
}

impl Drop for Resampler {
    fn drop(&mut self) {
        // SAFETY: both are ours; freeing what was not allocated does nothing.
        unsafe {
            ffi::swr_free(&raw mut self.context);
            ffi::av_channel_layout_uninit(&raw mut self.layout);
        }
    }
}
