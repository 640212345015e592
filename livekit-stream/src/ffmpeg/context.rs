//! Codec contexts with what only C can set.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_int};
use std::ptr;

use ffmpeg_next::codec::Context;
use ffmpeg_next::{Codec, Error, Rational, ffi, frame};

/// Microseconds, the unit of all our times.
pub(super) const MICROSECONDS: Rational = Rational(1, 1_000_000);

/// Zeros that decoders may read behind the end of their input.
const PADDING: usize = ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;

/// A context for `codec` with its out-of-band configuration.
pub(super) fn with_extradata(codec: Codec, extradata: &[u8]) -> Result<Context, Error> {
    let mut context = Context::new_with_codec(codec);
    let length = c_int::try_from(extradata.len()).map_err(|_| Error::InvalidData)?;
    // SAFETY: the context is ours alone and not open yet. The block is FFmpeg's own, longer than
    // what is copied to it, zero behind it, and freed with the context (`avcodec_free_context`).
    unsafe {
        let context = context.as_mut_ptr();
        if context.is_null() {
            return Err(Error::Other {
                errno: ffmpeg_next::error::ENOMEM,
            });
        }
        if length > 0 {
            let block = ffi::av_mallocz(extradata.len() + PADDING).cast::<u8>();
            if block.is_null() {
                return Err(Error::Other {
                    errno: ffmpeg_next::error::ENOMEM,
                });
            }
            ptr::copy_nonoverlapping(extradata.as_ptr(), block, extradata.len());
            (*context).extradata = block;
            (*context).extradata_size = length;
        }
    }
    Ok(context)
}

/// What a container says of a sound track, for decoders that need to know.
pub(super) fn describe_sound(
    context: &mut Context,
    sample_rate: u32,
    num_channels: u32,
    bits_per_sample: u32,
) {
    // SAFETY: plain fields of a context that is ours alone and not open yet; the layout is in
    // place and owns no memory.
    unsafe {
        let context = context.as_mut_ptr();
        (*context).sample_rate = sample_rate.min(i32::MAX as u32) as c_int;
        (*context).bits_per_coded_sample = bits_per_sample.min(64) as c_int;
        if (1..=64).contains(&num_channels) {
            ffi::av_channel_layout_default(&raw mut (*context).ch_layout, num_channels as c_int);
        }
    }
}

/// The decoder's buffer that rate control keeps to, in bits.
pub(super) fn set_rate_buffer(context: &mut Context, bits: u32) {
    // SAFETY: a plain field of a context that is ours alone and not open yet.
    unsafe { (*context.as_mut_ptr()).rc_buffer_size = bits.min(i32::MAX as u32) as c_int };
}

/// Pictures to the memory of a graphics processor.
pub(super) struct Uploader {
    device: *mut ffi::AVBufferRef,
    pool: *mut ffi::AVBufferRef,
    /// Of pictures that are there.
    format: ffi::AVPixelFormat,
}

// SAFETY: references with counts of their own, used through `&mut` alone; FFmpeg ties them to no
// thread.
unsafe impl Send for Uploader {}

impl Uploader {
    /// For the first VA-API device, NV12 of this size.
    pub(super) fn vaapi(width: u32, height: u32) -> Result<Self, Error> {
        let kind = ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI;
        let format = ffi::AVPixelFormat::AV_PIX_FMT_NV12;
        Self::new(kind, None, (width, height), format)
    }

