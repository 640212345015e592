//! Any container, from bytes that come one after the other.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io::Read;
use std::{ptr, slice};

use bytes::Bytes;
use ffmpeg_next::codec::packet::side_data;
use ffmpeg_next::codec::{Id, Parameters};
use ffmpeg_next::format::context::{self, StreamIo};
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::packet::Mut;
use ffmpeg_next::{Error, Packet, Stream, ffi, format, media};

use super::context::{MICROSECONDS, check};
use crate::codec::Codec;

/// A container that is read from its beginning to its end.
pub(crate) struct Input(context::Input);

/// What a container says of one of its tracks.
pub(crate) struct TrackInfo {
    pub(crate) index: usize,
    /// The codec, if it is one of ours.
    pub(crate) codec: Option<Codec>,
    /// FFmpeg's name of the codec.
    pub(crate) name: String,
    pub(crate) frame_rate: Option<f32>,
    pub(crate) num_channels: u32,
    /// The codec's out-of-band configuration.
    pub(crate) extradata: Bytes,
    pub(super) parameters: Parameters,
}

/// A track's frame as the container has it.
pub(crate) struct InputPacket {
    pub(super) packet: Packet,
    pub(crate) track: usize,
    pub(crate) keyframe: bool,
    pub(crate) pts_us: Option<i64>,
    pub(crate) dts_us: Option<i64>,
    /// 0 where it is not known.
    pub(crate) duration_us: i64,
}

impl Input {
    /// Reads as far as the tracks are known.
    ///
    /// # Errors
    ///
    /// What FFmpeg says.
    pub(crate) fn open(reader: impl Read + Send + 'static) -> Result<Self, String> {
        super::start();
        let io = StreamIo::from_read(reader).map_err(|error| error.to_string())?;
        let input = format::input_from_stream(io, None, None);
        Ok(Self(input.map_err(|error| error.to_string())?))
    }

    /// The tracks with pictures and with sound that FFmpeg takes for the main ones.
    pub(crate) fn best(&self) -> (Option<TrackInfo>, Option<TrackInfo>) {
        let best = |kind| self.0.streams().best(kind);
        // A cover is no video.
        let is_video = |stream: &Stream| !stream.disposition().contains(Disposition::ATTACHED_PIC);
        let video = best(media::Type::Video).filter(is_video);
        let sound = best(media::Type::Audio);
        (
            video.map(|stream| TrackInfo::new(&stream)),
            sound.map(|stream| TrackInfo::new(&stream)),
        )
    }

    /// FFmpeg's names of the codecs of all tracks.
    pub(crate) fn codecs(&self) -> Vec<String> {
        let names = self.0.streams().map(|stream| TrackInfo::new(&stream).name);
        names.collect()
    }

    /// The next frame of any track; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<InputPacket>, String> {
        loop {
            let mut packet = Packet::empty();
            match packet.read(&mut self.0) {
                Ok(()) => {}
                Err(Error::Eof) => return Ok(None),
                Err(error) => return Err(error.to_string()),
            }
            let Some(stream) = self.0.stream(packet.stream()) else {
                continue;
            };
            packet.rescale_ts(stream.time_base(), MICROSECONDS);
            return Ok(Some(InputPacket::new(packet)));
        }
    }
}

impl InputPacket {
    fn new(packet: Packet) -> Self {
        Self {
            track: packet.stream(),
            keyframe: packet.is_key(),
            pts_us: packet.pts(),
            dts_us: packet.dts(),
            duration_us: packet.duration().max(0),
            packet,
        }
    }

    pub(crate) fn data(&self) -> &[u8] {
        self.packet.data().unwrap_or_default()
    }

    /// The configuration that changes with this packet.
    pub(crate) fn new_extradata(&self) -> Option<Bytes> {
        let mut all = self.packet.side_data();
        let found = all.find(|one| one.kind() == side_data::Type::NewExtraData)?;
        Some(Bytes::copy_from_slice(found.data()))
    }
}

