//! The synthetic publisher: draws, encodes, packetizes and sends in real time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use livekit_stream::EncodedFrame;
use livekit_stream::codec::Codec;
use livekit_stream::encode::{
    AudioEncoder, AudioOptions, EncodeError, VideoEncoder, VideoOptions, audio_encoder,
    video_encoder,
};
use rtc::media_stream::MediaStreamTrack;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtp::header::Header;
use rtc::rtp::packet::Packet;
use rtc::rtp::packetizer::Payloader;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::PeerConnection;

use super::loopback::{self, H264_PAYLOAD, OPUS_PAYLOAD};
use super::scene::{self, FRAME_RATE, SAMPLE_RATE, Scene};
use crate::failure::Failure;

/// Payload bytes in a packet: 1200 less the RTP header and its extensions.
const MTU: usize = 1172;
/// From one sender report to the next.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// From 1900, where NTP's time starts, to 1970 (RFC 5905 figure 4).
const NTP_UNIX_OFFSET: u64 = 2_208_988_800;
/// Samples in an Opus packet of 20 ms.
const PACKET_SAMPLES: usize = SAMPLE_RATE as usize / 50;

/// The two tracks of a connection that has been told of them.
pub(crate) struct Publisher {
    video: Output,
    audio: Output,
}

impl Publisher {
    /// Adds the tracks to a connection that is not negotiated yet.
    pub(crate) async fn add_to(connection: &dyn PeerConnection) -> Result<Self, loopback::Error> {
        let video = Output::new(
            "camera",
            RtpCodecKind::Video,
            loopback::h264(),
            H264_PAYLOAD,
        )?;
        let audio = Output::new(
            "microphone",
            RtpCodecKind::Audio,
            loopback::opus(),
            OPUS_PAYLOAD,
        )?;
        for output in [&video, &audio] {
            connection
                .add_track(Arc::clone(&output.track) as Arc<dyn TrackLocal>)
                .await?;
        }
        Ok(Self { video, audio })
    }

    /// Sends until the connection ends or an encoder fails.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let failed = |error| Failure::of("cannot encode", &error);
        let camera = Camera::new().map_err(failed)?;
        let audio = audio_encoder(Codec::Opus, AudioOptions::default()).map_err(failed)?;
        // An encoder takes its time for the first picture; the clock starts behind it.
        let first = camera.take(0).await?;
        let clock = Clock {
            epoch: Instant::now(),
            wall: SystemTime::now(),
        };
        tokio::try_join!(
            show(self.video, first, clock),
            play(self.audio, audio, clock)
        )?;
        Ok(())
    }
}

/// Draws pictures and encodes them.
struct Camera {
    scene: Scene,
    encoder: Box<dyn VideoEncoder>,
}

/// A camera with the picture it has just taken.
type Shot = (Camera, Option<EncodedFrame>);

impl Camera {
    fn new() -> Result<Self, EncodeError> {
        let mut options = VideoOptions::default();
        options.gop_size = FRAME_RATE as u32;
        let encoder = video_encoder(Codec::H264, options)?;
        Ok(Self {
            scene: Scene::new(),
            encoder,
        })
    }

    /// Takes picture `number`: milliseconds of work, too long for a thread that others need.
    async fn take(self, number: u64) -> Result<Shot, Failure> {
        let task = tokio::task::spawn_blocking(move || self.draw(number));
        task.await
            .map_err(|error| Failure::of("cannot draw", &error))?
    }

    fn draw(mut self, number: u64) -> Result<Shot, Failure> {
        let picture = self.scene.picture(number);
        let picture = picture.map_err(|error| Failure::of("cannot draw", &error))?;
        let encoded = self.encoder.encode(&picture, picture_us(number), false);
        let encoded = encoded.map_err(|error| Failure::of("cannot encode", &error))?;
        Ok((self, encoded))
    }
}

/// When picture `number` is shown.
fn picture_us(number: u64) -> i64 {
    (number * 1_000_000 / FRAME_RATE) as i64
}

async fn show(mut output: Output, first: Shot, clock: Clock) -> Result<(), Failure> {
    let mut shot = first;
    for number in 0.. {
        clock.sleep_until(picture_us(number)).await;
        let (camera, frame) = shot;
        if let Some(frame) = frame
            && !output.send(&frame, clock).await
        {
            break;
        }
        shot = camera.take(number + 1).await?;
    }
    Ok(())
}

