//! What recordings become of every codec: clips of known pictures, all at once, and a browser's
//! camera in every codec that it publishes, with simulcast and without.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use livekit_stream::{EncodedVideoStream, Recorder, RecordingReport, TrackSource, Treatment};
use livekit_stream_tests::chromium::{self, BrowserOptions, BrowserPublisher};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use livekit_stream_tests::require;
use tokio::task::JoinHandle;

/// A codec, and what a file has of it.
#[derive(Clone, Copy)]
struct Row {
    codec: VideoCodec,
    /// In reports.
    name: &'static str,
    treatment: Treatment,
    /// FFmpeg's name of what is in the file.
    in_file: &'static str,
    /// The codec string for a browser; H.265 is played by none here.
    mime: Option<&'static str>,
}

const fn row(
    codec: VideoCodec,
    name: &'static str,
    treatment: Treatment,
    in_file: &'static str,
    mime: Option<&'static str>,
) -> Row {
    Row {
        codec,
        name,
        treatment,
        in_file,
        mime,
    }
}

const ROWS: [Row; 5] = [
    row(
        VideoCodec::H264,
        "H.264",
        Treatment::Copied,
        "h264",
        Some("avc3.42E01F"),
    ),
    row(VideoCodec::H265, "H.265", Treatment::Copied, "hevc", None),
    row(
        VideoCodec::Vp8,
        "VP8",
        Treatment::Transcoded,
        "h264",
        Some("avc3.42E01F"),
    ),
    row(
        VideoCodec::Vp9,
        "VP9",
        Treatment::Copied,
        "vp9",
        Some("vp09.00.31.08"),
    ),
    row(
        VideoCodec::Av1,
        "AV1",
        Treatment::Copied,
        "av1",
        Some("av01.0.05M.08"),
    ),
];

/// A finished recording.
struct File {
    report: RecordingReport,
    path: std::path::PathBuf,
}

impl File {
    /// Every picture written is one that FFmpeg and a browser show, without a complaint.
    async fn assert_plays(&self, row: Row) {
        let (path, video) = (&self.path, &self.report.tracks[0]);
        println!("{} {:#?}", row.name, self.report);
        assert_eq!((&*video.codec, video.treatment), (row.name, row.treatment));
        let probe = media::probe(path);
        probe.assert_monotonic();
        media::decode_sound_without_errors(path);
        assert_eq!(media::frame_checksums(path).len() as u64, video.frames);
        assert_eq!(
            (&*probe.video().codec, &*probe.audio().codec),
            (row.in_file, "opus")
        );
        let packets = probe.packets_of(probe.video());
        assert!(packets[0].keyframe, "a file begins with a keyframe");
        let keyframes = packets.iter().filter(|packet| packet.keyframe).count();
        assert_eq!(keyframes as u64, video.keyframes);
        assert_eq!(packets.len() as u64, video.frames);
        let Some(mime) = row.mime else { return };
        let file = std::fs::read(path).expect("the file is read");
        let mime = format!("video/mp4; codecs=\"{mime},opus\"");
        let played = chromium::play(&mime, vec![file.into()], DEADLINE).await;
        assert_eq!(played.error, None, "{}", row.name);
        assert!(
            u64::from(played.decoded_frames) + 10 > video.frames,
            "{}: {played:?}",
            row.name
        );
        let shown = (played.width, played.height);
        assert_eq!(shown, (video.width, video.height), "{}", row.name);
    }
}

