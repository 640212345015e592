//! libvpx, opened at run time: no crate carries its source, and nothing but VP8 and VP9
//! needs it.
//!
//! The declarations follow `vpx_codec.h`, `vpx_decoder.h` and `vpx_image.h`, whose layouts have
//! not changed since libvpx 1.4 (2015).

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_long, c_uchar, c_uint, c_void};
use std::sync::OnceLock;

use super::super::{DecodeError, LastPicture, PLANAR_FORMATS, copy_planes, planar_format};
use crate::codec::Codec;
use crate::frame::{ColorMatrix, ColorRange, ColorSpace, VideoFormat, VideoFrame, VideoSize};

/// What the library may be called, newest first.
#[cfg(target_os = "macos")]
const NAMES: &[&str] = &[
    "libvpx.dylib",
    "/opt/homebrew/lib/libvpx.dylib",
    "/usr/local/lib/libvpx.dylib",
    "/opt/local/lib/libvpx.dylib",
];
#[cfg(windows)]
const NAMES: &[&str] = &["vpx.dll", "libvpx.dll", "libvpx-1.dll"];
#[cfg(not(any(target_os = "macos", windows)))]
const NAMES: &[&str] = &[
    "libvpx.so.12",
    "libvpx.so.11",
    "libvpx.so.10",
    "libvpx.so.9",
    "libvpx.so.8",
    "libvpx.so.7",
    "libvpx.so.6",
    "libvpx.so.5",
    "libvpx.so",
];

/// `VPX_CODEC_OK`.
const OK: c_int = 0;
/// `VPX_CODEC_ABI_MISMATCH`.
const ABI_MISMATCH: c_int = 3;
/// Values of `VPX_DECODER_ABI_VERSION` to try: 12 since libvpx 1.8, then its neighbours. The
/// constant changes with every public structure of the library, also with those not used here.
const ABI_VERSIONS: [c_int; 8] = [12, 11, 10, 9, 13, 14, 15, 16];
/// `VPX_IMG_FMT_I420`, `_I422` and `_I444`, and the flag `VPX_IMG_FMT_HIGHBITDEPTH` of those whose
/// samples take two bytes.
const FORMATS: [c_uint; 3] = [0x102, 0x105, 0x106];
const HIGH_BIT_DEPTH: c_uint = 0x800;
/// `VPX_CS_BT_709`.
const CS_BT709: c_int = 2;
/// `VPX_CR_FULL_RANGE`.
const FULL_RANGE: c_int = 1;

/// Room for a `vpx_codec_ctx_t`, which takes seven words at most.
#[repr(C)]
struct RawContext([usize; 16]);

/// `vpx_codec_dec_cfg_t`.
#[repr(C)]
struct RawConfig {
    threads: c_uint,
    width: c_uint,
    height: c_uint,
}

/// `vpx_image_t` up to the strides.
#[repr(C)]
struct RawImage {
    format: c_uint,
    color_space: c_int,
    range: c_int,
    width: c_uint,
    height: c_uint,
    bit_depth: c_uint,
    shown_width: c_uint,
    shown_height: c_uint,
    render_width: c_uint,
    render_height: c_uint,
    x_chroma_shift: c_uint,
    y_chroma_shift: c_uint,
    planes: [*mut c_uchar; 4],
    strides: [c_int; 4],
}

type Init =
    unsafe extern "C" fn(*mut RawContext, *const c_void, *const RawConfig, c_long, c_int) -> c_int;
type Decode =
    unsafe extern "C" fn(*mut RawContext, *const c_uchar, c_uint, *mut c_void, c_long) -> c_int;

/// The functions of an open libvpx.
pub(super) struct Library {
    vp8: unsafe extern "C" fn() -> *const c_void,
    vp9: unsafe extern "C" fn() -> *const c_void,
    init: Init,
    decode: Decode,
    get_frame: unsafe extern "C" fn(*mut RawContext, *mut *const c_void) -> *const RawImage,
    destroy: unsafe extern "C" fn(*mut RawContext) -> c_int,
    describe: unsafe extern "C" fn(c_int) -> *const c_char,
    /// Keeps the functions valid.
    _open: libloading::Library,
}

impl Library {
    /// The library, opened on first use. A missing one is looked for again on every call, so
    /// that it can be installed while the program runs.
    pub(super) fn get() -> Result<&'static Self, DecodeError> {
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        if let Some(library) = LIBRARY.get() {
            return Ok(library);
        }
        let library = Self::open(NAMES)?;
        Ok(LIBRARY.get_or_init(|| library))
    }

    pub(super) fn open(names: &[&str]) -> Result<Self, DecodeError> {
        names
            .iter()
            .find_map(|name| Self::load(name).ok())
            .ok_or_else(|| DecodeError::LibraryMissing {
                library: "libvpx",
                hint: "install the Debian package libvpx7 (or libvpx9), or `brew install libvpx`"
                    .to_owned(),
            })
    }

    fn load(name: &str) -> Result<Self, libloading::Error> {
        // SAFETY: libvpx runs no code when it is loaded; the types are those of its headers;
        // the functions live as long as `_open`.
        unsafe {
            let library = libloading::Library::new(name)?;
            Ok(Self {
                vp8: *library.get(b"vpx_codec_vp8_dx\0")?,
                vp9: *library.get(b"vpx_codec_vp9_dx\0")?,
                init: *library.get(b"vpx_codec_dec_init_ver\0")?,
                decode: *library.get(b"vpx_codec_decode\0")?,
                get_frame: *library.get(b"vpx_codec_get_frame\0")?,
                destroy: *library.get(b"vpx_codec_destroy\0")?,
                describe: *library.get(b"vpx_codec_err_to_string\0")?,
                _open: library,
            })
        }
    }

    fn error(&self, codec: Codec, code: c_int) -> DecodeError {
        // SAFETY: takes any value and gives a constant string that ends in a zero byte.
        let text = unsafe {
            let text = (self.describe)(code);
            if text.is_null() {
                "unknown error".into()
            } else {
                CStr::from_ptr(text).to_string_lossy()
            }
        };
        corrupt(codec, format!("{text} (libvpx error {code})"))
    }
}

