//! Encoded frames to the messages of one session: metadata, sequence headers, times from zero.

use std::collections::VecDeque;

use bytes::Bytes;

use super::queue::Dropped;
use super::shared::Counts;
use crate::codec::{Codec, MediaKind};
use crate::frame::EncodedFrame;
use crate::mux::{AudioTrack, MuxError, Track, VideoTrack, flv};

/// Sound that waits for the first picture: ten seconds of AAC at 48 kHz.
const MAX_HELD: usize = 470;

/// How much sound waits for the first picture: nobody may have a camera on. It is as long as a
/// usual distance between keyframes.
const MAX_WAIT_US: i64 = 2_000_000;

/// One message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Out {
    Metadata(Bytes),
    /// Milliseconds since the session's first frame, and the body.
    Video(u64, Bytes),
    Audio(u64, Bytes),
}

/// What one session has been told so far.
#[derive(Debug, Default)]
pub(super) struct Feed {
    audio_only: bool,
    frame_rate: Option<f64>,
    video: Option<VideoTrack>,
    audio: Option<AudioTrack>,
    /// The time of the first frame, which is zero for the server: YouTube and nginx take a
    /// stream that begins elsewhere for one with a hole.
    origin_us: Option<i64>,
    held: VecDeque<EncodedFrame>,
    last_video_ms: u64,
    last_audio_ms: u64,
    video_frames: u64,
    audio_frames: u64,
    dropped: Dropped,
    pub(super) keyframe_wanted: bool,
}

impl Feed {
    pub(super) fn new(audio_only: bool, frame_rate: Option<f64>) -> Self {
        Self {
            audio_only,
            frame_rate,
            ..Self::default()
        }
    }

    /// Moves the counts since the last call to the publisher's.
    pub(super) fn settle(&mut self, counts: &mut Counts) {
        counts.video_frames += std::mem::take(&mut self.video_frames);
        counts.audio_frames += std::mem::take(&mut self.audio_frames);
        let dropped = std::mem::take(&mut self.dropped);
        counts.dropped.video_frames += dropped.video_frames;
        counts.dropped.audio_frames += dropped.audio_frames;
    }

    /// Counts a frame that the server does not take.
    pub(super) fn refuse(&mut self, frame: &EncodedFrame) {
        match frame.codec.kind() {
            MediaKind::Video => self.dropped.video_frames += 1,
            MediaKind::Audio => self.dropped.audio_frames += 1,
        }
    }

    /// The session is over: what waited for its first picture is lost.
    pub(super) fn abandon(&mut self, counts: &mut Counts) {
        self.dropped.audio_frames += self.held.len() as u64;
        self.held.clear();
        self.settle(counts);
    }

    /// Appends the messages that a frame gives. `audio` is the audio track as far as it is known.
    ///
    /// # Errors
    ///
    /// When the frame does not go into FLV; it is counted as dropped, and later ones may go.
    pub(super) fn push(
        &mut self,
        frame: EncodedFrame,
        audio: Option<&AudioTrack>,
        out: &mut Vec<Out>,
    ) -> Result<(), MuxError> {
        let kind = frame.codec.kind();
        let own;
        let audio =
            match audio.filter(|track| kind != MediaKind::Audio || track.codec == frame.codec) {
                // Packets of Opus tell what a decoder has to know.
                None if frame.codec == Codec::Opus => {
                    own = AudioTrack::opus(2);
                    Some(&own)
                }
                audio => audio,
            };
        let result = match kind {
            MediaKind::Video => self.video(&frame, audio, out),
            MediaKind::Audio => self.audio(frame, audio, out),
        };
        if result.is_err() {
            match kind {
                MediaKind::Video => self.dropped.video_frames += 1,
                MediaKind::Audio => self.dropped.audio_frames += 1,
            }
        }
        result
    }

    fn video(
        &mut self,
        frame: &EncodedFrame,
        audio: Option<&AudioTrack>,
        out: &mut Vec<Out>,
    ) -> Result<(), MuxError> {
        if frame.keyframe {
            self.video_headers(frame, audio, out)?;
        }
        if self.video.is_none() {
            self.dropped.video_frames += 1;
            return Ok(());
        }
        let body = flv::video_body(frame)?;
        let starts = self.origin_us.is_none();
        self.last_video_ms = self.time_ms(frame.timestamp_us).max(self.last_video_ms);
        out.push(Out::Video(self.last_video_ms, body));
        self.video_frames += 1;
        if starts {
            self.release(audio, out);
        }
        Ok(())
    }

    /// Sends the sound that waited; the origin is set.
    fn release(&mut self, audio: Option<&AudioTrack>, out: &mut Vec<Out>) {
        for frame in std::mem::take(&mut self.held) {
            if self.audio(frame, audio, out).is_err() {
                self.dropped.audio_frames += 1;
            }
        }
    }