/// Somebody who shows a clip, and is recorded.
struct Clip {
    row: Row,
    media: Vec<PublishOptions>,
    publisher: Publisher,
    recorder: Recorder,
    /// The pictures of an `EncodedVideoStream`.
    frames: JoinHandle<Vec<Bytes>>,
    tracks: Vec<PublishedTrack>,
    path: std::path::PathBuf,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clips_are_copied_bit_for_bit_or_transcoded_in_sync() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Libvpx, Peer::Chromium);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut clips = Vec::new();
    for row in ROWS {
        let options = VideoOptions::of(row.codec).seconds(10);
        let media = vec![
            // A jump to a keyframe in the midst of a flash would show as out of sync.
            PublishOptions::camera(VideoClip::make(options)).ignoring_keyframe_requests(),
            PublishOptions::microphone(AudioClip::make(10)),
        ];
        let token = server.publisher_token("room", row.codec.name());
        let publisher = Publisher::join(&server.url(), &token).await;
        let participant = guest.participant().await;
        assert_eq!(participant.identity(), row.codec.name());
        let path = folder.path().join(row.codec.name()).with_extension("mp4");
        let recorder = Recorder::builder(&participant).to_file(&path).await;
        let recorder = recorder.expect("recording");
        let frames = EncodedVideoStream::from_participant(&participant, TrackSource::Camera);
        let pictures = frames.map(move |frame| row.codec.picture(&frame.data));
        clips.push(Clip {
            row,
            media,
            publisher,
            recorder,
            frames: tokio::spawn(pictures.collect()),
            tracks: Vec::new(),
            path,
        });
    }
    // Together: a clip that begins anew is out of sync there.
    for clip in &mut clips {
        let media = std::mem::take(&mut clip.media);
        clip.tracks = clip.publisher.publish_all(media).await;
    }
    for clip in &clips {
        clip.tracks[0].sent_at_least(180, DEADLINE).await;
        let is_recorded = || {
            let progress = clip.recorder.progress();
            progress
                .tracks
                .first()
                .is_some_and(|video| video.frames >= 120)
        };
        eventually(clip.row.name, is_recorded).await;
    }
    let mut ended = Vec::new();
    for clip in clips {
        let report = clip.recorder.stop().await.expect("a recording");
        clip.publisher.leave().await;
        let frames = tokio::time::timeout(DEADLINE, clip.frames).await;
        let frames = frames
            .expect("it ends with the participant")
            .expect("pictures");
        ended.push((clip.row, clip.path, clip.tracks, report, frames));
    }
    guest.room.close().await;
    for (row, path, tracks, report, frames) in ended {
        assert!(frames.len() >= 100, "{}: {}", row.name, frames.len());
        media::assert_run_of(&tracks[0].sent_frames(), &frames);
        let (video, audio) = (&report.tracks[0], &report.tracks[1]);
        assert_eq!((video.width, video.height), (640, 360));
        assert_eq!(audio.treatment, Treatment::Copied);
        // The clip has a keyframe a second, and the first may be one too early for the server.
        assert!(video.frames >= 100, "{}: {}", row.name, video.frames);
        if row.treatment == Treatment::Copied {
            let pictures = media::copied_pictures(&path, row.codec);
            media::assert_run_of(&tracks[0].sent_frames(), &pictures);
        }
        let sound = media::opus_without_silence(&path);
        media::assert_run_of(&tracks[1].sent_frames(), &sound);
        media::assert_in_sync(&path, 3);
        File { report, path }.assert_plays(row).await;
    }
}

/// VP9 and AV1 are three spatial layers in one stream, whatever the browser is told of simulcast.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browsers_camera_plays_with_simulcast_and_without() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Libvpx,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let folder = tempfile::tempdir().expect("a folder");
    let token = server.publisher_token("room", "browser");
    let options = BrowserOptions::default().size(960, 540);
    let mut browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let participant = guest.participant().await;
    let mut files = Vec::new();
    for row in ROWS.into_iter().filter(|row| row.codec != VideoCodec::H265) {
        for simulcast in [true, false] {
            browser.unpublish_camera().await;
            browser.publish_camera_as(row.codec, simulcast).await;
            let path = folder.path().join(format!("{}-{simulcast}.mp4", row.name));
            let recorder = Recorder::builder(&participant)
                .duration(Duration::from_secs(3))
                .to_file(&path)
                .await;
            let finished = recorder.expect("recording").finished();
            let report = tokio::time::timeout(DEADLINE, finished).await;
            let report = report.expect("in time").expect("a recording");
            files.push((row, File { report, path }));
        }
    }
    browser.leave().await;
    guest.room.close().await;
    for (row, file) in files {
        let (report, video) = (&file.report, &file.report.tracks[0]);
        let duration = report.duration_us;
        assert!((2_800_000..=3_100_000).contains(&duration), "{duration} us");
        assert!(video.frames > 30, "{}: {}", row.name, video.frames);
        // A smaller layer, or a smaller picture where the machine is busy, made even.
        let difference = (video.width * 9).abs_diff(video.height * 16);
        assert!(difference <= 32, "{}: {}", row.name, video.height);
        file.assert_plays(row).await;
    }
}
