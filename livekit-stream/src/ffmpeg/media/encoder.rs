//! One stream's encoder, chosen and configured as torio does it.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::slice;

use ffmpeg_next::codec::{Context, Id, encoder};
use ffmpeg_next::{Codec, Dictionary, Error, Frame, Packet, Rational, ffi, picture};

use super::device::Device;
use super::filter::{Filter, c_string, layout_name};
use super::muxer::Muxer;
use super::{all_taken, check_text, dictionary, failed};
use crate::ffmpeg::context::{self, Uploader, check};
use crate::output::media::{
    AudioStreamOptions, CodecConfig, MediaEncoderError, StreamName, VideoStreamOptions,
};

/// An encoder that is open.
pub(super) struct Encoder {
    context: Context,
    uploader: Option<Uploader>,
    is_video: bool,
}

impl Encoder {
    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn time_base(&self) -> Rational {
        self.context.time_base()
    }

    /// `None` is the end.
    pub(super) fn send(
        &mut self,
        stream: StreamName,
        frame: Option<Frame>,
    ) -> Result<(), MediaEncoderError> {
        let frame = match (frame, &mut self.uploader) {
            (Some(frame), Some(uploader)) => {
                let picture = ffmpeg_next::frame::Video::from(frame);
                let mut uploaded = uploader
                    .upload(&picture)
                    .map_err(|error| failed(&format!("{stream}: to the device"), error))?;
                uploaded.set_pts(picture.pts());
                Some(uploaded)
            }
            (Some(frame), None) => Some(frame.into()),
            (None, _) => None,
        };
        // SAFETY: an open encoder; the frame is valid, or null, which is the end.
        let sent = unsafe {
            match frame {
                Some(mut frame) => {
                    if self.is_video {
                        // What a decoder or filter thought of it is not meant for this encoder.
                        frame.set_kind(picture::Type::None);
                    }
                    ffi::avcodec_send_frame(self.context.as_mut_ptr(), frame.as_ptr())
                }
                None => ffi::avcodec_send_frame(self.context.as_mut_ptr(), std::ptr::null()),
            }
        };
        check(sent).map_err(|error| failed(&format!("{stream}: the encoder"), error))
    }

    pub(super) fn receive(
        &mut self,
        stream: StreamName,
    ) -> Result<Option<Packet>, MediaEncoderError> {
        use ffmpeg_next::packet::Mut;
        let mut packet = Packet::empty();
        // SAFETY: an open encoder and an empty packet.
        let received =
            unsafe { ffi::avcodec_receive_packet(self.context.as_mut_ptr(), packet.as_mut_ptr()) };
        match check(received) {
            Ok(()) => Ok(Some(packet)),
            Err(Error::Eof) => Ok(None),
            Err(Error::Other { errno }) if errno == ffmpeg_next::error::EAGAIN => Ok(None),
            Err(error) => Err(failed(&format!("{stream}: the encoder"), error)),
        }
    }
}

/// The encoder of this name, or of the codec of this name.
fn by_name(stream: StreamName, name: &str) -> Result<Codec, MediaEncoderError> {
    check_text(Some(stream), "encoder", name)?;
    let wanted = ffmpeg_kind(stream);
    let of_codec = || {
        let name = c_string(name);
        // SAFETY: a string with its end, read during the call; the descriptor is static.
        let descriptor = unsafe { ffi::avcodec_descriptor_get_by_name(name.as_ptr()).as_ref() };
        descriptor.and_then(|descriptor| encoder::find(descriptor.id.into()))
    };
    let found = encoder::find_by_name(name).or_else(of_codec);
    found
        .filter(|codec| codec.medium() == wanted)
        .ok_or_else(|| {
            let list = match stream.kind {
                crate::codec::MediaKind::Audio => "get_audio_encoders()",
                crate::codec::MediaKind::Video => "get_video_encoders()",
            };
            let allowed = format!("one of {list}");
            MediaEncoderError::option(Some(stream), "encoder", name, &allowed)
        })
}

fn ffmpeg_kind(stream: StreamName) -> ffmpeg_next::media::Type {
    match stream.kind {
        crate::codec::MediaKind::Audio => ffmpeg_next::media::Type::Audio,
        crate::codec::MediaKind::Video => ffmpeg_next::media::Type::Video,
    }
}

fn choose(
    stream: StreamName,
    name: Option<&str>,
    muxer: &Muxer,
) -> Result<Codec, MediaEncoderError> {
    match name {
        Some(name) => by_name(stream, name),
        None => muxer
            .default_codec(ffmpeg_kind(stream))
            .and_then(encoder::find)
            .ok_or_else(|| {
                let what = "a container that has a default encoder for such streams";
                MediaEncoderError::option(Some(stream), "encoder", "none", what)
            }),
    }
}

