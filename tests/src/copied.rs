//! The recording of a camera that is copied, with the checks that every codec has to pass: one that
//! shows a known clip, and a browser's.

use std::path::PathBuf;
use std::time::Duration;

use livekit_stream::{Recorder, RecordingReport, Treatment};
use tempfile::TempDir;

use crate::chromium::{self, BrowserOptions, BrowserPublisher};
use crate::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use crate::guest::{DEADLINE, Guest};
use crate::livekit::LiveKitServer;
use crate::media::{self, Probe};
use crate::publisher::PublishOptions;
use crate::recording::{Recorded, Recording};

/// How long browsers are recorded.
const BROWSER_MEDIA: Duration = Duration::from_secs(10);

/// A finished recording of a camera and a microphone.
#[derive(Debug)]
pub struct Copied {
    /// The recorder's report.
    pub report: RecordingReport,
    /// The file.
    pub path: PathBuf,
    /// What ffprobe reads in it.
    pub probe: Probe,
    /// Where the file lies, until this is dropped.
    pub folder: TempDir,
}

/// Records some seconds of a camera of 640x360, and asserts that the file has the pictures that were sent, bit for bit and
/// in sync with the sound, and that all of them decode.
///
/// # Panics
///
/// When it is not so.
pub async fn record_copied(codec: VideoCodec) -> Copied {
    let recording = Recording::start().await;
    let tracks = recording
        .publisher
        .publish_all(vec![
            PublishOptions::camera(VideoClip::make(VideoOptions::of(codec).seconds(10))),
            PublishOptions::microphone(AudioClip::make(10)),
        ])
        .await;
    tracks[0].sent_at_least(210, DEADLINE).await;
    let Recorded {
        report,
        path,
        folder,
    } = recording.stop().await;

    let video = &report.tracks[0];
    assert_eq!(video.treatment, Treatment::Copied);
    assert_eq!((video.width, video.height), (640, 360));
    let probe = media::assert_plays(&path);
    assert_eq!((probe.video().width, probe.video().height), (640, 360));
    assert_eq!(probe.audio().codec, "opus");
    let packets = probe.packets_of(probe.video());
    let keyframes = packets.iter().filter(|packet| packet.keyframe).count();
    assert!(packets[0].keyframe, "a file begins with a keyframe");
    assert_eq!(keyframes as u64, video.keyframes);
    assert_eq!(media::decoded_frames(&path) as u64, video.frames);

    let pictures = media::copied_pictures(&path, codec);
    // The server lets VP9 begin with the keyframe it asks for a second later.
    assert!(pictures.len() >= 150, "{} pictures", pictures.len());
    media::assert_run_of(&tracks[0].sent_frames(), &pictures);
    media::assert_in_sync(&path, 4);
    Copied {
        report,
        path,
        probe,
        folder,
    }
}

/// Records ten seconds of a browser's camera, and asserts that all pictures decode, one for each
/// frame, and play in a browser.
///
/// # Panics
///
/// When it is not so.
pub async fn record_browser(options: BrowserOptions, codecs: &str) -> Copied {
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let token = server.publisher_token("room", "browser");
    let browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let participant = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("browser.mp4");
    let recorder = Recorder::builder(&participant)
        .duration(BROWSER_MEDIA)
        .to_file(&path)
        .await;
    let finished = recorder.expect("recording").finished();
    let report = tokio::time::timeout(DEADLINE + BROWSER_MEDIA, finished).await;
    let report = report.expect("media come in time").expect("a recording");
    browser.leave().await;
    guest.room.close().await;
    println!("{report:#?}");

    let video = &report.tracks[0];
    assert_eq!(video.treatment, Treatment::Copied);
    assert!(video.frames > 120, "{} pictures", video.frames);
    let probe = media::probe(&path);
    probe.assert_monotonic();
    assert_eq!(probe.packets_of(probe.video()).len() as u64, video.frames);
    media::decode_without_errors(&path);
    assert_eq!(media::decoded_frames(&path) as u64, video.frames);

    let file = std::fs::read(&path).expect("the file is read");
    let mime = format!("video/mp4; codecs=\"{codecs},opus\"");
    let played = chromium::play(&mime, vec![file.into()], DEADLINE).await;
    assert_eq!(played.error, None);
    assert!(played.current_time > 9.0, "{played:?}");
    assert!(
        u64::from(played.decoded_frames) + 10 > video.frames,
        "{played:?}"
    );
    let shown = (played.width, played.height);
    assert_eq!(shown, (video.width, video.height));
    Copied {
        report,
        path,
        probe,
        folder,
    }
}
