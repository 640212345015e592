//! Fan-out of one track's encoded frames: a [`hub`] that writes to any number of [`ring`]s and
//! waits for none. Depends on [`crate::frame`] and [`crate::rtp`].

mod hub;
mod recent;
mod ring;

pub use hub::TrackStats;
pub(crate) use hub::{Begin, TrackHub};
pub(crate) use ring::{Overflow, Pushed, Ring, Start};
