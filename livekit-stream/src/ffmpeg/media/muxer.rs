//! The container and where it goes.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::io::{self, Write};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use ffmpeg_next::codec::Id;
use ffmpeg_next::format::context::StreamIo;
use ffmpeg_next::packet::Mut;
use ffmpeg_next::{Dictionary, Error, Packet, Rational, ffi, media};

use super::encoder::Encoder;
use super::filter::c_string;
use super::{all_taken, check_text, dictionary, failed};
use crate::ffmpeg::context::check;
use crate::output::media::{Bridge, Destination, MediaEncoderError, Spec, Target};

/// An output of FFmpeg's.
pub(super) struct Muxer {
    context: *mut ffi::AVFormatContext,
    io: Option<StreamIo>,
    /// What the caller's writer said when it failed.
    failure: Failure,
    has_header: bool,
}

type Failure = Arc<Mutex<Option<io::Error>>>;

impl Muxer {
    /// Finds the container; nothing is created or connected.
    pub(super) fn new(spec: &Spec) -> Result<Self, MediaEncoderError> {
        let name = match &spec.destination.0 {
            Target::Path(path) => Some(path.to_string_lossy().into_owned()),
            Target::Url(url) => Some(url.clone()),
            Target::Writer(_) | Target::AsyncWriter(_) => None,
        };
        if let Some(format) = &spec.format {
            check_text(None, "format", format)?;
        }
        if name.as_ref().is_some_and(|name| name.contains('\0')) {
            return Err(unknown(&spec.destination));
        }
        let format = spec.format.as_deref().map(c_string);
        let name = name.as_deref().map(c_string);
        let pointer = |text: &Option<std::ffi::CString>| {
            text.as_ref().map_or(ptr::null(), |text| text.as_ptr())
        };
        let mut one = Self {
            context: ptr::null_mut(),
            io: None,
            failure: Failure::default(),
            has_header: false,
        };
        // SAFETY: strings with their ends, read during the call.
        let made = unsafe {
            ffi::avformat_alloc_output_context2(
                &raw mut one.context,
                ptr::null_mut(),
                pointer(&format),
                pointer(&name),
            )
        };
        if check(made).is_err() || one.context.is_null() {
            return Err(match &spec.format {
                Some(format) => {
                    MediaEncoderError::option(None, "format", format, "one of get_muxers()")
                }
                None => unknown(&spec.destination),
            });
        }
        Ok(one)
    }

    fn flags(&self) -> c_int {
        // SAFETY: the context has a format since it was made.
        unsafe { (*(*self.context).oformat).flags }
    }

    pub(super) fn wants_global_headers(&self) -> bool {
        self.flags() & ffi::AVFMT_GLOBALHEADER != 0
    }

    /// What the container usually holds.
    pub(super) fn default_codec(&self, kind: media::Type) -> Option<Id> {
        // SAFETY: the format is static; the name is the context's own or null.
        let id = unsafe {
            let context = &*self.context;
            ffi::av_guess_codec(
                context.oformat,
                ptr::null(),
                context.url,
                ptr::null(),
                kind.into(),
            )
        };
        Some(Id::from(id)).filter(|id| *id != Id::None)
    }

    pub(super) fn add_stream(&mut self, encoder: &Encoder) -> Result<(), MediaEncoderError> {
        let failed = |error| failed("the container", error);
        // SAFETY: streams belong to their context; parameters are copied.
        unsafe {
            let stream = ffi::avformat_new_stream(self.context, ptr::null());
            if stream.is_null() {
                return Err(failed(Error::Unknown));
            }
            let context = encoder.context().as_ptr();
            let copied = ffi::avcodec_parameters_from_context((*stream).codecpar, context);
            check(copied).map_err(failed)?;
            (*stream).time_base = (*context).time_base;
            if (*context).framerate.num > 0 {
                (*stream).avg_frame_rate = (*context).framerate;
                (*stream).r_frame_rate = (*context).framerate;
            }
        }
        Ok(())
    }

    /// Creates or connects what is written to, and writes the header.
    pub(super) fn open(&mut self, spec: &mut Spec) -> Result<(), MediaEncoderError> {
        let metadata = dictionary(None, &spec.metadata)?;
        // SAFETY: the context owns its metadata.
        unsafe { (*self.context).metadata = metadata.disown() };
        // SAFETY: as `dictionary` made it; it is given back below.
        let mut options = unsafe { dictionary(None, &spec.option)?.disown() };
        let destination = spec.destination.to_string();
        let opened = self.open_io(spec, &destination, &mut options);
        let written = opened.and_then(|()| {
            // SAFETY: all streams are there, and what is written to is open.
            let written = unsafe { ffi::avformat_write_header(self.context, &raw mut options) };
            let name = self.name();
            self.checked(&format!("the header of {name} to {destination}"), written)
        });
        // SAFETY: what FFmpeg left of our own dictionary.
        let rest = unsafe { Dictionary::own(options) };
        written?;
        self.has_header = true;
        let name = self.name();
        all_taken(
            None,
            &rest,
            &format!("the container {name}, or its destination,"),
        )
    }

