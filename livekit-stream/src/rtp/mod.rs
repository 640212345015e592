//! RTP to encoded frames: jitter buffer, depacketizers, clock. No sockets, no clock of its own:
//! time is an input.
//!
//! [`Receiver`] joins the parts for one track. It depends on [`crate::codec`] and
//! [`crate::frame`] alone.

mod bandwidth;
mod clock;
pub mod depacketize;
mod jitter;
mod keyframe;
mod receiver;

pub(crate) use bandwidth::{Arrival, Estimator};
pub use clock::{ParticipantClock, RoomClock, TrackClock};
pub use jitter::{Gap, JitterBuffer, JitterOptions, JitterStats, Packet, ReleasedFrame};
pub use receiver::{Receiver, ReceiverOptions, ReceiverStats};
