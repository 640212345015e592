//! Subscribers choose what crosses the network: which tracks, which layers of a video, and whether
//! they flow at all.

use std::path::Path;

use livekit_protocol::{SimulateScenario, signal_request, simulate_scenario};
use livekit_stream::{
    Recorder, RecordingReport, RemoteParticipant, RemoteTrackPublication, RoomEvent, RoomOptions,
    StreamState, TrackSource, Treatment, VideoFrameEvent, VideoQuality, VideoStream,
};
use livekit_stream_tests::chromium::{self, BrowserOptions, BrowserPublisher};
use livekit_stream_tests::clip::{VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually, take};
use livekit_stream_tests::impairment::Impairment;
use livekit_stream_tests::livekit::{LiveKitServer, SignalProxy};
use livekit_stream_tests::media::{self, Checksum};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

/// Takes frames until so many in a row have a width; gives all.
async fn frames_of_width(
    video: &mut VideoStream,
    width: u32,
    count: usize,
) -> Vec<VideoFrameEvent> {
    let mut frames = Vec::new();
    let mut in_a_row = 0;
    let mut widths = Vec::new();
    let wanted = async {
        while in_a_row < count {
            let frame = take(video, 1).await.remove(0);
            if widths.last() != Some(&frame.frame.width()) {
                widths.push(frame.frame.width());
            }
            in_a_row = if frame.frame.width() == width {
                in_a_row + 1
            } else {
                0
            };
            frames.push(frame);
        }
    };
    // A browser climbs to its largest layer within ten seconds, if it has the machine to itself.
    let came = tokio::time::timeout(3 * DEADLINE, wanted).await;
    assert!(came.is_ok(), "{width} pixels do not come, but {widths:?}");
    frames
}

/// Takes frames until so many in a row are at least so far apart; gives all.
async fn frames_apart(video: &mut VideoStream, us: i64, count: usize) -> Vec<VideoFrameEvent> {
    let mut frames: Vec<VideoFrameEvent> = Vec::new();
    let mut in_a_row = 0;
    let wanted = async {
        while in_a_row < count {
            let frame = take(video, 1).await.remove(0);
            let last = frames.last().map_or(i64::MIN, |last| last.timestamp_us);
            in_a_row = if frame.timestamp_us.saturating_sub(last) < us {
                0
            } else {
                in_a_row + 1
            };
            frames.push(frame);
        }
    };
    let came = tokio::time::timeout(DEADLINE, wanted).await;
    let step = |pair: &[VideoFrameEvent]| pair[1].timestamp_us - pair[0].timestamp_us;
    let last = || {
        frames
            .windows(2)
            .map(step)
            .rev()
            .take(20)
            .collect::<Vec<_>>()
    };
    assert!(came.is_ok(), "they come {:?} us apart", last());
    frames
}

/// The camera that a participant publishes.
async fn camera(guest: &mut Guest) -> RemoteTrackPublication {
    guest
        .until(|event| match event {
            RoomEvent::TrackSubscribed { publication, .. } => {
                (publication.source() == TrackSource::Camera).then_some(publication)
            }
            _ => None,
        })
        .await
}