impl TrackInfo {
    fn new(stream: &Stream) -> Self {
        let parameters = stream.parameters();
        let id = parameters.id();
        let rate = [stream.avg_frame_rate(), stream.rate()]
            .into_iter()
            .find(|rate| rate.numerator() > 0 && rate.denominator() > 0)
            .map(|rate| rate.numerator() as f32 / rate.denominator() as f32);
        // SAFETY: the parameters are FFmpeg's own and live as long as the reference; the
        // configuration is as long as it is said to be, and the names are static.
        let (extradata, num_channels, name) = unsafe {
            let inner = &*parameters.as_ptr();
            let length = usize::try_from(inner.extradata_size).unwrap_or(0);
            let extradata = if inner.extradata.is_null() {
                Bytes::new()
            } else {
                Bytes::copy_from_slice(slice::from_raw_parts(inner.extradata, length))
            };
            let name = CStr::from_ptr(ffi::avcodec_get_name(inner.codec_id));
            (
                extradata,
                inner.ch_layout.nb_channels,
                name.to_string_lossy().into_owned(),
            )
        };
        Self {
            index: stream.index(),
            codec: match id {
                Id::H264 => Some(Codec::H264),
                Id::HEVC => Some(Codec::H265),
                Id::VP8 => Some(Codec::Vp8),
                Id::VP9 => Some(Codec::Vp9),
                Id::AV1 => Some(Codec::Av1),
                Id::OPUS => Some(Codec::Opus),
                Id::AAC => Some(Codec::Aac),
                _ => None,
            },
            name,
            frame_rate: rate,
            num_channels: u32::try_from(num_channels).unwrap_or(0),
            extradata,
            parameters,
        }
    }
}

/// A bitstream filter, such as `h264_mp4toannexb`.
pub(crate) struct BitstreamFilter(*mut ffi::AVBSFContext);

// SAFETY: the context is owned and used through `&mut` alone; FFmpeg ties it to no thread.
unsafe impl Send for BitstreamFilter {}

impl BitstreamFilter {
    pub(crate) fn new(name: &str, track: &TrackInfo) -> Result<Self, Error> {
        let name = CString::new(name).map_err(|_| Error::BsfNotFound)?;
        let mut one = Self(ptr::null_mut());
        // SAFETY: the name is read during the call, the parameters are copied; the context is
        // freed by `Drop`, also where a later step fails.
        unsafe {
            check(ffi::av_bsf_list_parse_str(name.as_ptr(), &raw mut one.0))?;
            let context = &mut *one.0;
            check(ffi::avcodec_parameters_copy(
                context.par_in,
                track.parameters.as_ptr(),
            ))?;
            context.time_base_in = MICROSECONDS.into();
            check(ffi::av_bsf_init(one.0))?;
        }
        Ok(one)
    }

    /// The configuration as it is behind the filter.
    pub(crate) fn extradata(&self) -> Bytes {
        // SAFETY: as in `TrackInfo::new`.
        unsafe {
            let parameters = &*(*self.0).par_out;
            let length = usize::try_from(parameters.extradata_size).unwrap_or(0);
            if parameters.extradata.is_null() {
                return Bytes::new();
            }
            Bytes::copy_from_slice(slice::from_raw_parts(parameters.extradata, length))
        }
    }

    pub(crate) fn filter(&mut self, mut packet: InputPacket) -> Result<Vec<InputPacket>, Error> {
        let mut filtered = Vec::new();
        // SAFETY: the packets are valid; what is sent is taken over and left empty.
        unsafe {
            check(ffi::av_bsf_send_packet(self.0, packet.packet.as_mut_ptr()))?;
            loop {
                let mut out = Packet::empty();
                match ffi::av_bsf_receive_packet(self.0, out.as_mut_ptr()) {
                    code if code == ffi::AVERROR(ffmpeg_next::error::EAGAIN)
                        || code == ffi::AVERROR_EOF =>
                    {
                        return Ok(filtered);
                    }
                    code => check(code)?,
                }
                out.set_stream(packet.track);
                filtered.push(InputPacket::new(out));
            }
        }
    }
}

impl Drop for BitstreamFilter {
    fn drop(&mut self) {
        // SAFETY: ours; freeing nothing does nothing.
        unsafe { ffi::av_bsf_free(&raw mut self.0) };
    }
}
