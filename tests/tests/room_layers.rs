//! Subscribers choose what crosses the network: which tracks, which layers of a video, and whether
//! they flow at all.

use livekit_protocol::{SimulateScenario, signal_request, simulate_scenario};
use livekit_stream::{
    Recorder, RemoteParticipant, RemoteTrackPublication, RoomEvent, RoomOptions, StreamState,
    TrackSource, VideoFrameEvent, VideoQuality, VideoStream,
};
use livekit_stream_tests::chromium::{BrowserOptions, BrowserPublisher};
use livekit_stream_tests::clip::{VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually, take};
use livekit_stream_tests::impairment::Impairment;
use livekit_stream_tests::livekit::{LiveKitServer, SignalProxy};
use livekit_stream_tests::media;
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
    let came = tokio::time::timeout(DEADLINE, wanted).await;
    assert!(came.is_ok(), "{width} pixels do not come, but {widths:?}");
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

async fn layers_are_switched(codec: VideoCodec) {
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let token = server.publisher_token("room", "browser");
    let options = BrowserOptions::default().codec(codec);
    let browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let publication = camera(&mut guest).await;
    let participant = guest.room.remote_participant("browser");
    let participant = participant.expect("the browser is in the room");
    let mut video = VideoStream::from_participant(&participant, TrackSource::Camera);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("browser.mp4");
    let recorder = Recorder::builder(&participant).to_file(&path).await;
    let recorder = recorder.expect("recording");

    let mut frames = frames_of_width(&mut video, 1280, 30).await;
    for (quality, width) in [
        (VideoQuality::Low, 320),
        (VideoQuality::Medium, 640),
        (VideoQuality::High, 1280),
    ] {
        publication
            .set_video_quality(quality)
            .await
            .expect("the room is open");
        frames.extend(frames_of_width(&mut video, width, 30).await);
    }
    publication
        .set_video_dimensions(600, 338)
        .await
        .expect("the room is open");
    frames.extend(frames_of_width(&mut video, 640, 30).await);
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
    media::probe(&path).assert_monotonic();
    media::decode_without_errors(&path);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_of_h264_are_switched_while_decoding_and_copying() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    layers_are_switched(VideoCodec::H264).await;
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
    layers_are_switched(VideoCodec::Vp8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_chosen_is_chosen_again_after_the_server_was_killed() {
    require!(Peer::LiveKit, Peer::Chromium, Peer::LiveKitClient);
    let mut server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let token = server.publisher_token("room", "browser");
    let options = BrowserOptions::default().codec(VideoCodec::H264);
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