/// A list of FFmpeg's that ends where `is_end` says.
///
/// # Safety
///
/// `list` is null or ends so, and lives as long as FFmpeg's libraries.
unsafe fn list<T: 'static>(list: *const T, is_end: impl Fn(&T) -> bool) -> &'static [T] {
    if list.is_null() {
        return &[];
    }
    let mut length = 0;
    // SAFETY: not behind the end.
    while !is_end(unsafe { &*list.add(length) }) {
        length += 1;
    }
    // SAFETY: as above.
    unsafe { slice::from_raw_parts(list, length) }
}

/// What is common to both kinds.
fn configure(context: &mut Context, codec: Codec, config: &CodecConfig, muxer: &Muxer) {
    // SAFETY: plain fields of a context that is ours alone and not open yet.
    unsafe {
        let context = &mut *context.as_mut_ptr();
        if let Some(bit_rate) = config.bit_rate {
            context.bit_rate = i64::from(bit_rate);
        }
        if let Some(level) = config.compression_level {
            context.compression_level = level;
        }
        if let Some(gop_size) = config.gop_size {
            context.gop_size = gop_size.min(i32::MAX as u32) as c_int;
        }
        if let Some(frames) = config.max_b_frames {
            context.max_b_frames = frames.min(i32::MAX as u32) as c_int;
        }
        if let Some(qscale) = config.qscale {
            context.flags |= ffi::AV_CODEC_FLAG_QSCALE as c_int;
            context.global_quality = ffi::FF_QP2LAMBDA.saturating_mul(qscale);
        }
        if muxer.wants_global_headers() {
            context.flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as c_int;
        }
        if (*codec.as_ptr()).capabilities & ffi::AV_CODEC_CAP_EXPERIMENTAL as c_int != 0 {
            context.strict_std_compliance = ffi::FF_COMPLIANCE_EXPERIMENTAL;
        }
        // Threads are asked for by the encoder's options.
        context.thread_count = 1;
    }
}

fn open(
    stream: StreamName,
    mut context: Context,
    codec: Codec,
    options: Dictionary,
    uploader: Option<Uploader>,
) -> Result<Encoder, MediaEncoderError> {
    // SAFETY: the context is ours; the dictionary is given back with what nobody took.
    let (opened, rest) = unsafe {
        let mut options = options.disown();
        let opened = ffi::avcodec_open2(context.as_mut_ptr(), codec.as_ptr(), &raw mut options);
        (opened, Dictionary::own(options))
    };
    check(opened)
        .map_err(|error| failed(&format!("{stream}: {} does not start", codec.name()), error))?;
    all_taken(Some(stream), &rest, codec.name())?;
    Ok(Encoder {
        context,
        uploader,
        is_video: codec.is_video(),
    })
}

/// A stream of pictures.
pub(super) fn video(
    stream: StreamName,
    options: &VideoStreamOptions,
    muxer: &Muxer,
) -> Result<(Filter, Encoder), MediaEncoderError> {
    let codec = choose(stream, options.encoder.as_deref(), muxer)?;
    // SAFETY: codecs and their lists are static.
    let (formats, rates) = unsafe {
        let codec = &*codec.as_ptr();
        (
            list(codec.pix_fmts, |one| {
                *one == ffi::AVPixelFormat::AV_PIX_FMT_NONE
            }),
            list(codec.supported_framerates, |one| one.num == 0),
        )
    };
    let device = options
        .hw_accel
        .as_deref()
        .map(|name| Device::parse(stream, name))
        .transpose()?;
    let format = pixel_format(stream, options, formats, device.is_some())?;
    let source_rate = rational(options.frame_rate);
    let rate = match options.encoder_frame_rate.map(rational) {
        Some(rate) if rates.is_empty() || rates.iter().any(|one| Rational::from(*one) == rate) => {
            rate
        }
        Some(rate) => {
            let names = rates
                .iter()
                .map(|one| f64::from(Rational::from(*one)).to_string());
            let names: Vec<_> = names.collect();
            let value = f64::from(rate).to_string();
            let allowed = format!("{} takes {}", codec.name(), names.join(", "));
            return Err(MediaEncoderError::option(
                Some(stream),
                "encoder_frame_rate",
                &value,
                &allowed,
            ));
        }
        None => nearest(source_rate, rates),
    };
    let mut filters = vec![
        options
            .filter_desc
            .clone()
            .unwrap_or_else(|| "null".to_owned()),
    ];
    if rate != source_rate || options.encoder_frame_rate.is_some() {
        filters.push(format!("fps={}/{}", rate.numerator(), rate.denominator()));
    }
    if options.encoder_width.is_some() || options.encoder_height.is_some() {
        let side = |pixels: Option<u32>, own: &str| {
            pixels.map_or_else(|| own.to_owned(), |pixels| pixels.to_string())
        };
        let width = side(options.encoder_width, "iw");
        let height = side(options.encoder_height, "ih");
        filters.push(format!("scale={width}:{height}"));
    }
    filters.push(format!("format={}", pixel_name(format)));
    let description = filters.join(",");
    let size = (options.width, options.height);
    let mut filter = Filter::video(stream, size, options.format, source_rate, &description)?;
    let made = filter.pictures()?;
    let mut context = context::with_extradata(codec, &[])
        .map_err(|error| failed(&format!("{stream}: the encoder"), error))?;
    configure(&mut context, codec, &options.codec_config, muxer);
    let uploader = match device {
        Some(device) => {
            let uploader = device.uploader(made.width as u32, made.height as u32, format);
            let uploader = uploader.map_err(|error| device.missing(stream, error))?;
            Some(uploader)
        }
        None => None,
    };
    // SAFETY: plain fields of a context that is ours alone and not open yet.
    unsafe {
        let inner = &mut *context.as_mut_ptr();
        inner.width = made.width;
        inner.height = made.height;
        inner.pix_fmt = format;
        inner.sample_aspect_ratio = ffi::AVRational { num: 1, den: 1 };
        let known = made.frame_rate.numerator() > 0 && made.frame_rate.denominator() > 0;
        inner.framerate = if known { made.frame_rate } else { rate }.into();
        inner.time_base = made.time_base.into();
    }
    if let Some(uploader) = &uploader {
        uploader.attach(&mut context);
    }
    let mut private = dictionary(Some(stream), &options.encoder_option)?;
    if codec.name() == "libx265" && private.get("x265-params").is_none() {
        // It writes to the standard error stream by itself.
        private.set("x265-params", "log-level=none");
    }
    let encoder = open(stream, context, codec, private, uploader)?;
    Ok((filter, encoder))
}