/// One decoder.
pub(super) struct Context {
    library: &'static Library,
    codec: Codec,
    /// In a box: libvpx may keep pointers into it.
    raw: Box<RawContext>,
    last: LastPicture,
}

// SAFETY: a context is used by one thread at a time through `&mut`, and libvpx keeps nothing in
// thread-local storage. With one thread configured it starts none of its own.
unsafe impl Send for Context {}

impl Context {
    /// A decoder of VP9, or of VP8.
    pub(super) fn new(library: &'static Library, codec: Codec) -> Result<Self, DecodeError> {
        let interface = match codec {
            Codec::Vp9 => library.vp9,
            _ => library.vp8,
        };
        let config = RawConfig {
            threads: 1,
            width: 0,
            height: 0,
        };
        let mut code = ABI_MISMATCH;
        for version in ABI_VERSIONS {
            let mut raw = Box::new(RawContext([0; 16]));
            // SAFETY: `raw` is zeroed and larger than the library's structure; `config` outlives
            // the call; a library that was built with another version refuses to start.
            code = unsafe {
                (library.init)(&raw mut *raw, interface(), &raw const config, 0, version)
            };
            if code == OK {
                return Ok(Self {
                    library,
                    codec,
                    raw,
                    last: LastPicture::default(),
                });
            }
            if code != ABI_MISMATCH {
                break;
            }
        }
        Err(library.error(codec, code))
    }

    /// Decodes a frame; `None` when there is nothing to show.
    pub(super) fn decode(
        &mut self,
        frame: &[u8],
        normalize_stride: bool,
    ) -> Result<Option<VideoFrame>, DecodeError> {
        let length = c_uint::try_from(frame.len())
            .map_err(|_| corrupt(self.codec, format!("a frame of {} bytes", frame.len())))?;
        // SAFETY: the context is initialised; `frame` is `length` bytes long and only read
        // during the call; the deadline 0 means none.
        let code = unsafe {
            let user = std::ptr::null_mut();
            (self.library.decode)(&raw mut *self.raw, frame.as_ptr(), length, user, 0)
        };
        if code != OK {
            return Err(self.library.error(self.codec, code));
        }
        let mut iterator = std::ptr::null();
        // SAFETY: as above; the image that is returned is valid until the next call.
        let image = unsafe {
            let image = (self.library.get_frame)(&raw mut *self.raw, &raw mut iterator);
            match image.as_ref() {
                Some(image) => image,
                None => return Ok(None),
            }
        };
        let format = format_of(image).ok_or_else(|| {
            let (format, bits) = (image.format, image.bit_depth);
            let reason = format!("image format {format:#x} of {bits} bits, {PLANAR_FORMATS}");
            corrupt(self.codec, reason)
        })?;
        let sample_bytes = if format == VideoFormat::I010 { 2 } else { 1 };
        let size = VideoSize {
            width: image.shown_width,
            height: image.shown_height,
        };
        let planes = [0, 1, 2].map(|index| {
            let (columns, rows) = match (index, format) {
                (0, _) | (_, VideoFormat::I444) => (0, 0),
                (_, VideoFormat::I422) => (1, 0),
                _ => (1, 1),
            };
            let row = ((size.width + columns) >> columns) as usize * sample_bytes;
            let height = ((size.height + rows) >> rows) as usize;
            let stride = usize::try_from(image.strides[index]).unwrap_or(0);
            let length = height.saturating_sub(1) * stride + row;
            if image.planes[index].is_null() || stride < row || height == 0 {
                return (&[][..], 0);
            }
            // SAFETY: the plane holds `height` rows `stride` bytes apart; no call into the
            // library happens while the slice lives.
            let bytes = unsafe { std::slice::from_raw_parts(image.planes[index], length) };
            (bytes, stride)
        });
        let color = match self.codec {
            Codec::Vp9 => color_of(image),
            _ => ColorSpace::default(),
        };
        let last = &mut self.last;
        let picture = copy_planes(self.codec, format, size, planes, normalize_stride, last)?;
        Ok(Some(picture.with_color(color)))
    }
}

fn format_of(image: &RawImage) -> Option<VideoFormat> {
    let bits = if image.format & HIGH_BIT_DEPTH == 0 {
        8
    } else {
        image.bit_depth
    };
    let known = FORMATS.contains(&(image.format & !HIGH_BIT_DEPTH));
    known
        .then(|| planar_format((image.x_chroma_shift, image.y_chroma_shift), bits))
        .flatten()
}

fn color_of(image: &RawImage) -> ColorSpace {
    ColorSpace {
        matrix: match image.color_space {
            CS_BT709 => ColorMatrix::Bt709,
            _ => ColorMatrix::Bt601,
        },
        range: match image.range {
            FULL_RANGE => ColorRange::Full,
            _ => ColorRange::Limited,
        },
    }
}

fn corrupt(codec: Codec, reason: String) -> DecodeError {
    DecodeError::Corrupt { codec, reason }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is initialised and destroyed once.
        unsafe {
            (self.library.destroy)(&raw mut *self.raw);
        }
    }
}