    /// For a device of this kind, the first one unless it is named; pictures come in `format`.
    #[expect(
        clippy::cast_ptr_alignment,
        reason = "the pool's context is allocated as one and told as bytes"
    )]
    pub(super) fn new(
        kind: ffi::AVHWDeviceType,
        device: Option<&str>,
        (width, height): (u32, u32),
        format: ffi::AVPixelFormat,
    ) -> Result<Self, Error> {
        let mut one = Self::open(kind, device)?;
        // SAFETY: what is allocated is released by `Drop`, also where a later step fails; the
        // pool's context is FFmpeg's own and not initialized when its fields are set.
        unsafe {
            let mut limits = ffi::av_hwdevice_get_hwframe_constraints(one.device, ptr::null());
            if limits.is_null() || (*limits).valid_hw_formats.is_null() {
                ffi::av_hwframe_constraints_free(&raw mut limits);
                return Err(Error::Other {
                    errno: ffmpeg_next::error::ENOSYS,
                });
            }
            one.format = *(*limits).valid_hw_formats;
            ffi::av_hwframe_constraints_free(&raw mut limits);
            one.pool = ffi::av_hwframe_ctx_alloc(one.device);
            if one.pool.is_null() {
                return Err(Error::Other {
                    errno: ffmpeg_next::error::ENOMEM,
                });
            }
            let pool = (*one.pool).data.cast::<ffi::AVHWFramesContext>();
            (*pool).format = one.format;
            (*pool).sw_format = format;
            (*pool).width = width as c_int;
            (*pool).height = height as c_int;
            (*pool).initial_pool_size = 8;
            check(ffi::av_hwframe_ctx_init(one.pool))?;
        }
        Ok(one)
    }

    fn open(kind: ffi::AVHWDeviceType, device: Option<&str>) -> Result<Self, Error> {
        let mut one = Self {
            device: ptr::null_mut(),
            pool: ptr::null_mut(),
            format: ffi::AVPixelFormat::AV_PIX_FMT_NONE,
        };
        let device = device.map(CString::new).transpose();
        let device = device.map_err(|_| Error::InvalidData)?;
        let device = device.as_ref().map_or(ptr::null(), |name| name.as_ptr());
        // SAFETY: the name is null or a string with its end, read during the call.
        let opened = unsafe {
            ffi::av_hwdevice_ctx_create(&raw mut one.device, kind, device, ptr::null_mut(), 0)
        };
        check(opened)?;
        Ok(one)
    }

    /// Makes an encoder that is not open yet take pictures from there.
    pub(super) fn attach(&self, context: &mut Context) {
        // SAFETY: the context owns the reference it gets.
        unsafe {
            let context = context.as_mut_ptr();
            (*context).pix_fmt = self.format;
            (*context).hw_frames_ctx = ffi::av_buffer_ref(self.pool);
        }
    }

    pub(super) fn upload(&mut self, picture: &frame::Video) -> Result<frame::Video, Error> {
        let mut uploaded = frame::Video::empty();
        // SAFETY: both frames are valid; the uploaded one refers to the pool by itself.
        unsafe {
            check(ffi::av_hwframe_get_buffer(
                self.pool,
                uploaded.as_mut_ptr(),
                0,
            ))?;
            check(ffi::av_hwframe_transfer_data(
                uploaded.as_mut_ptr(),
                picture.as_ptr(),
                0,
            ))?;
        }
        Ok(uploaded)
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        // SAFETY: both are ours; releasing what was not allocated does nothing.
        unsafe {
            ffi::av_buffer_unref(&raw mut self.pool);
            ffi::av_buffer_unref(&raw mut self.device);
        }
    }
}

/// The kinds of devices that can be opened on this machine, by FFmpeg's names.
pub(super) fn devices() -> Vec<String> {
    let mut names = Vec::new();
    let mut kind = ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_NONE;
    loop {
        // SAFETY: functions of numbers; names are static.
        unsafe {
            kind = ffi::av_hwdevice_iterate_types(kind);
            if kind == ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_NONE {
                return names;
            }
            let name = ffi::av_hwdevice_get_type_name(kind);
            if !name.is_null() && Uploader::open(kind, None).is_ok() {
                names.push(CStr::from_ptr(name).to_string_lossy().into_owned());
            }
        }
    }
}

pub(super) fn check(code: c_int) -> Result<(), Error> {
    if code < 0 {
        return Err(Error::from(code));
    }
    Ok(())
}
