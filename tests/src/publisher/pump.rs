//! Sends a clip in real time: each access unit as RTP packets at its time, and a sender report a
//! second, all from one clock, so that the reports map every track to the same wall clock exactly.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use livekit_stream::codec::vp9;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtp::header::Header;
use rtc::rtp::packet::Packet;
use rtc::rtp::packetizer::Payloader;
use rtc::rtp_transceiver::rtp_sender::RTCRtpCodec;
use tokio::time::sleep_until;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use super::track::Sent;
use crate::clip::{AudioClip, VideoClip};

/// Payload bytes in a packet: 1200 less the RTP header and its extensions.
const MTU: usize = 1172;
/// From one sender report to the next.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// From the NTP era's start, 1900, to the Unix epoch (RFC 5905 figure 4).
const NTP_UNIX_OFFSET: u64 = 2_208_988_800;
/// Opus packets of the clips last 20 ms.
const OPUS_PACKET: Duration = Duration::from_millis(20);

/// The jump to a keyframe that was asked for comes so many pictures later, so that the sound at the
/// pictures' side knows of it however late its task runs.
const LEAD: u32 = 3;

/// And not in so much of each second of the clip: behind its flash and beep, the next ones, which
/// a jump leads to, would not be told from them.
const FLASH_AND_BEEP: Duration = Duration::from_millis(400);

/// Of so many packets of silence one is sent with discontinuous transmission.
const SILENT_PACKETS: usize = 20;

/// A publisher's clock: one instant that both the RTP timestamps and the reports count from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    epoch: Instant,
    wall: SystemTime,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            epoch: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    pub(super) fn epoch(self) -> Instant {
        self.epoch
    }

    /// NTP's 32.32 fixed point seconds.
    fn ntp(self, at: Instant) -> u64 {
        let wall = self.wall + at.saturating_duration_since(self.epoch);
        let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        ((unix.as_secs() + NTP_UNIX_OFFSET) << 32) | fraction
    }
}

/// The start of the clips of tracks published together, and how far video jumps have moved them.
#[derive(Debug)]
pub(super) struct Timeline {
    start: Instant,
    /// From when on, and over how much of the clip.
    jumps: Mutex<Vec<(Instant, Duration)>>,
}

impl Timeline {
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
            jumps: Mutex::default(),
        }
    }

    fn jump(&self, from: Instant, over: Duration) {
        let mut jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner);
        jumps.push((from, over));
    }

    /// How much of the clip has been skipped before what is due at an instant.
    fn skipped(&self, due: Instant) -> Duration {
        let jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner);
        let before = jumps.iter().filter(|(from, _)| *from <= due);
        before.map(|(_, over)| *over).sum()
    }
}

/// What a test sees of a running track and changes about it.
#[derive(Debug, Default)]
pub(super) struct Control {
    sent: Mutex<Vec<Sent>>,
    muted: AtomicBool,
    /// Muted since the last picture, for however short a time.
    was_muted: AtomicBool,
    keyframe_wanted: AtomicBool,
    keyframe_requests: AtomicUsize,
    payloads: Mutex<VecDeque<Payloads>>,
}

/// RTP payloads that are in no clip.
#[derive(Debug)]
pub(super) struct Payloads {
    pub(super) payloads: Vec<Bytes>,
    /// Instead of a frame of the clip; else before one.
    pub(super) instead: bool,
}

impl Control {
    pub(super) fn sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn send_payloads(&self, payloads: Payloads) {
        self.payloads().push_back(payloads);
    }

    pub(super) fn has_payloads(&self) -> bool {
        !self.payloads().is_empty()
    }

    fn payloads(&self) -> MutexGuard<'_, VecDeque<Payloads>> {
        self.payloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_muted(&self, muted: bool) {
        self.was_muted.store(true, Ordering::Relaxed);
        self.muted.store(muted, Ordering::Relaxed);
    }

    pub(super) fn keyframe_requests(&self) -> usize {
        self.keyframe_requests.load(Ordering::Relaxed)
    }

    pub(super) fn request_keyframe(&self) {
        self.keyframe_requests.fetch_add(1, Ordering::Relaxed);
        self.keyframe_wanted.store(true, Ordering::Relaxed);
    }
}

/// What all packets of an RTP stream bear.
pub(super) struct StreamId {
    pub(super) ssrc: u32,
    pub(super) payload_type: u8,
    /// The RTP timestamp of the clock's epoch: random, as RFC 3550 section 5.1 wants it, and the
    /// same for all layers of a picture.
    pub(super) base: u32,
    /// Header extensions by their negotiated ids.
    pub(super) extensions: Vec<(u8, Bytes)>,
}

/// One RTP stream.
pub(super) struct Output {
    pub(super) track: Arc<TrackLocalStaticRTP>,
    stream: StreamId,
    clock_rate: u32,
    payloader: Box<dyn Payloader>,
    is_vp9: bool,
    sequence_number: u16,
    clock: Clock,
    packets: u32,
    octets: u32,
    next_report: Option<Instant>,
}

