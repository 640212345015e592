//! Pipelines: a container's bytes in, another container's bytes out, piece by piece. Depends on
//! [`crate::demux`], [`crate::mux`], [`crate::codec`], and on [`crate::decode`] and
//! [`crate::encode`] for what cannot be copied.

mod cache_key;
pub mod mkv;
#[cfg(feature = "ffmpeg")]
pub mod universal;

pub use cache_key::derive_mp4_cache_key;