/// A browser's camera whose layers are chosen one after the other, while it is decoded and recorded.
async fn layers_are_switched(options: BrowserOptions) {
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let token = server.publisher_token("room", "browser");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("browser.mp4");
    // Both begin with the browser's first picture.
    let subscribe = async {
        let participant = guest.participant().await;
        let video = VideoStream::from_participant(&participant, TrackSource::Camera);
        let recorder = Recorder::builder(&participant).to_file(&path).await;
        (camera(&mut guest).await, video, recorder)
    };
    let url = server.url();
    let join = BrowserPublisher::join(&url, &token, options);
    let (browser, (publication, mut video, recorder)) = tokio::join!(join, subscribe);
    let recorder = recorder.expect("recording");

    let (width, height) = (options.width, options.height);
    let mut frames = frames_of_width(&mut video, width, 30).await;
    for (quality, width) in [
        (VideoQuality::Low, width / 4),
        (VideoQuality::Medium, width / 2),
        (VideoQuality::High, width),
    ] {
        publication
            .set_video_quality(quality)
            .await
            .expect("the room is open");
        frames.extend(frames_of_width(&mut video, width, 30).await);
    }
    publication
        .set_video_dimensions(width / 2 - 40, height / 2 - 22)
        .await
        .expect("the room is open");
    frames.extend(frames_of_width(&mut video, width / 2, 30).await);
    // The server finds no layers in time in a browser's H.264.
    if options.codec != VideoCodec::H264 {
        publication
            .set_video_fps(7)
            .await
            .expect("the room is open");
        frames.extend(frames_apart(&mut video, 100_000, 10).await);
    }
    assert_eq!(video.errors(), 0, "{:?}", video.last_error());
    for pair in frames.windows(2) {
        assert!(pair[0].timestamp_us < pair[1].timestamp_us);
    }

    // Nothing comes while it is paused, and it goes on afterwards.
    publication
        .set_enabled(false)
        .await
        .expect("the room is open");
    let track = publication.track().expect("it stays subscribed");
    let mut last = u64::MAX;
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
    let silent = async {
        loop {
            tick.tick().await;
            let packets = track.stats().packets;
            if packets == last {
                return;
            }
            last = packets;
        }
    };
    let silent = tokio::time::timeout(DEADLINE, silent).await;
    assert!(silent.is_ok(), "packets go on to come");
    assert!(publication.is_subscribed() && !publication.is_enabled());
    publication
        .set_enabled(true)
        .await
        .expect("the room is open");
    eventually("packets come again", || track.stats().packets > last + 30).await;
    let report = recorder.stop().await.expect("a recording");
    browser.leave().await;
    guest.room.close().await;
    println!("{report:#?}");
    media::assert_plays(&path);
    if report.tracks[0].treatment == Treatment::Copied {
        assert_shows_what_was_decoded(&path, &report, &frames).await;
    }
}

/// Every picture that was sent is shown once, in its own size, by FFmpeg and by a browser, and is
/// bit for bit the one that our decoder made of it.
async fn assert_shows_what_was_decoded(
    path: &Path,
    report: &RecordingReport,
    frames: &[VideoFrameEvent],
) {
    let video = &report.tracks[0];
    let shown = media::frame_checksums(path);
    assert_eq!(shown.len() as u64, video.frames);
    let decoded = frames
        .iter()
        .map(|event| Checksum::of(event.frame.tight().data()));
    // The stream was there before the recorder.
    let decoded: Vec<_> = decoded.skip_while(|first| !shown.contains(first)).collect();
    assert!(
        decoded.len() + 15 > frames.len(),
        "{} of {}",
        decoded.len(),
        frames.len()
    );
    let mut at = 0;
    for (index, picture) in decoded.iter().enumerate() {
        let found = shown[at..].iter().position(|one| one == picture);
        let found = found.unwrap_or_else(|| panic!("{picture:?}, the {index}th, is not shown"));
        at += 1 + found;
    }

    let file = std::fs::read(path).expect("the file is read");
    let mime = match &*video.codec {
        "H.264" => "avc3.42E01F",
        "VP9" => "vp09.00.31.08",
        _ => "av01.0.05M.08",
    };
    let mime = format!("video/mp4; codecs=\"{mime},opus\"");
    let played = chromium::play(&mime, vec![file.into()], DEADLINE).await;
    assert_eq!(played.error, None);
    assert!(
        u64::from(played.decoded_frames) + 10 > video.frames,
        "{played:?}"
    );
    assert_eq!((played.width, played.height), (video.width, video.height));
}

