//! What lies between chunks and encoders: a filter graph, which also converts.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_int};
use std::slice;

use ffmpeg_next::filter::{self, Graph};
use ffmpeg_next::{Error, Frame, Rational, ffi, frame};

use super::{check_text, failed};
use crate::ffmpeg::context::check;
use crate::output::media::{
    MediaEncoderError, Picture, PixelFormat, SampleFormat, Samples, StreamName,
};

/// Samples a channel that go in at once.
const MAX_SAMPLES: usize = 16_384;

/// A graph from `in` to `out`.
pub(super) struct Filter {
    graph: Graph,
    stream: StreamName,
    sample_rate: u32,
    num_channels: u32,
}

/// What comes out of a graph of pictures.
pub(super) struct Pictures {
    pub(super) width: c_int,
    pub(super) height: c_int,
    pub(super) frame_rate: Rational,
    pub(super) time_base: Rational,
}

impl Filter {
    /// For pictures; `description` goes from the chunks' format to the encoder's.
    pub(super) fn video(
        stream: StreamName,
        size: (u32, u32),
        format: PixelFormat,
        rate: Rational,
        description: &str,
    ) -> Result<Self, MediaEncoderError> {
        let format = match format {
            PixelFormat::Gray8 => "gray",
            PixelFormat::Rgb24 => "rgb24",
            PixelFormat::Bgr24 => "bgr24",
            PixelFormat::Yuv444p => "yuv444p",
            PixelFormat::Yuv420p => "yuv420p",
        };
        let (width, height) = size;
        let (num, den) = (rate.numerator(), rate.denominator());
        let source = format!(
            "width={width}:height={height}:pix_fmt={format}:time_base={den}/{num}:frame_rate={num}/{den}:sar=1/1"
        );
        Self::new(stream, ["buffer", "buffersink"], &source, description)
    }

    /// For sound.
    pub(super) fn audio(
        stream: StreamName,
        sample_rate: u32,
        num_channels: u32,
        format: SampleFormat,
        description: &str,
    ) -> Result<Self, MediaEncoderError> {
        // Layouts that have no name are those of so many channels.
        let source = format!(
            "time_base=1/{sample_rate}:sample_rate={sample_rate}:sample_fmt={format}:channel_layout={}",
            layout_name(num_channels)
        );
        let mut one = Self::new(stream, ["abuffer", "abuffersink"], &source, description)?;
        (one.sample_rate, one.num_channels) = (sample_rate, num_channels);
        Ok(one)
    }

    fn new(
        stream: StreamName,
        [source, sink]: [&str; 2],
        arguments: &str,
        description: &str,
    ) -> Result<Self, MediaEncoderError> {
        check_text(Some(stream), "filter_desc", description)?;
        let wrong = |error: Error| {
            MediaEncoderError::option(
                Some(stream),
                "filter_desc",
                description,
                &format!("FFmpeg says: {error}"),
            )
        };
        let missing = || failed("filters", Error::FilterNotFound);
        let source = filter::find(source).ok_or_else(missing)?;
        let sink = filter::find(sink).ok_or_else(missing)?;
        let mut graph = Graph::new();
        graph.add(&source, "in", arguments).map_err(wrong)?;
        graph.add(&sink, "out", "").map_err(wrong)?;
        graph
            .output("in", 0)
            .and_then(|parser| parser.input("out", 0))
            .and_then(|parser| parser.parse(description))
            .map_err(wrong)?;
        graph.validate().map_err(wrong)?;
        Ok(Self {
            graph,
            stream,
            sample_rate: 0,
            num_channels: 0,
        })
    }

    pub(super) fn pictures(&mut self) -> Result<Pictures, MediaEncoderError> {
        let sink = self.end_of("out")?;
        // SAFETY: the sink of a graph that was validated.
        unsafe {
            let sink = sink.as_ptr();
            Ok(Pictures {
                width: ffi::av_buffersink_get_w(sink),
                height: ffi::av_buffersink_get_h(sink),
                frame_rate: ffi::av_buffersink_get_frame_rate(sink).into(),
                time_base: ffi::av_buffersink_get_time_base(sink).into(),
            })
        }
    }

    /// The sound that comes out has frames of so many samples, the last but one included.
    pub(super) fn set_frame_size(&mut self, samples: u32) -> Result<(), MediaEncoderError> {
        let mut sink = self.end_of("out")?;
        sink.sink().set_frame_size(samples);
        Ok(())
    }

    pub(super) fn add_picture(
        &mut self,
        picture: &Picture,
        at: i64,
    ) -> Result<(), MediaEncoderError> {
        use ffmpeg_next::format::Pixel;
        let (format, layout): (Pixel, &[(usize, bool)]) = match picture.format {
            PixelFormat::Gray8 => (Pixel::GRAY8, &[(1, false)]),
            PixelFormat::Rgb24 => (Pixel::RGB24, &[(3, false)]),
            PixelFormat::Bgr24 => (Pixel::BGR24, &[(3, false)]),
            PixelFormat::Yuv444p => (Pixel::YUV444P, &[(1, false), (1, false), (1, false)]),
            PixelFormat::Yuv420p => (Pixel::YUV420P, &[(1, false), (1, true), (1, true)]),
        };
        let mut filled = frame::Video::new(format, picture.width, picture.height);
        if filled.planes() == 0 {
            return Err(no_memory());
        }
        let mut rest = &picture.data[..];
        for (index, (bytes, halved)) in layout.iter().enumerate() {
            let half = |side: u32| if *halved { side.div_ceil(2) } else { side } as usize;
            let (row, rows) = (half(picture.width) * bytes, half(picture.height));
            let stride = filled.stride(index);
            let plane = filled.data_mut(index).chunks_mut(stride);
            for (to, from) in plane.zip(rest.chunks(row)).take(rows) {
                to[..row].copy_from_slice(from);
            }
            rest = rest.get(row * rows..).unwrap_or_default();
        }
        filled.set_pts(Some(at));
        self.add(&filled)
    }

