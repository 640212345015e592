//! Data messages and transcriptions.

use bytes::Bytes;

use super::RemoteParticipant;

/// A message that somebody, or the server's API, sent to the room.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DataMessage {
    /// What was sent.
    pub payload: Bytes,
    /// The topic it was sent under; empty without one.
    pub topic: String,
    /// Whether it was sent so that it arrives, and in order; else it was worth sending only once.
    pub reliable: bool,
    /// The identity of the sender; empty for the server's API and hidden participants.
    pub sender: String,
    /// The sender, while present.
    pub participant: Option<RemoteParticipant>,
    /// When it came, in microseconds on the room's media clock.
    pub timestamp_us: i64,
}

/// Speech in words, as somebody in the room has understood it, mostly an agent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Transcription {
    /// The identity of the one who speaks.
    pub speaker: String,
    /// The one who speaks, while present.
    pub participant: Option<RemoteParticipant>,
    /// The sid of the track with the speech; empty if not told.
    pub track_sid: String,
    /// Its parts. One that comes again with the same id takes the place of the one before.
    pub segments: Vec<TranscriptionSegment>,
    /// When it came, in microseconds on the room's media clock: some time after the speech.
    pub timestamp_us: i64,
}

/// A part of a [`Transcription`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TranscriptionSegment {
    /// The same for all versions of this part.
    pub id: String,
    /// The words so far.
    pub text: String,
    /// Whether there will be no other version.
    pub is_final: bool,
    /// The language, such as `en`; empty if not told.
    pub language: String,
}