/// A stream of sound.
pub(super) fn audio(
    stream: StreamName,
    options: &AudioStreamOptions,
    muxer: &Muxer,
) -> Result<(Filter, Encoder), MediaEncoderError> {
    use ffi::AVSampleFormat::AV_SAMPLE_FMT_NONE;
    let codec = choose(stream, options.encoder.as_deref(), muxer)?;
    // SAFETY: codecs and their lists are static.
    let (formats, rates, layouts) = unsafe {
        let codec = &*codec.as_ptr();
        (
            list(codec.sample_fmts, |one| *one == AV_SAMPLE_FMT_NONE),
            list(codec.supported_samplerates, |one| *one == 0),
            list(codec.ch_layouts, |one| one.nb_channels == 0),
        )
    };
    // G.722 has one rate, which FFmpeg's encoder takes any other for.
    let rates = match codec.id() {
        Id::ADPCM_G722 => &[16_000],
        _ => rates,
    };
    let refused = |option: &str, value: &str, allowed: Vec<String>| {
        let allowed = format!("{} takes {}", codec.name(), allowed.join(", "));
        MediaEncoderError::option(Some(stream), option, value, &allowed)
    };
    let format = match &options.encoder_format {
        None => formats
            .first()
            .map_or_else(|| options.format.to_string(), |format| sample_name(*format)),
        Some(name) => {
            let names: Vec<_> = formats.iter().map(|one| sample_name(*one)).collect();
            // Of a format that is packed and one that is planar, the encoder takes one.
            let planar = format!("{name}p");
            let found = names.iter().find(|one| *one == name || **one == planar);
            match found {
                Some(found) => found.clone(),
                None => return Err(refused("encoder_format", name, names)),
            }
        }
    };
    let is_taken = |rate: u32| rates.is_empty() || rates.contains(&(rate as c_int));
    let rate = match options.encoder_sample_rate {
        Some(rate) if is_taken(rate) => rate,
        Some(rate) => {
            let names = rates.iter().map(ToString::to_string).collect();
            return Err(refused("encoder_sample_rate", &rate.to_string(), names));
        }
        None if is_taken(options.sample_rate) => options.sample_rate,
        None => rates
            .first()
            .map_or(options.sample_rate, |rate| *rate as u32),
    };
    let has = |channels: u32| {
        layouts.is_empty()
            || layouts
                .iter()
                .any(|one| one.nb_channels == channels as c_int)
    };
    let channels = match options.encoder_num_channels {
        Some(channels) if has(channels) => channels,
        Some(channels) => {
            let names = layouts
                .iter()
                .map(|one| one.nb_channels.to_string())
                .collect();
            return Err(refused(
                "encoder_num_channels",
                &channels.to_string(),
                names,
            ));
        }
        None if has(options.num_channels) => options.num_channels,
        None => {
            let nearest = layouts
                .iter()
                .map(|one| one.nb_channels.unsigned_abs())
                .min_by_key(|one| one.abs_diff(options.num_channels));
            nearest.unwrap_or(options.num_channels)
        }
    };
    let filters = options.filter_desc.as_deref().unwrap_or("anull");
    let layout = layout_name(channels);
    let description = format!(
        "{filters},aformat=sample_fmts={format}:sample_rates={rate}:channel_layouts={layout}"
    );
    let mut filter = Filter::audio(
        stream,
        options.sample_rate,
        options.num_channels,
        options.format,
        &description,
    )?;
    let mut context = context::with_extradata(codec, &[])
        .map_err(|error| failed(&format!("{stream}: the encoder"), error))?;
    configure(&mut context, codec, &options.codec_config, muxer);
    let name = c_string(&format);
    // SAFETY: plain fields of a context that is ours alone and not open yet.
    unsafe {
        let inner = &mut *context.as_mut_ptr();
        inner.sample_fmt = ffi::av_get_sample_fmt(name.as_ptr());
        inner.sample_rate = rate as c_int;
        ffi::av_channel_layout_default(&raw mut inner.ch_layout, channels as c_int);
        inner.time_base = ffi::AVRational {
            num: 1,
            den: rate as c_int,
        };
    }
    let private = dictionary(Some(stream), &options.encoder_option)?;
    let encoder = open(stream, context, codec, private, None)?;
    // SAFETY: an open encoder, and a static codec.
    let (frame_size, capabilities) = unsafe {
        let inner = &*encoder.context.as_ptr();
        (inner.frame_size, (*codec.as_ptr()).capabilities)
    };
    let any_size = capabilities & ffi::AV_CODEC_CAP_VARIABLE_FRAME_SIZE as c_int != 0;
    if frame_size > 0 && !any_size {
        filter.set_frame_size(frame_size as u32)?;
    }
    Ok((filter, encoder))
}