async fn play(
    mut output: Output,
    mut encoder: Box<dyn AudioEncoder>,
    clock: Clock,
) -> Result<(), Failure> {
    let mut packets = Vec::new();
    for number in 0.. {
        let sound = scene::sound(number * PACKET_SAMPLES as u64, PACKET_SAMPLES);
        // A microphone has the sound when it is over.
        clock
            .sleep_until(sound.timestamp_us + sound.duration_us())
            .await;
        encoder
            .encode(&sound, &mut packets)
            .map_err(|error| Failure::of("cannot encode", &error))?;
        for packet in packets.drain(..) {
            if !output.send(&packet, clock).await {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// One instant from which the RTP timestamps and the sender reports of both tracks count.
#[derive(Debug, Clone, Copy)]
struct Clock {
    epoch: Instant,
    wall: SystemTime,
}

impl Clock {
    async fn sleep_until(self, time_us: i64) {
        let since = Duration::from_micros(time_us.max(0) as u64);
        tokio::time::sleep_until((self.epoch + since).into()).await;
    }

    fn now_us(self) -> i64 {
        self.epoch.elapsed().as_micros() as i64
    }

    /// A time in NTP's 32.32 fixed point seconds.
    fn ntp(self, time_us: i64) -> u64 {
        let wall = self.wall + Duration::from_micros(time_us.max(0) as u64);
        let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        ((unix.as_secs() + NTP_UNIX_OFFSET) << 32) | fraction
    }
}

/// One RTP stream.
struct Output {
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    payload_type: u8,
    clock_rate: i64,
    payloader: Box<dyn Payloader>,
    sequence_number: u16,
    /// The RTP timestamp of the clock's epoch: random, as RFC 3550 section 5.1 wants it.
    base: u32,
    packets: u32,
    octets: u32,
    next_report_us: i64,
}

impl Output {
    fn new(
        name: &str,
        kind: RtpCodecKind,
        codec: RTCRtpCodec,
        payload_type: u8,
    ) -> Result<Self, loopback::Error> {
        let ssrc = rand::random();
        let (clock_rate, payloader) = (i64::from(codec.clock_rate), codec.payloader()?);
        let coding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                ..RTCRtpCodingParameters::default()
            },
            codec,
            ..RTCRtpEncodingParameters::default()
        };
        // The name of both tracks' stream, for they belong together.
        let stream = "demo".to_owned();
        let track =
            MediaStreamTrack::new(stream, name.to_owned(), name.to_owned(), kind, vec![coding]);
        Ok(Self {
            track: Arc::new(TrackLocalStaticRTP::new(track)),
            ssrc,
            payload_type,
            clock_rate,
            payloader,
            sequence_number: rand::random(),
            base: rand::random(),
            packets: 0,
            octets: 0,
            next_report_us: 0,
        })
    }

    fn timestamp(&self, time_us: i64) -> u32 {
        let ticks = (time_us * self.clock_rate + 500_000).div_euclid(1_000_000);
        self.base.wrapping_add(ticks as u32)
    }

    /// Sends a frame; false when the connection has ended.
    async fn send(&mut self, frame: &EncodedFrame, clock: Clock) -> bool {
        let timestamp = self.timestamp(frame.timestamp_us);
        let Ok(payloads) = self.payloader.payload(MTU, &frame.data) else {
            return false;
        };
        let count = payloads.len();
        for (index, payload) in payloads.into_iter().enumerate() {
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(payload.len() as u32);
            let header = Header {
                version: 2,
                marker: index + 1 == count,
                payload_type: self.payload_type,
                sequence_number: self.sequence_number,
                timestamp,
                ssrc: self.ssrc,
                ..Header::default()
            };
            self.sequence_number = self.sequence_number.wrapping_add(1);
            if self
                .track
                .write_rtp(Packet { header, payload })
                .await
                .is_err()
            {
                return false;
            }
        }
        self.report(clock).await
    }

    /// Says from time to time which RTP timestamp stands for which wall clock (RFC 3550
    /// section 6.4.1).
    async fn report(&mut self, clock: Clock) -> bool {
        let now_us = clock.now_us();
        if now_us < self.next_report_us {
            return true;
        }
        self.next_report_us = now_us + REPORT_INTERVAL.as_micros() as i64;
        let report = SenderReport {
            ssrc: self.ssrc,
            ntp_time: clock.ntp(now_us),
            rtp_time: self.timestamp(now_us),
            packet_count: self.packets,
            octet_count: self.octets,
            ..SenderReport::default()
        };
        self.track.write_rtcp(vec![Box::new(report)]).await.is_ok()
    }
}
