//! Packets that make no sense over a real WebRTC connection, with no server in between that would
//! look into them: streams go on, and what is sent properly comes through as it was.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt};
use livekit_stream::codec::Codec;
use livekit_stream::encode::{AudioOptions, VideoOptions, audio_encoder, video_encoder};
use livekit_stream::{
    AudioFrame, AudioStream, EncodedFrame, EncodedStream, EncodedVideoStream, RemoteTrack,
    VideoFormat, VideoFrame, VideoStream, WebRtcPeer,
};
use livekit_stream_examples::peer::{self, Event};
use livekit_stream_tests::garbage::Garbage;
use livekit_stream_tests::guest::eventually;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS};
use rtc::rtp::codec::h264::H264Payloader;
use rtc::rtp::header::Header;
use rtc::rtp::packet::Packet;
use rtc::rtp::packetizer::Payloader;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::PeerConnection;

const DEADLINE: Duration = Duration::from_secs(40);
const TICK: Duration = Duration::from_millis(20);

/// Frames sent with garbage among them, and frames after it.
const DISTURBED: usize = 200;
const CLEAN: usize = 60;

/// Pictures from keyframe to keyframe.
const KEYFRAMES: usize = 10;

/// One RTP stream.
struct Sender {
    track: Arc<TrackLocalStaticRTP>,
    payload_type: u8,
    ssrc: u32,
    sequence_number: u16,
    timestamp: u32,
    garbage: Garbage,
}

impl Sender {
    /// Adds a track to a connection.
    async fn add(connection: &impl PeerConnection, mime_type: &str, ssrc: u32) -> Self {
        let (kind, clock_rate) = if mime_type == MIME_TYPE_H264 {
            (RtpCodecKind::Video, 90_000)
        } else {
            (RtpCodecKind::Audio, 48_000)
        };
        let media = peer::media(mime_type, clock_rate, kind, ssrc);
        let track = Arc::new(TrackLocalStaticRTP::new(media));
        let sender = connection.add_track(track.clone()).await.expect("added");
        let parameters = sender.get_parameters().await.expect("parameters");
        Self {
            track,
            payload_type: parameters.rtp_parameters.codecs[0].payload_type,
            ssrc,
            sequence_number: 65_500,
            timestamp: 1,
            garbage: Garbage::new(u64::from(ssrc)),
        }
    }

    async fn packet(&mut self, payload: bytes::Bytes, marker: bool, extended: bool) {
        let mut header = Header {
            version: 2,
            marker,
            payload_type: self.payload_type,
            sequence_number: self.sequence_number,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            ..Header::default()
        };
        self.sequence_number = self.sequence_number.wrapping_add(1);
        if extended {
            // One only: a wrong MID makes the `webrtc` crate drop the packet.
            let (id, extension) = self.garbage.extension();
            header.set_extension(id, extension).expect("it fits");
        }
        let packet = Packet { header, payload };
        self.track.write_rtp(packet).await.expect("sent");
    }

    /// Sends packets of no sense with a timestamp of their own.
    async fn garbage(&mut self) {
        self.timestamp = self.timestamp.wrapping_add(1);
        let payloads = [
            self.garbage.random(),
            bytes::Bytes::new(),
            self.garbage.malformed_h264(),
            self.garbage.random(),
        ];
        for payload in payloads {
            let (marker, extended) = (self.garbage.coin(), self.garbage.coin());
            self.packet(payload, marker, extended).await;
        }
    }

    /// Sends a frame in its packets.
    async fn frame(&mut self, payloads: Vec<bytes::Bytes>, ticks: u32) {
        self.timestamp = self.timestamp.wrapping_add(ticks);
        let count = payloads.len();
        for (index, payload) in payloads.into_iter().enumerate() {
            self.packet(payload, index + 1 == count, false).await;
        }
    }
}

/// Sends pictures of 20 ms, each tenth a keyframe; gives those sent after the garbage.
async fn send_pictures(mut sender: Sender) -> Vec<bytes::Bytes> {
    let mut encoder = video_encoder(Codec::H264, VideoOptions::default()).expect("an encoder");
    let mut ticks = tokio::time::interval(TICK);
    let mut sent = Vec::new();
    for count in 0..DISTURBED + CLEAN {
        ticks.tick().await;
        let luma = if count < DISTURBED { 60 } else { 200 };
        let yuv = [vec![luma; 320 * 240], vec![128; 320 * 120]].concat();
        let picture = VideoFrame::new(VideoFormat::I420, 320, 240, yuv).expect("a picture");
        let encoded = encoder.encode(&picture, 0, count % KEYFRAMES == 0);
        let data = encoded.expect("encoded").expect("never skipped").data;
        let payloads = H264Payloader::default().payload(1100, &data);
        sender.frame(payloads.expect("payloads"), 1800).await;
        if count < DISTURBED {
            sender.garbage().await;
        } else {
            sent.push(data);
        }
    }
    sent
}