fn pixel_format(
    stream: StreamName,
    options: &VideoStreamOptions,
    formats: &[ffi::AVPixelFormat],
    on_device: bool,
) -> Result<ffi::AVPixelFormat, MediaEncoderError> {
    let Some(name) = &options.encoder_format else {
        let soft = formats.iter().find(|format| !is_hardware(**format));
        // An encoder that takes only a device's pictures takes the usual ones by way of it.
        let usual = if on_device {
            ffi::AVPixelFormat::AV_PIX_FMT_NV12
        } else {
            ffi::AVPixelFormat::AV_PIX_FMT_YUV420P
        };
        if formats.is_empty() {
            let own = options.format.to_string().replace("gray8", "gray");
            // SAFETY: a string with its end, read during the call.
            return Ok(unsafe { ffi::av_get_pix_fmt(c_string(&own).as_ptr()) });
        }
        return Ok(soft.copied().unwrap_or(usual));
    };
    check_text(Some(stream), "encoder_format", name)?;
    // SAFETY: a string with its end, read during the call.
    let format = unsafe { ffi::av_get_pix_fmt(c_string(name).as_ptr()) };
    let is_taken = formats.is_empty() || formats.contains(&format) || on_device;
    if format == ffi::AVPixelFormat::AV_PIX_FMT_NONE || !is_taken {
        let names: Vec<_> = formats.iter().map(|one| pixel_name(*one)).collect();
        let allowed = format!("the encoder takes {}", names.join(", "));
        return Err(MediaEncoderError::option(
            Some(stream),
            "encoder_format",
            name,
            &allowed,
        ));
    }
    Ok(format)
}

fn is_hardware(format: ffi::AVPixelFormat) -> bool {
    // SAFETY: descriptors are static.
    let descriptor = unsafe { ffi::av_pix_fmt_desc_get(format).as_ref() };
    descriptor.is_some_and(|one| one.flags & ffi::AV_PIX_FMT_FLAG_HWACCEL as u64 != 0)
}

fn pixel_name(format: ffi::AVPixelFormat) -> String {
    // SAFETY: names are static.
    unsafe {
        let name = ffi::av_get_pix_fmt_name(format);
        if name.is_null() {
            return "none".to_owned();
        }
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

fn sample_name(format: ffi::AVSampleFormat) -> String {
    // SAFETY: as above.
    unsafe {
        let name = ffi::av_get_sample_fmt_name(format);
        if name.is_null() {
            return "none".to_owned();
        }
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

/// The fraction of a rate such as 29.97 (30000/1001 is 29.970 03).
fn rational(rate: f64) -> Rational {
    // SAFETY: a function of numbers.
    unsafe { ffi::av_d2q(rate, 1_000_000) }.into()
}

/// The rate itself where it is taken, else the nearest one that is.
fn nearest(rate: Rational, taken: &[ffi::AVRational]) -> Rational {
    let off = |one: &ffi::AVRational| (f64::from(Rational::from(*one)) - f64::from(rate)).abs();
    let best = taken.iter().min_by(|a, b| off(a).total_cmp(&off(b)));
    best.map_or(rate, |best| (*best).into())
}
