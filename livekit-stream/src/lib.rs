//! Joins LiveKit rooms and turns remote tracks into frames, fragmented MP4 and RTMP.
//!
//! Encoded frames are the spine and decoding is a tap: what a publisher sends goes to a file or
//! to an RTMP server as it is, and is decoded only for those who ask for pixels.

pub mod codec;
pub mod decode;
pub mod demux;
pub mod encode;
mod fanout;
#[cfg(feature = "ffmpeg")]
mod ffmpeg;
pub mod frame;
pub mod input;
pub mod monitor;
pub mod mux;
pub mod output;
pub mod pipeline;
mod record;
mod room;
pub mod rtmp;
pub mod rtp;
mod socket;
mod stream;
mod timing;
mod tls;
pub mod turn;

// The public interface.
pub use fanout::TrackStats;
pub use frame::{
    AudioFrame, ConvertError, EncodedFrame, VideoFormat, VideoFrame, VideoFrameEvent,
    VideoRotation, VideoSize,
};
pub use monitor::{Metric, StreamMonitor};
pub use output::OutputError;
pub use output::fmp4::{ChunkKind, FragmentedMp4Chunk, FragmentedMp4Encoder};
pub use output::media::StreamingMediaEncoder;
pub use output::rtmp::{RtmpOutput, RtmpPublisher};
pub use pipeline::derive_mp4_cache_key;
pub use pipeline::mkv::{init_segment_mkv, segment_mkv, transcode_mkv};
pub use record::{
    AudioMode, MediaSource, Monitored, OutputBuilder, RecordError, Recorder, RecorderBuilder,
    RecordingReport, RestreamReport, Restreamer, RestreamerBuilder, TargetReport, TrackReport,
    Treatment, VideoMode,
};
pub use room::{
    BandwidthEstimates, ConnectError, DataMessage, DisconnectReason, ParticipantKind,
    RemoteAudioTrack, RemoteParticipant, RemoteTrack, RemoteTrackPublication, RemoteVideoTrack,
    Room, RoomEvent, RoomEvents, RoomOptions, SenderReports, StreamState, SubscribeError,
    TokenOptions, TrackSource, Transcription, TranscriptionSegment, VideoQuality, WebRtcPeer,
    WebRtcTrack, mint_token,
};
pub use stream::{
    AudioStream, AudioStreamBuilder, DecodedStream, EncodedStream, EncodedVideoStream, FrameSource,
    StreamError, VideoStream, VideoStreamBuilder,
};
pub use timing::Timing;