    fn open_io(
        &mut self,
        spec: &mut Spec,
        name: &str,
        options: &mut *mut ffi::AVDictionary,
    ) -> Result<(), MediaEncoderError> {
        if self.flags() & ffi::AVFMT_NOFILE != 0 {
            return Ok(());
        }
        let empty = Destination(Target::Writer(Box::new(io::sink())));
        let runtime = spec.runtime.clone();
        let writer = match std::mem::replace(&mut spec.destination, empty).0 {
            Target::Path(_) | Target::Url(_) => {
                // SAFETY: the context's own name; options that are not taken are left there.
                let opened = unsafe {
                    let context = &mut *self.context;
                    ffi::avio_open2(
                        &raw mut context.pb,
                        context.url,
                        ffi::AVIO_FLAG_WRITE,
                        ptr::null(),
                        options,
                    )
                };
                return self.checked(name, opened);
            }
            Target::Writer(writer) => Inner::Writer(writer),
            Target::AsyncWriter(writer) => Inner::Bridge(Bridge {
                writer,
                runtime: runtime.ok_or(MediaEncoderError::NoRuntime)?,
            }),
        };
        let failure = Arc::clone(&self.failure);
        let writer = CallersWriter { writer, failure };
        let mut io = StreamIo::from_write_with_capacity(writer, spec.buffer_size)
            .map_err(|error| failed("the writer", error))?;
        // SAFETY: the context does not outlive `io`, and leaves it alone with this flag.
        unsafe {
            (*self.context).pb = io.as_mut_ptr();
            (*self.context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
        }
        self.io = Some(io);
        Ok(())
    }

    fn name(&self) -> String {
        // SAFETY: names of formats are static.
        let name = unsafe { CStr::from_ptr((*(*self.context).oformat).name) };
        name.to_string_lossy().into_owned()
    }

    /// A packet of stream `index` whose times are in `time_base`.
    pub(super) fn write(
        &mut self,
        index: usize,
        mut packet: Packet,
        time_base: Rational,
    ) -> Result<(), MediaEncoderError> {
        packet.set_stream(index);
        // SAFETY: the stream was added; the packet is taken over and left empty.
        let written = unsafe {
            let stream = *(*self.context).streams.add(index);
            packet.rescale_ts(time_base, Rational::from((*stream).time_base));
            ffi::av_interleaved_write_frame(self.context, packet.as_mut_ptr())
        };
        self.checked("writing", written)
    }

    /// Writes what waits for packets of other streams, and what muxer and buffer hold back.
    pub(super) fn flush(&mut self) -> Result<(), MediaEncoderError> {
        // SAFETY: an open output; null asks for what waits.
        let written = unsafe {
            let interleaved = ffi::av_interleaved_write_frame(self.context, ptr::null_mut());
            let muxed = if self.flags() & ffi::AVFMT_ALLOW_FLUSH != 0 {
                ffi::av_write_frame(self.context, ptr::null_mut())
            } else {
                0
            };
            if !(*self.context).pb.is_null() {
                ffi::avio_flush((*self.context).pb);
            }
            interleaved.min(muxed)
        };
        self.checked("writing", written)
    }

    pub(super) fn close(&mut self) -> Result<(), MediaEncoderError> {
        if !std::mem::take(&mut self.has_header) {
            return Ok(());
        }
        // SAFETY: an output with its header.
        let ended = unsafe { ffi::av_write_trailer(self.context) };
        self.checked("the end", ended)?;
        let Some(io) = self.io.take() else {
            return self.close_io();
        };
        // SAFETY: the context has nothing to write any more.
        unsafe { (*self.context).pb = ptr::null_mut() };
        let Ok(mut writer) = io.into_inner::<CallersWriter>() else {
            return Ok(());
        };
        self.checked("the end", 0)?;
        writer.flush()?;
        if let Inner::Bridge(bridge) = &mut writer.writer {
            bridge.shutdown()?;
        }
        Ok(())
    }

    fn close_io(&mut self) -> Result<(), MediaEncoderError> {
        if self.io.is_some() || self.flags() & ffi::AVFMT_NOFILE != 0 {
            return Ok(());
        }
        // SAFETY: opened by `avio_open2`, or null.
        let closed = unsafe { ffi::avio_closep(&raw mut (*self.context).pb) };
        self.checked("the destination", closed)
    }

    /// The writer's own error is better than FFmpeg's number for it.
    fn checked(&self, doing: &str, code: c_int) -> Result<(), MediaEncoderError> {
        let failure = self
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match (failure, check(code)) {
            (Some(error), _) => Err(MediaEncoderError::Write(error)),
            (None, Err(error)) => Err(failed(doing, error)),
            (None, Ok(())) => Ok(()),
        }
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        if self.context.is_null() {
            return;
        }
        // What an output that was not closed holds back is lost.
        let _ = self.close_io();
        // SAFETY: ours; what it writes to is closed, or freed after it with `io`.
        unsafe {
            (*self.context).pb = ptr::null_mut();
            ffi::avformat_free_context(self.context);
        }
    }
}

fn unknown(destination: &Destination) -> MediaEncoderError {
    MediaEncoderError::UnknownContainer {
        destination: destination.to_string(),
    }
}

enum Inner {
    Writer(Box<dyn Write + Send>),
    Bridge(Bridge),
}

/// The caller's writer; its errors are kept.
struct CallersWriter {
    writer: Inner,
    failure: Failure,
}

impl CallersWriter {
    fn keep<T>(&self, done: io::Result<T>) -> io::Result<T> {
        done.map_err(|error| {
            let kind = error.kind();
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error);
            kind.into()
        })
    }
}

impl Write for CallersWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.writer {
            Inner::Writer(writer) => writer.write(bytes),
            Inner::Bridge(bridge) => bridge.write(bytes),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            written => self.keep(written),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = match &mut self.writer {
            Inner::Writer(writer) => writer.flush(),
            Inner::Bridge(bridge) => bridge.flush(),
        };
        self.keep(flushed)
    }
}
