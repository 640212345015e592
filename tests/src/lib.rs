//! The test kit: finds and starts the real peers that the scenarios run against, publishes known
//! media into them, and measures the media that comes out.
//!
//! The kit panics where a scenario could not go on, with a message that says what is wrong; a
//! scenario that needs a peer which is not installed says so with [`require!`] and is skipped.
#![allow(
    clippy::missing_panics_doc,
    reason = "a panic is how a test kit reports a failure"
)]

pub mod certificate;
pub mod chromium;
pub mod cli;
pub mod clip;
pub mod garbage;
pub mod guest;
pub mod http;
pub mod impairment;
pub mod livekit;
pub mod media;
pub mod nginx;
pub mod peers;
pub mod process;
pub mod publisher;
pub mod python;
pub mod recording;
pub mod rtmp_rs;
pub mod turn;

mod cache;