    /// Metadata and the sequence header, when the parameter sets are new.
    fn video_headers(
        &mut self,
        frame: &EncodedFrame,
        audio: Option<&AudioTrack>,
        out: &mut Vec<Out>,
    ) -> Result<(), MuxError> {
        let track = match VideoTrack::from_keyframe(frame) {
            Ok(track) => track,
            // A keyframe without parameter sets continues with those it had.
            Err(_) if self.video.is_some() => return Ok(()),
            Err(error) => {
                self.keyframe_wanted = true;
                return Err(error);
            }
        };
        if self.video.as_ref() == Some(&track) {
            return Ok(());
        }
        let header = flv::video_sequence_header(&track)?;
        self.video = Some(track);
        self.metadata(audio, out);
        let time = self
            .origin_us
            .map_or(0, |_| self.time_ms(frame.timestamp_us));
        out.push(Out::Video(time.max(self.last_video_ms), header));
        Ok(())
    }

    fn audio(
        &mut self,
        frame: EncodedFrame,
        audio: Option<&AudioTrack>,
        out: &mut Vec<Out>,
    ) -> Result<(), MuxError> {
        let Some(origin_us) = self
            .origin_us
            .or(self.audio_only.then_some(frame.timestamp_us))
        else {
            self.hold(frame);
            if audio.is_some()
                && let (Some(first), Some(last)) = (self.held.front(), self.held.back())
                && last.timestamp_us.saturating_sub(first.timestamp_us) >= MAX_WAIT_US
            {
                // The stream goes on with sound alone; pictures may join later.
                self.origin_us = Some(first.timestamp_us);
                self.release(audio, out);
            }
            return Ok(());
        };
        let Some(track) = audio else {
            self.dropped.audio_frames += 1;
            return Ok(());
        };
        if frame.timestamp_us < origin_us {
            self.dropped.audio_frames += 1;
            return Ok(());
        }
        let body = flv::audio_body(&frame)?;
        let time_ms = self.time_ms(frame.timestamp_us).max(self.last_audio_ms);
        if self.audio.as_ref() != Some(track) {
            let header = flv::audio_sequence_header(track)?;
            self.metadata(Some(track), out);
            self.audio = Some(track.clone());
            out.push(Out::Audio(time_ms, header));
        }
        self.last_audio_ms = time_ms;
        out.push(Out::Audio(time_ms, body));
        self.audio_frames += 1;
        Ok(())
    }

    fn hold(&mut self, frame: EncodedFrame) {
        if self.held.len() >= MAX_HELD {
            self.held.pop_front();
            self.dropped.audio_frames += 1;
        }
        self.held.push_back(frame);
    }

    /// Again whenever a track comes or changes: servers take the last one.
    fn metadata(&self, audio: Option<&AudioTrack>, out: &mut Vec<Out>) {
        let mut tracks: Vec<Track> = self.video.clone().map(Track::Video).into_iter().collect();
        tracks.extend(audio.cloned().map(Track::Audio));
        out.push(Out::Metadata(flv::metadata(&tracks, self.frame_rate)));
    }

