//! Data packets: what of them is told as events.

use std::collections::{HashMap, VecDeque};

use livekit_protocol as proto;
use prost::Message;
use proto::data_packet::Value;
use proto::data_stream;

use super::Session;
use crate::room::data::{DataMessage, Transcription, TranscriptionSegment};
use crate::room::{RemoteParticipant, RoomEvent};

/// The topic of text streams that are transcriptions, and their attributes.
const TOPIC: &str = "lk.transcription";
const SEGMENT_ID: &str = "lk.segment_id";
const TRACK_ID: &str = "lk.transcribed_track_id";
const FINAL: &str = "lk.transcription_final";

/// The most transcriptions that are under way at once; then the oldest is given up.
const STREAMS: usize = 64;

/// The most bytes of one. An hour of speech has less.
const TEXT: usize = 64 << 10;

impl Session {
    /// A packet from a data channel.
    pub(super) fn handle_data(&mut self, reliable: bool, bytes: &[u8]) {
        let packet = match proto::DataPacket::decode(bytes) {
            Ok(packet) => packet,
            Err(error) => {
                tracing::warn!(%error, "ignoring a malformed data packet");
                return;
            }
        };
        let (identity, sid) = (packet.participant_identity, packet.participant_sid);
        match packet.value {
            Some(Value::User(user)) => {
                let (sender, participant) = self.sender(identity, &sid, &user);
                self.emit(RoomEvent::DataReceived(DataMessage {
                    payload: user.payload.into(),
                    topic: user.topic.unwrap_or_default(),
                    reliable,
                    sender,
                    participant,
                    timestamp_us: self.shared.now_us(),
                }));
            }
            Some(Value::Transcription(it)) => {
                let segments = it.segments.into_iter().map(segment).collect();
                let speaker = it.transcribed_participant_identity;
                self.transcribed(speaker, it.track_id, segments);
            }
            Some(Value::StreamHeader(header)) => {
                let update = self.transcripts.begin(identity, header);
                self.transcript(update);
            }
            Some(Value::StreamChunk(chunk)) => {
                let update = self.transcripts.append(&chunk);
                self.transcript(update);
            }
            Some(Value::StreamTrailer(trailer)) => {
                let update = self.transcripts.end(&trailer);
                self.transcript(update);
            }
            _ => {}
        }
    }

    /// Servers before the packet itself named its sender did so within.
    #[allow(deprecated, reason = "it is what they fill in")]
    fn sender(
        &self,
        identity: String,
        sid: &str,
        user: &proto::UserPacket,
    ) -> (String, Option<RemoteParticipant>) {
        let identity = [identity, user.participant_identity.clone()]
            .into_iter()
            .find(|it| !it.is_empty());
        let known = |sid: &str| self.shared.participant_of_sid(sid);
        let participant = identity
            .as_ref()
            .and_then(|it| self.shared.participant(it))
            .or_else(|| known(sid))
            .or_else(|| known(&user.participant_sid));
        let named = || participant.as_ref().map(|it| it.identity().to_owned());
        let sender = identity.or_else(named).unwrap_or_default();
        (sender, participant)
    }

    fn transcript(&self, update: Option<Update>) {
        if let Some(update) = update {
            self.transcribed(update.speaker, update.track_sid, vec![update.segment]);
        }
    }

    fn transcribed(&self, speaker: String, track_sid: String, segments: Vec<TranscriptionSegment>) {
        self.emit(RoomEvent::TranscriptionReceived(Transcription {
            participant: self.shared.participant(&speaker),
            speaker,
            track_sid,
            segments,
            timestamp_us: self.shared.now_us(),
        }));
    }
}

fn segment(segment: proto::TranscriptionSegment) -> TranscriptionSegment {
    TranscriptionSegment {
        id: segment.id,
        text: segment.text,
        is_final: segment.r#final,
        language: segment.language,
    }
}

/// A new version of a segment.
#[derive(Debug, PartialEq, Eq)]
struct Update {
    speaker: String,
    track_sid: String,
    segment: TranscriptionSegment,
}

/// Transcriptions that come in pieces, as text streams.
#[derive(Debug, Default)]
pub(super) struct Transcripts {
    streams: HashMap<String, Stream>,
    /// Their ids, the oldest first.
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Stream {
    speaker: String,
    attributes: HashMap<String, String>,
    text: Vec<u8>,
    next_chunk: u64,
}

impl Stream {
    fn extend(&mut self, content: &[u8]) {
        let room = TEXT.saturating_sub(self.text.len());
        self.text.extend(content.iter().take(room));
    }

    fn update(&self, id: &str, is_final: bool) -> Update {
        let attribute = |name: &str| self.attributes.get(name).cloned();
        Update {
            speaker: self.speaker.clone(),
            track_sid: attribute(TRACK_ID).unwrap_or_default(),
            segment: TranscriptionSegment {
                id: attribute(SEGMENT_ID).unwrap_or_else(|| id.to_owned()),
                text: String::from_utf8_lossy(&self.text).into_owned(),
                is_final,
                language: String::new(),
            },
        }
    }
}

impl Transcripts {
    fn begin(&mut self, speaker: String, header: data_stream::Header) -> Option<Update> {
        let compressed = header.compression != data_stream::CompressionType::None as i32;
        if header.topic != TOPIC || compressed {
            return None;
        }
        if self.order.len() >= STREAMS
            && let Some(oldest) = self.order.pop_front()
        {
            self.streams.remove(&oldest);
        }
        let id = header.stream_id;
        let mut stream = Stream {
            speaker,
            attributes: header.attributes,
            text: Vec::new(),
            next_chunk: 0,
        };
        let inline = header.inline_content.as_ref().map(|content| {
            stream.extend(content);
            stream.update(&id, false)
        });
        if self.streams.insert(id.clone(), stream).is_none() {
            self.order.push_back(id);
        }
        inline
    }

    fn append(&mut self, chunk: &data_stream::Chunk) -> Option<Update> {
        let stream = self.streams.get_mut(&chunk.stream_id)?;
        // A chunk that came before is sent again after a connection was lost.
        if chunk.chunk_index < stream.next_chunk {
            return None;
        }
        stream.next_chunk = chunk.chunk_index.saturating_add(1);
        stream.extend(&chunk.content);
        Some(stream.update(&chunk.stream_id, false))
    }

    fn end(&mut self, trailer: &data_stream::Trailer) -> Option<Update> {
        let mut stream = self.streams.remove(&trailer.stream_id)?;
        self.order.retain(|id| *id != trailer.stream_id);
        stream.attributes.extend(trailer.attributes.clone());
        // Whoever does not say that it is not final has said all there is.
        let interim = stream.attributes.get(FINAL).is_some_and(|it| it == "false");
        Some(stream.update(&trailer.stream_id, !interim))
    }
}

#[cfg(test)]
mod tests;