impl Output {
    pub(super) fn new(
        track: Arc<TrackLocalStaticRTP>,
        stream: StreamId,
        codec: &RTCRtpCodec,
        clock: Clock,
    ) -> Self {
        Self {
            track,
            stream,
            clock_rate: codec.clock_rate,
            payloader: codec
                .payloader()
                .expect("the codec has an RTP payload format"),
            is_vp9: codec.mime_type.eq_ignore_ascii_case("video/VP9"),
            sequence_number: rand::random(),
            clock,
            packets: 0,
            octets: 0,
            next_report: None,
        }
    }

    fn timestamp(&self, at: Instant) -> u32 {
        let since = at.saturating_duration_since(self.clock.epoch).as_nanos();
        let ticks = (since * u128::from(self.clock_rate) + 500_000_000) / 1_000_000_000;
        self.stream.base.wrapping_add(ticks as u32)
    }

    /// Sends one access unit or packet of sound whose time is `due`; false when the connection
    /// has ended.
    async fn send(&mut self, data: &Bytes, due: Instant) -> bool {
        let timestamp = self.timestamp(due);
        let mut payloads = self
            .payloader
            .payload(MTU, data)
            .expect("the clip can be packetized");
        if self.is_vp9 {
            describe_vp9(&mut payloads, !vp9::is_keyframe(data));
        }
        let count = payloads.len();
        for (index, payload) in payloads.into_iter().enumerate() {
            if !self.packet(payload, timestamp, index + 1 == count).await {
                return false;
            }
        }
        self.report().await
    }

    /// Sends the payloads of no clip whose turn it is, just before what is `due`. Tells whether
    /// the clip's frame is still to be sent; `None` when the connection has ended.
    async fn interject(&mut self, control: &Control, due: Instant) -> Option<bool> {
        let next = control.payloads().pop_front();
        let Some(Payloads { payloads, instead }) = next else {
            return Some(true);
        };
        let timestamp = self.timestamp(due).wrapping_sub(1);
        for (index, payload) in payloads.into_iter().enumerate() {
            if !self.packet(payload, timestamp, index % 2 == 1).await {
                return None;
            }
        }
        Some(!instead)
    }

    async fn packet(&mut self, payload: Bytes, timestamp: u32, marker: bool) -> bool {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        let mut header = Header {
            version: 2,
            marker,
            payload_type: self.stream.payload_type,
            sequence_number: self.sequence_number,
            timestamp,
            ssrc: self.stream.ssrc,
            ..Header::default()
        };
        for (id, value) in &self.stream.extensions {
            let set = header.set_extension(*id, value.clone());
            set.expect("a short header extension");
        }
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let packet = Packet { header, payload };
        self.track.write_rtp(packet).await.is_ok()
    }

    async fn report(&mut self) -> bool {
        let now = Instant::now();
        if self.next_report.is_some_and(|due| now < due) {
            return true;
        }
        self.next_report = Some(now + REPORT_INTERVAL);
        let report = SenderReport {
            ssrc: self.stream.ssrc,
            ntp_time: self.clock.ntp(now),
            rtp_time: self.timestamp(now),
            packet_count: self.packets,
            octet_count: self.octets,
            ..SenderReport::default()
        };
        self.track.write_rtcp(vec![Box::new(report)]).await.is_ok()
    }

    fn log(&self, control: &Control, index: usize, keyframe: bool, due: Instant) {
        let media = due.saturating_duration_since(self.clock.epoch);
        control.sent().push(Sent {
            index,
            keyframe,
            rtp_timestamp: self.timestamp(due),
            media_us: media.as_micros() as i64,
            at: Instant::now(),
        });
    }
}

/// Tells in the payload descriptors of a picture whether it refers to others (P of RFC 9628 section
/// 4.2), which `rtc` never does: the server then takes each for a keyframe. In flexible mode (F)
/// they would have to be named, so that is left.
fn describe_vp9(payloads: &mut [Bytes], refers: bool) {
    for payload in payloads {
        let mut bytes = payload.to_vec();
        bytes[0] = bytes[0] & !0x10 | if refers { 0x40 } else { 0 };
        *payload = bytes.into();
    }
}

/// A picture sequence and where it goes.
pub(super) struct Picture {
    pub(super) clip: Arc<VideoClip>,
    pub(super) output: Output,
    /// The lower layers of a simulcast, which go along.
    pub(super) lower: Vec<(Arc<VideoClip>, Output)>,
}