    /// Milliseconds since the first frame; what lies before it is at zero.
    fn time_ms(&mut self, timestamp_us: i64) -> u64 {
        let origin_us = *self.origin_us.get_or_insert(timestamp_us);
        u64::try_from(timestamp_us.saturating_sub(origin_us)).unwrap_or(0) / 1000
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::frame::{VideoRotation, VideoSize};

    /// Parameter sets of 64x48 and 128x96 pictures as openh264 writes them.
    fn keyframe(width: u32, height: u32, timestamp_us: i64) -> EncodedFrame {
        let picture =
            crate::frame::VideoFrame::blank(crate::frame::VideoFormat::I420, width, height)
                .unwrap();
        crate::encode::video_encoder(Codec::H264, crate::encode::VideoOptions::default())
            .unwrap()
            .encode(&picture, timestamp_us, true)
            .unwrap()
            .unwrap()
    }

    fn frame(codec: Codec, timestamp_us: i64) -> EncodedFrame {
        EncodedFrame {
            codec,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x41, 0xaa]),
            keyframe: codec == Codec::Aac,
            timestamp_us,
            rotation: VideoRotation::Deg0,
            size: VideoSize::default(),
            lost_packets: 0,
        }
    }

    /// One letter a message, and its time.
    fn names(out: &[Out]) -> Vec<(char, u64)> {
        out.iter()
            .map(|message| match message {
                Out::Metadata(_) => ('m', 0),
                Out::Video(time, body) if body.get(1) == Some(&0) => ('V', *time),
                Out::Video(time, _) => ('v', *time),
                Out::Audio(time, body) if body.get(1) == Some(&0) => ('A', *time),
                Out::Audio(time, _) => ('a', *time),
            })
            .collect()
    }

    #[test]
    fn a_session_starts_with_metadata_headers_and_the_keyframe_at_zero() {
        let track = AudioTrack::aac(48_000, 2).unwrap();
        let mut feed = Feed::new(false, None);
        let mut out = Vec::new();
        for frame in [
            frame(Codec::H264, 4_900_000),
            frame(Codec::Aac, 4_980_000),
            frame(Codec::Aac, 5_001_000),
            keyframe(64, 48, 5_000_000),
            frame(Codec::Aac, 5_022_000),
            frame(Codec::H264, 5_033_333),
        ] {
            feed.push(frame, Some(&track), &mut out).unwrap();
        }
        assert_eq!(
            names(&out),
            [
                ('m', 0),
                ('V', 0),
                ('v', 0),
                ('m', 0),
                ('A', 1),
                ('a', 1),
                ('a', 22),
                ('v', 33)
            ]
        );
        let mut counts = Counts::default();
        feed.abandon(&mut counts);
        assert_eq!((counts.video_frames, counts.audio_frames), (2, 2));
        assert_eq!(counts.dropped.video_frames, 1);
        assert_eq!(counts.dropped.audio_frames, 1);
    }

    #[test]
    fn new_parameter_sets_are_announced_before_their_picture() {
        let mut feed = Feed::new(false, Some(30.0));
        let mut out = Vec::new();
        for frame in [
            keyframe(64, 48, 0),
            keyframe(64, 48, 33_000),
            keyframe(128, 96, 66_000),
        ] {
            feed.push(frame, None, &mut out).unwrap();
        }
        assert_eq!(
            names(&out),
            [
                ('m', 0),
                ('V', 0),
                ('v', 0),
                ('v', 33),
                ('m', 0),
                ('V', 66),
                ('v', 66)
            ]
        );
    }

    #[test]
    fn times_never_step_back() {
        let mut feed = Feed::new(false, None);
        let mut out = Vec::new();
        feed.push(keyframe(64, 48, 1_000_000), None, &mut out)
            .unwrap();
        for time in [1_040_000, 1_020_000, i64::MIN, 1_080_000] {
            feed.push(frame(Codec::H264, time), None, &mut out).unwrap();
        }
        let times: Vec<_> = names(&out).iter().skip(2).map(|name| name.1).collect();
        assert_eq!(times, [0, 40, 40, 40, 80]);
    }

    #[test]
    fn sound_alone_starts_at_once_when_no_video_is_expected() {
        let track = AudioTrack::aac(48_000, 2).unwrap();
        let mut feed = Feed::new(true, None);
        let mut out = Vec::new();
        feed.push(frame(Codec::Aac, 0), None, &mut out).unwrap();
        assert_eq!(out, []);
        for time in [7_000_000, 7_021_000] {
            feed.push(frame(Codec::Aac, time), Some(&track), &mut out)
                .unwrap();
        }
        assert_eq!(names(&out), [('m', 0), ('A', 0), ('a', 0), ('a', 21)]);
    }

    #[test]
    fn sound_goes_on_alone_when_no_picture_comes_and_pictures_may_join() {
        let track = AudioTrack::aac(48_000, 2).unwrap();
        let mut feed = Feed::new(false, None);
        let mut out = Vec::new();
        for n in 0..100 {
            feed.push(
                frame(Codec::Aac, 5_000_000 + n * 20_000),
                Some(&track),
                &mut out,
            )
            .unwrap();
        }
        assert_eq!(out, []);
        feed.push(frame(Codec::Aac, 7_000_000), Some(&track), &mut out)
            .unwrap();
        assert_eq!(
            names(&out).get(..4),
            Some(&[('m', 0), ('A', 0), ('a', 0), ('a', 20)][..])
        );
        assert_eq!(names(&out).last(), Some(&('a', 2000)));
        assert_eq!(out.len(), 103);
        out.clear();
        feed.push(frame(Codec::Aac, 7_020_000), Some(&track), &mut out)
            .unwrap();
        feed.push(keyframe(64, 48, 7_010_000), Some(&track), &mut out)
            .unwrap();
        assert_eq!(
            names(&out),
            [('a', 2020), ('m', 0), ('V', 2010), ('v', 2010)]
        );
        let mut counts = Counts::default();
        feed.abandon(&mut counts);
        assert_eq!((counts.audio_frames, counts.dropped.audio_frames), (102, 0));
    }

    #[test]
    fn a_keyframe_without_parameter_sets_asks_for_another() {
        let mut feed = Feed::new(false, None);
        let mut out = Vec::new();
        let mut bare = frame(Codec::H264, 0);
        bare.keyframe = true;
        assert!(feed.push(bare, None, &mut out).is_err());
        assert!(feed.keyframe_wanted);
        assert_eq!(out, []);
    }

    #[test]
    fn sound_that_waits_is_bounded_and_counted() {
        let mut feed = Feed::new(false, None);
        let mut out = Vec::new();
        for n in 0..1000 {
            feed.push(frame(Codec::Aac, n), None, &mut out).unwrap();
        }
        let mut counts = Counts::default();
        feed.settle(&mut counts);
        assert_eq!(counts.dropped.audio_frames, 1000 - MAX_HELD as u64);
        feed.abandon(&mut counts);
        assert_eq!(counts.dropped.audio_frames, 1000);
    }
}