/// Sends packets of 20 ms of sound; gives those sent after the garbage.
async fn send_sound(mut sender: Sender) -> Vec<bytes::Bytes> {
    let mut encoder = audio_encoder(Codec::Opus, AudioOptions::default()).expect("an encoder");
    let mut ticks = tokio::time::interval(TICK);
    let mut sent = Vec::new();
    for count in 0..DISTURBED + CLEAN {
        ticks.tick().await;
        let tone = (0..960_i16).flat_map(|at| [at % 96 * 100; 2]);
        let frame = AudioFrame {
            samples: tone.collect(),
            sample_rate: 48_000,
            num_channels: 2,
            timestamp_us: count as i64 * 20_000,
        };
        let mut packets: Vec<EncodedFrame> = Vec::new();
        encoder.encode(&frame, &mut packets).expect("encoded");
        for packet in packets {
            sender.frame(vec![packet.data.clone()], 960).await;
            if count >= DISTURBED {
                sent.push(packet.data);
            }
        }
        if count < DISTURBED {
            sender.garbage().await;
        }
    }
    sent
}

/// What has come of a stream so far.
#[derive(Clone, Default)]
struct Came(Arc<Mutex<Vec<bytes::Bytes>>>);

impl Came {
    /// Reads a stream to its end.
    fn read(stream: impl Stream<Item = EncodedFrame> + Send + 'static) -> Self {
        let came = Self::default();
        let add = came.clone();
        tokio::spawn(stream.for_each(move |frame| {
            add.frames().push(frame.data);
            std::future::ready(())
        }));
        came
    }

    fn frames(&self) -> MutexGuard<'_, Vec<bytes::Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends_with(&self, sent: &[bytes::Bytes]) -> bool {
        self.frames().ends_with(sent)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_dropped_and_streams_go_on() {
    let (connection, mut sending) = peer::connection().await.expect("a connection");
    let (receiver, mut receiving) = peer::connection().await.expect("a connection");
    let video = Sender::add(&connection, MIME_TYPE_H264, peer::SSRC).await;
    let audio = Sender::add(&connection, MIME_TYPE_OPUS, peer::SSRC + 1).await;
    peer::connect((&connection, &mut sending), (&receiver, &mut receiving))
        .await
        .expect("connected");
    let sent = async { tokio::join!(send_pictures(video), send_sound(audio)) };
    let sent = tokio::spawn(sent);

    // An extension of random bytes may well be that of the orientation.
    let peer = WebRtcPeer::new().video_orientation_id(3);
    let (mut pictures, mut sound) = (None, None);
    while pictures.is_none() || sound.is_none() {
        let event = tokio::time::timeout(DEADLINE, receiving.recv()).await;
        let Some(Event::Track(track)) = event.expect("tracks come") else {
            continue;
        };
        match peer.track(track).await {
            RemoteTrack::Video(track) => pictures = Some(track),
            RemoteTrack::Audio(track) => sound = Some(track),
        }
    }
    let (pictures, sound) = (pictures.expect("pictures"), sound.expect("sound"));
    let encoded = Came::read(EncodedVideoStream::new(&pictures));
    let packets = Came::read(EncodedStream::audio(&sound));
    let decoded = VideoStream::builder(&pictures).capacity(0).build();
    let decoded = tokio::spawn(decoded.collect::<Vec<_>>());
    let heard = AudioStream::builder(&sound).capacity(0).build();
    let heard = tokio::spawn(heard.collect::<Vec<_>>());

    let sent = tokio::time::timeout(DEADLINE, sent).await;
    let (sent_pictures, sent_sound) = sent.expect("in time").expect("sent");
    // What the garbage broke ends with the next keyframe.
    eventually("the pictures sent after the garbage come", || {
        encoded.ends_with(&sent_pictures[KEYFRAMES..])
    })
    .await;
    eventually("all sound sent after the garbage comes", || {
        packets.ends_with(&sent_sound)
    })
    .await;
    connection.close().await.expect("closed");
    receiver.close().await.expect("closed");
    let (pictures, sound) = (pictures.stats(), sound.stats());
    println!("{pictures:?} {sound:?}");
    assert!(pictures.frames_dropped > 100, "{pictures:?}");
    assert!(sound.frames_dropped > 50, "{sound:?}");
    let decoded = decoded.await.expect("no panic");
    let bright = decoded.iter().rev().take(40).filter(|event| {
        let frame = &event.frame;
        (frame.width(), frame.height()) == (320, 240) && frame.plane(0)[0].abs_diff(200) < 10
    });
    assert_eq!(bright.count(), 40, "of {} decoded", decoded.len());
    let heard = heard.await.expect("no panic");
    assert!(heard.len() >= CLEAN, "{} heard", heard.len());
}