    pub(super) fn add_sound(
        &mut self,
        samples: &Samples,
        first: i64,
    ) -> Result<(), MediaEncoderError> {
        let bytes = bytes_of(samples);
        let size = bytes.len() / samples.len().max(1) * self.num_channels as usize;
        let pieces = bytes.chunks((size * MAX_SAMPLES).max(1));
        for (piece, at) in pieces.zip((first..).step_by(MAX_SAMPLES)) {
            let sound = self.sound(samples.format(), piece, piece.len() / size.max(1), at)?;
            self.add(&sound)?;
        }
        Ok(())
    }

    fn sound(
        &self,
        format: SampleFormat,
        bytes: &[u8],
        samples: usize,
        at: i64,
    ) -> Result<frame::Audio, MediaEncoderError> {
        use ffi::AVSampleFormat as S;
        let format = match format {
            SampleFormat::U8 => S::AV_SAMPLE_FMT_U8,
            SampleFormat::S16 => S::AV_SAMPLE_FMT_S16,
            SampleFormat::S32 => S::AV_SAMPLE_FMT_S32,
            SampleFormat::S64 => S::AV_SAMPLE_FMT_S64,
            SampleFormat::Flt => S::AV_SAMPLE_FMT_FLT,
            SampleFormat::Dbl => S::AV_SAMPLE_FMT_DBL,
        };
        let mut sound = frame::Audio::empty();
        // SAFETY: the frame is ours; its buffer holds `samples` of all channels in one plane, as
        // the format is packed, which is what `bytes` is.
        unsafe {
            let frame = sound.as_mut_ptr();
            if frame.is_null() {
                return Err(no_memory());
            }
            (*frame).format = format as c_int;
            (*frame).sample_rate = self.sample_rate as c_int;
            (*frame).nb_samples = samples as c_int;
            let channels = self.num_channels as c_int;
            ffi::av_channel_layout_default(&raw mut (*frame).ch_layout, channels);
            check(ffi::av_frame_get_buffer(frame, 0)).map_err(|e| failed("memory", e))?;
            let plane = slice::from_raw_parts_mut((*frame).data[0], bytes.len());
            plane.copy_from_slice(bytes);
        }
        sound.set_pts(Some(at));
        Ok(sound)
    }

    fn add(&mut self, frame: &Frame) -> Result<(), MediaEncoderError> {
        let mut source = self.end_of("in")?;
        source.source().add(frame).map_err(|e| failed("filters", e))
    }

    /// Nothing more goes in.
    pub(super) fn end(&mut self) -> Result<(), MediaEncoderError> {
        let mut source = self.end_of("in")?;
        source.source().flush().map_err(|e| failed("filters", e))
    }

    /// The next frame that is ready.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, MediaEncoderError> {
        let mut sink = self.end_of("out")?;
        // SAFETY: an empty frame is what a sink fills.
        let mut frame = unsafe { Frame::empty() };
        match sink.sink().frame(&mut frame) {
            Ok(()) => Ok(Some(frame)),
            Err(Error::Eof) => Ok(None),
            Err(Error::Other { errno }) if errno == ffmpeg_next::error::EAGAIN => Ok(None),
            Err(error) => Err(failed("filters", error)),
        }
    }

    fn end_of(&mut self, name: &str) -> Result<filter::Context, MediaEncoderError> {
        let stream = self.stream;
        self.graph
            .get(name)
            .ok_or_else(|| MediaEncoderError::option(Some(stream), "filter_desc", name, "a graph"))
    }
}

fn no_memory() -> MediaEncoderError {
    let errno = ffmpeg_next::error::ENOMEM;
    failed("memory", Error::Other { errno })
}

/// The usual layout of so many channels, by its name, or by their number.
pub(super) fn layout_name(channels: u32) -> String {
    // SAFETY: the layout is plain memory, the text fits or is cut.
    unsafe {
        let mut layout: ffi::AVChannelLayout = std::mem::zeroed();
        ffi::av_channel_layout_default(&raw mut layout, channels as c_int);
        let mut text = [0_u8; 64];
        ffi::av_channel_layout_describe(&raw const layout, text.as_mut_ptr().cast(), 64);
        ffi::av_channel_layout_uninit(&raw mut layout);
        match CStr::from_bytes_until_nul(&text) {
            Ok(name) if !name.is_empty() => name.to_string_lossy().into_owned(),
            _ => format!("{channels}C"),
        }
    }
}

/// The samples in memory.
fn bytes_of(samples: &Samples) -> Vec<u8> {
    macro_rules! bytes {
        ($samples:expr) => {
            $samples.iter().flat_map(|one| one.to_ne_bytes()).collect()
        };
    }
    match samples {
        Samples::U8(samples) => samples.clone(),
        Samples::S16(samples) => bytes!(samples),
        Samples::S32(samples) => bytes!(samples),
        Samples::S64(samples) => bytes!(samples),
        Samples::Flt(samples) => bytes!(samples),
        Samples::Dbl(samples) => bytes!(samples),
    }
}

/// A name as C has it; checked for zero bytes before.
pub(super) fn c_string(name: &str) -> CString {
    CString::new(name.replace('\0', "")).unwrap_or_default()
}