/// Plays a picture sequence until it ends or the connection does.
pub(super) async fn play_video(
    picture: Picture,
    repeat: bool,
    answer_requests: bool,
    timeline: Arc<Timeline>,
    control: Arc<Control>,
) {
    let Picture {
        clip,
        mut output,
        mut lower,
    } = picture;
    let count = clip.units.len();
    let mut index = 0;
    let mut needs_keyframe = true;
    // At which tick, and over how many pictures.
    let mut jump: Option<(u32, u32)> = None;
    for tick in 0u32.. {
        let due = timeline.start + clip_time(tick, clip.options.fps);
        sleep_until(due.into()).await;
        let asked = answer_requests && control.keyframe_wanted.swap(false, Ordering::Relaxed);
        if asked && jump.is_none() {
            jump = planned_jump(&clip, index).map(|(lead, over)| (tick + lead, over));
            if let Some((at, over)) = jump {
                let from = timeline.start + clip_time(at, clip.options.fps);
                timeline.jump(from, clip_time(over, clip.options.fps));
            }
        }
        if let Some((_, over)) = jump.take_if(|(at, _)| *at == tick) {
            index += over as usize;
            needs_keyframe = true;
        }
        needs_keyframe |= control.was_muted.swap(false, Ordering::Relaxed);
        if control.muted.load(Ordering::Relaxed) {
            index += 1;
            continue;
        }
        if needs_keyframe {
            let Some(ahead) = next_keyframe(&clip, index) else {
                return;
            };
            index += ahead as usize;
            timeline.jump(due, clip_time(ahead, clip.options.fps));
        }
        if index >= count && !repeat {
            return;
        }
        match output.interject(&control, due).await {
            Some(true) => {}
            Some(false) => {
                index += 1;
                continue;
            }
            None => return,
        }
        let unit = &clip.units[index % count];
        output.log(&control, index % count, unit.keyframe, due);
        for (clip, output) in &mut lower {
            let unit = &clip.units[index % count];
            if !output.send(&unit.data, due).await {
                return;
            }
        }
        if !output.send(&unit.data, due).await {
            return;
        }
        needs_keyframe = false;
        index += 1;
    }
}

/// Plays a sound until it ends or the connection does.
pub(super) async fn play_audio(
    clip: Arc<AudioClip>,
    repeat: bool,
    discontinuous: bool,
    mut output: Output,
    timeline: Arc<Timeline>,
    control: Arc<Control>,
) {
    let mut silent = 0;
    for tick in 0u32.. {
        let due = timeline.start + OPUS_PACKET * tick;
        sleep_until(due.into()).await;
        // A jump of the picture is no whole number of packets. The one before: what follows on the
        // beginning of a beep is quiet without it, as Opus predicts it from there.
        let skipped = timeline.skipped(due);
        let skipped_packets = skipped.as_micros() / OPUS_PACKET.as_micros();
        let index = tick as usize + skipped_packets as usize;
        if index >= clip.packets.len() && !repeat {
            return;
        }
        if control.muted.load(Ordering::Relaxed) {
            continue;
        }
        match output.interject(&control, due).await {
            Some(true) => {}
            Some(false) => continue,
            None => return,
        }
        let index = index % clip.packets.len();
        silent = if clip.is_silent(index) { silent + 1 } else { 0 };
        if discontinuous && silent % SILENT_PACKETS != silent.min(1) {
            continue;
        }
        output.log(&control, index, true, due);
        if !output.send(&clip.packets[index].data, due).await {
            return;
        }
    }
}

/// How many pictures there are before the next keyframe, if there is any.
fn next_keyframe(clip: &VideoClip, index: usize) -> Option<u32> {
    let mut units = clip.units.iter().cycle().skip(index % clip.units.len());
    let ahead = units
        .by_ref()
        .take(clip.units.len())
        .position(|unit| unit.keyframe);
    ahead.map(|ahead| ahead as u32)
}

/// After how many pictures to jump, and over how many, to a keyframe that was asked for. `None`
/// where one comes by itself before.
fn planned_jump(clip: &VideoClip, index: usize) -> Option<(u32, u32)> {
    let fps = clip.options.fps;
    let is_between_beeps =
        |lead: &u32| clip_time((index as u32 + lead) % fps, fps) >= FLASH_AND_BEEP;
    let lead = (LEAD..LEAD + fps).find(is_between_beeps).unwrap_or(LEAD);
    let over = next_keyframe(clip, index)?.checked_sub(lead)?;
    Some((lead, over))
}

/// The time of a picture in its clip, exact to the nanosecond however long it plays.
fn clip_time(frames: u32, fps: u32) -> Duration {
    Duration::from_nanos(u64::from(frames) * 1_000_000_000 / u64::from(fps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_counts_from_1900_in_units_of_two_to_the_minus_32_seconds() {
        let clock = Clock {
            epoch: Instant::now(),
            wall: UNIX_EPOCH,
        };
        let ntp = clock.ntp(clock.epoch + Duration::from_millis(1500));
        assert_eq!(ntp >> 32, NTP_UNIX_OFFSET + 1);
        assert_eq!(ntp as u32, 1 << 31);
    }
}
