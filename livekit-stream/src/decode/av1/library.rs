//! rav1d's interface, which is dav1d's for C, made safe. It leaks nothing, which takes some care:
//! each picture handed out or taken back leaves an allocation behind in the structure.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::{fmt, io, slice};

use re_rav1d::include::dav1d::data::Dav1dData;
use re_rav1d::include::dav1d::dav1d::{Dav1dContext, Dav1dSettings};
use re_rav1d::include::dav1d::headers::{
    DAV1D_MC_BT709, DAV1D_PIXEL_LAYOUT_I400, DAV1D_PIXEL_LAYOUT_I420, DAV1D_PIXEL_LAYOUT_I422,
    DAV1D_PIXEL_LAYOUT_I444,
};
use re_rav1d::include::dav1d::picture::Dav1dPicture;
use re_rav1d::src::lib::{
    dav1d_close, dav1d_data_create, dav1d_data_unref, dav1d_default_settings, dav1d_get_picture,
    dav1d_open, dav1d_picture_unref, dav1d_send_data,
};

/// What rav1d refuses: the negative number of an error of the system's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Error(c_int);

impl Error {
    /// Whether another call has to come first: pictures are to be taken, or data given.
    pub(super) fn is_again(self) -> bool {
        io::Error::from_raw_os_error(-self.0).kind() == io::ErrorKind::WouldBlock
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its own number for what has no other is that of another error.
        if self.0 == -1 {
            return f.write_str("it cannot be decoded");
        }
        io::Error::from_raw_os_error(-self.0).fmt(f)
    }
}

fn check(result: c_int) -> Result<(), Error> {
    if result == 0 {
        Ok(())
    } else {
        Err(Error(result))
    }
}

/// A decoder of one thread and without delay.
pub(super) struct Decoder {
    context: Option<Dav1dContext>,
    /// Data that were not taken yet.
    pending: Dav1dData,
}

// SAFETY: the context is an `Arc` of what is `Send` and `Sync`, as rav1d shares it with its own
// threads; and data are bytes.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A decoder of frames of no more pixels than the limit.
    pub(super) fn open(frame_size_limit: u32) -> Result<Self, Error> {
        let mut settings = MaybeUninit::<Dav1dSettings>::uninit();
        // SAFETY: the pointer may be written to, and is.
        let mut settings = unsafe {
            dav1d_default_settings(NonNull::from(&mut settings).cast());
            settings.assume_init()
        };
        settings.n_threads = 1;
        settings.max_frame_delay = 1;
        settings.frame_size_limit = frame_size_limit;
        // Without, a temporal unit that lacks the highest layer would show nothing.
        settings.all_layers = 1;
        let mut context = None;
        // SAFETY: both pointers are of live variables.
        let result = unsafe {
            dav1d_open(
                Some(NonNull::from(&mut context)),
                Some(NonNull::from(&mut settings)),
            )
        };
        check(result.0)?;
        Ok(Self {
            context,
            pending: Dav1dData::default(),
        })
    }

    /// Gives a temporal unit. When pictures have to be taken first, it is kept for
    /// [`send_pending`](Self::send_pending).
    pub(super) fn send(&mut self, data: &[u8]) -> Result<(), Error> {
        self.forget_pending();
        // SAFETY: the pointer is of a live variable; what is behind it holds no data any more.
        let bytes =
            unsafe { dav1d_data_create(Some(NonNull::from(&mut self.pending)), data.len()) };
        let Some(bytes) = NonNull::new(bytes) else {
            return Err(Error(-1));
        };
        // SAFETY: it was allocated with this length, and nobody else has it yet.
        unsafe { slice::from_raw_parts_mut(bytes.as_ptr(), data.len()) }.copy_from_slice(data);
        self.send_pending()
    }

    /// Gives what was kept.
    pub(super) fn send_pending(&mut self) -> Result<(), Error> {
        // SAFETY: the context is open, and the pointer of a live variable.
        let result =
            unsafe { dav1d_send_data(self.context, Some(NonNull::from(&mut self.pending))) };
        check(result.0)
    }

    fn forget_pending(&mut self) {
        // SAFETY: the pointer is of a live variable.
        unsafe { dav1d_data_unref(Some(NonNull::from(&mut self.pending))) };
    }

    /// The next picture.
    pub(super) fn picture(&mut self) -> Result<Picture, Error> {
        let mut picture = Dav1dPicture::default();
        // SAFETY: the context is open, and the pointer of a live variable that holds nothing.
        let result = unsafe { dav1d_get_picture(self.context, Some(NonNull::from(&mut picture))) };
        let picture = Picture(picture);
        check(result.0).map(|()| picture)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.forget_pending();
        // SAFETY: the context is that of `dav1d_open`, and not closed before.
        unsafe { dav1d_close(Some(NonNull::from(&mut self.context))) };
    }
}

/// How the planes are subsampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    I400,
    I420,
    I422,
    I444,
}

/// A decoded picture.
pub(super) struct Picture(Dav1dPicture);

impl Picture {
    pub(super) fn width(&self) -> u32 {
        self.0.p.w.unsigned_abs()
    }

    pub(super) fn height(&self) -> u32 {
        self.0.p.h.unsigned_abs()
    }

    /// Bits of a sample; those of more than 8 have two bytes.
    pub(super) fn bit_depth(&self) -> u32 {
        self.0.p.bpc.unsigned_abs()
    }

    pub(super) fn layout(&self) -> Option<Layout> {
        Some(match self.0.p.layout {
            DAV1D_PIXEL_LAYOUT_I400 => Layout::I400,
            DAV1D_PIXEL_LAYOUT_I420 => Layout::I420,
            DAV1D_PIXEL_LAYOUT_I422 => Layout::I422,
            DAV1D_PIXEL_LAYOUT_I444 => Layout::I444,
            _ => return None,
        })
    }

    /// Whether its colours are those of BT.709, and whether they have the full range.
    pub(super) fn color(&self) -> (bool, bool) {
        self.0.seq_hdr.map_or((false, false), |header| {
            // SAFETY: the picture holds its sequence header.
            let header = unsafe { header.as_ref() };
            (header.mtrx == DAV1D_MC_BT709, header.color_range != 0)
        })
    }

    /// The bytes of a plane, and from one row of it to the next. Empty where there is none.
    pub(super) fn plane(&self, index: usize) -> (&[u8], usize) {
        let lower = matches!(self.layout(), Some(Layout::I420)) && index > 0;
        let height = if lower {
            self.height().div_ceil(2)
        } else {
            self.height()
        };
        let stride = usize::try_from(self.0.stride[index.min(1)]).unwrap_or(0);
        self.0.data[index].map_or((&[], 0), |data| {
            // SAFETY: a plane has this many rows of this many bytes, and more for its borders; it
            // is complete, and lives as long as the picture.
            let bytes =
                unsafe { slice::from_raw_parts(data.cast().as_ptr(), stride * height as usize) };
            (bytes, stride)
        })
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: the pointer is of a live variable, whose parts are rav1d's own; afterwards it
        // holds nothing but one new part, which is taken out.
        unsafe {
            dav1d_picture_unref(Some(NonNull::from(&mut self.0)));
            if let Some(part) = self.0.itut_t35_ref.take() {
                drop(part.into_arc());
            }
        }
    }
}