/// Three streams, which a busy browser would else make smaller.
fn simulcast(codec: VideoCodec) -> BrowserOptions {
    BrowserOptions::default().codec(codec).keep_size()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_of_h264_are_switched_while_decoding_and_copying() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    layers_are_switched(simulcast(VideoCodec::H264)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_of_vp8_are_switched_while_decoding_and_transcoding() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Libvpx,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    layers_are_switched(simulcast(VideoCodec::Vp8)).await;
}

/// Three spatial layers in one stream (SVC), of which the server passes on the lower ones.
fn svc(codec: VideoCodec) -> BrowserOptions {
    // Each layer is encoded in software: a smaller camera, so that a busy machine keeps up.
    let options = BrowserOptions::default().codec(codec).size(960, 540);
    options.keep_size()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_of_vp9_are_switched_while_decoding_and_copying() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Libvpx,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    layers_are_switched(svc(VideoCodec::Vp9)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_of_av1_are_switched_while_decoding_and_copying() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    layers_are_switched(svc(VideoCodec::Av1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_chosen_is_chosen_again_after_the_server_was_killed() {
    require!(Peer::LiveKit, Peer::Chromium, Peer::LiveKitClient);
    let mut server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let token = server.publisher_token("room", "browser");
    let options = simulcast(VideoCodec::H264);
    let mut browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let publication = camera(&mut guest).await;
    let participant = guest.room.remote_participant("browser");
    let participant = participant.expect("the browser is in the room");
    publication
        .set_video_quality(VideoQuality::Low)
        .await
        .expect("the room is open");
    let microphone = |participant: &RemoteParticipant| {
        let publications = participant.track_publications();
        let is_microphone = |it: &RemoteTrackPublication| it.source() == TrackSource::Microphone;
        publications.into_iter().find(is_microphone)
    };
    eventually("the microphone comes", || {
        microphone(&participant).is_some()
    })
    .await;
    if let Some(publication) = microphone(&participant) {
        publication
            .set_subscribed(false)
            .await
            .expect("the room is open");
    }
    let mut video = VideoStream::from_participant(&participant, TrackSource::Camera);
    frames_of_width(&mut video, 320, 30).await;
    server.kill();
    server.start_again().await;
    guest.reconnected().await;
    browser.event("reconnected", DEADLINE).await;
    let back = camera(&mut guest).await;
    assert_ne!(back.sid(), publication.sid());
    // Ten seconds: long enough for a browser to climb to its largest layer.
    frames_of_width(&mut video, 320, 200).await;
    let participant = guest.room.remote_participant("browser");
    let participant = participant.expect("the browser is back");
    assert!(microphone(&participant).is_some());
    assert!(participant.track(TrackSource::Microphone).is_none());
    browser.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_subscribed_to_crosses_the_network() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let network = Impairment::default();
    let options = RoomOptions::default()
        .with_auto_subscribe(false)
        .with_runtime(network.runtime());
    let mut guest = Guest::join_with(&server, "room", "guest", options).await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let clip = VideoClip::make(VideoOptions::default());
    let cameras = (0..4)
        .map(|number| PublishOptions::camera(clip.clone()).named(&format!("camera {number}")));
    let _tracks = publisher.publish_all(cameras.collect()).await;
    let mut publications = Vec::new();
    while publications.len() < 4 {
        let published = guest.until(|event| match event {
            RoomEvent::TrackPublished { publication, .. } => Some(publication),
            _ => None,
        });
        publications.push(published.await);
    }
    let received = || network.counts().received_bytes as u64;
    publications[0]
        .set_subscribed(true)
        .await
        .expect("the room is open");
    let track = guest.video_track().await;
    let mut video = VideoStream::new(&track);
    take(&mut video, 30).await;
    let (before, bytes_before) = (received(), track.stats().bytes);
    take(&mut video, 120).await;
    let (all, media) = (received() - before, track.stats().bytes - bytes_before);
    assert!(
        all < media + media / 4,
        "{all} bytes came, {media} of them of the only track asked for"
    );
    for publication in &publications[1..] {
        publication
            .set_subscribed(true)
            .await
            .expect("the room is open");
        take(&mut VideoStream::new(&guest.video_track().await), 30).await;
    }
    let (before, bytes_before) = (received(), track.stats().bytes);
    take(&mut video, 120).await;
    let (all, media) = (received() - before, track.stats().bytes - bytes_before);
    assert!(
        all > 3 * media,
        "{all} bytes of four tracks, {media} of one"
    );
    publisher.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_track_that_the_server_pauses_is_told() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start_pausing().await;
    let proxy = SignalProxy::start(&server).await;
    let token = server.participant_token("room", "guest");
    let mut guest = Guest::join_at(&proxy.url(), &token, RoomOptions::default()).await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let clip = VideoClip::make(VideoOptions::default());
    let _camera = publisher.publish(PublishOptions::camera(clip)).await;
    let publication = camera(&mut guest).await;
    let track = guest.room.remote_participant("alice");
    let track = track.and_then(|alice| alice.track(TrackSource::Camera));
    let limit = |bits_per_second| {
        let scenario = simulate_scenario::Scenario::SubscriberBandwidth(bits_per_second);
        proxy.tell_server(signal_request::Message::Simulate(SimulateScenario {
            scenario: Some(scenario),
        }));
    };
    eventually("the track flows", || {
        track
            .as_ref()
            .is_some_and(|track| track.stats().frames > 30)
    })
    .await;
    assert_eq!(publication.stream_state(), StreamState::Active);
    for (bits_per_second, expected) in [
        (10_000, StreamState::Paused),
        (100_000_000, StreamState::Active),
    ] {
        limit(bits_per_second);
        let told = guest.until(|event| match event {
            RoomEvent::TrackStreamStateChanged { state, .. } => Some(state),
            _ => None,
        });
        assert_eq!(told.await, expected);
        assert_eq!(publication.stream_state(), expected);
    }
    publisher.leave().await;
    guest.room.close().await;
}
