//! What the kit's publisher sends is what a subscriber receives, bit for bit.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use livekit_stream_tests::clip::{VideoClip, VideoCodec, VideoOptions, annexb};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{
    DisconnectReason, PublishOptions, Publisher, Sent, Subscriber,
};
use livekit_stream_tests::require;
use rtc::rtp::codec::h264::H264Packet;
use rtc::rtp::packet::Packet;
use rtc::rtp::packetizer::Depacketizer;

const DEADLINE: Duration = Duration::from_secs(20);

/// The access units of H.264 packets that came in order.
fn reassemble(packets: &[Packet]) -> Vec<Vec<u8>> {
    let mut depacketizer = H264Packet::default();
    let mut units = vec![Vec::new()];
    for packet in packets {
        let data = depacketizer
            .depacketize(&packet.payload)
            .expect("an RTP payload of H.264");
        units
            .last_mut()
            .expect("one is open")
            .extend_from_slice(&data);
        if packet.header.marker {
            units.push(Vec::new());
        }
    }
    units.pop();
    units
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_and_opus_arrive_as_they_were_sent() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let token = server.participant_token("room", "listener");
    let mut listener = Subscriber::join(&server.url(), &token).await;
    let publisher =
        Publisher::join(&server.url(), &server.publisher_token("room", "speaker")).await;
    let tracks = publisher
        .publish_all(PublishOptions::camera_and_microphone(
            VideoOptions::default().slices(2),
        ))
        .await;
    let mut received = [
        listener.track(DEADLINE).await,
        listener.track(DEADLINE).await,
    ];
    received.sort_by_key(|track| track.sid != tracks[0].sid());

    let video = received[0].packets_at_least(400, DEADLINE).await;
    received[1].packets_at_least(100, DEADLINE).await;
    let units = reassemble(&video);
    // A subscriber's first picture is a keyframe, and from there on it gets every one.
    assert!(
        annexb::is_idr(&units[0]),
        "the first picture received is a keyframe"
    );
    let units: Vec<_> = units.iter().map(|unit| annexb::slices(unit)).collect();
    media::assert_run_of(&tracks[0].sent_frames(), &units);

    // Picture and sound are at the same place of their clips, jumps to keyframes included: the
    // difference to the media clock is equal up to half a packet of sound.
    let place = |sent: &Sent, unit_us: i64| sent.index as i64 * unit_us - sent.media_us;
    let (video, audio) = (tracks[0].sent(), tracks[1].sent());
    assert!(
        tracks[0].keyframe_requests() > 0,
        "the server asks for a keyframe"
    );
    let (video, audio) = (video.last().expect("sent"), audio.last().expect("sent"));
    let apart = (place(video, 33_333) - place(audio, 20_000)).rem_euclid(4_000_000);
    assert!(apart.min(4_000_000 - apart) <= 20_000, "{apart} us apart");

    let participants = server.participants("room").await;
    let speaker = participants.iter().find(|one| one["identity"] == "speaker");
    let kinds: Vec<_> = speaker.expect("the speaker is in the room")["tracks"]
        .as_array()
        .expect("it has tracks")
        .iter()
        .map(|track| {
            track["mime_type"]
                .as_str()
                .unwrap_or_default()
                .to_lowercase()
        })
        .collect();
    assert_eq!(kinds.len(), 2);
    assert!(
        kinds.contains(&"video/h264".to_owned()) && kinds.contains(&"audio/opus".to_owned()),
        "{kinds:?}"
    );

    publisher.leave().await;
    listener.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_track_is_unpublished_and_published_again() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let token = server.participant_token("room", "listener");
    let mut listener = Subscriber::join(&server.url(), &token).await;
    let publisher =
        Publisher::join(&server.url(), &server.publisher_token("room", "speaker")).await;
    for _ in 0..3 {
        let clip = VideoClip::make(VideoOptions::of(VideoCodec::Vp8));
        let track = publisher.publish(PublishOptions::camera(clip)).await;
        let received = listener.track(DEADLINE).await;
        assert_eq!(received.sid, track.sid());
        received.packets_at_least(60, DEADLINE).await;
        publisher.unpublish(track).await;
    }
    publisher.leave().await;
    listener.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tracks_are_published_one_by_one() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let clip = VideoClip::make(VideoOptions::default().size(320, 180).kbps(150, 0));
    let token = server.participant_token("room", "listener");
    let mut listener = Subscriber::join(&server.url(), &token).await;
    let publisher =
        Publisher::join(&server.url(), &server.publisher_token("room", "speaker")).await;
    let mut tracks = Vec::new();
    for _ in 0..6 {
        tracks.push(
            publisher
                .publish(PublishOptions::camera(clip.clone()))
                .await,
        );
    }
    for _ in &tracks {
        let received = listener.track(DEADLINE).await;
        received.packets_at_least(30, DEADLINE).await;
        assert!(tracks.iter().any(|track| track.sid() == received.sid));
    }
    publisher.leave().await;
    listener.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clip_played_once_is_sent_whole_and_on_time() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let clip = VideoClip::make(VideoOptions::default());
    let publisher =
        Publisher::join(&server.url(), &server.publisher_token("room", "speaker")).await;
    let options = PublishOptions::camera(clip.clone())
        .once()
        .ignoring_keyframe_requests();
    let track = publisher.publish(options).await;
    track.finished().await;
    let sent = track.sent();
    assert_eq!(sent.len(), clip.units.len());
    assert!(
        sent.iter()
            .enumerate()
            .all(|(index, sent)| sent.index == index)
    );
    let steps: Vec<u32> = sent
        .windows(2)
        .map(|pair| pair[1].rtp_timestamp.wrapping_sub(pair[0].rtp_timestamp))
        .collect();
    assert!(steps.iter().all(|step| *step == 3000), "{steps:?}");
    publisher.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_muted_track_sends_nothing_and_starts_again_with_a_keyframe() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let publisher =
        Publisher::join(&server.url(), &server.publisher_token("room", "speaker")).await;
    let clip = VideoClip::make(VideoOptions::default());
    let track = publisher.publish(PublishOptions::camera(clip)).await;
    track.sent_at_least(40, DEADLINE).await;
    publisher.set_muted(&track, true).await;
    let muted = || async {
        let participants = server.participants("room").await;
        participants[0]["tracks"][0]["muted"] == true
    };
    let end = Instant::now() + DEADLINE;
    while !muted().await {
        assert!(Instant::now() < end, "the server is not told");
    }
    let before = track.sent().len();
    publisher.set_muted(&track, false).await;
    track.sent_at_least(before + 10, DEADLINE).await;
    assert!(track.sent()[before].keyframe);

    server
        .mute_track("room", "speaker", track.sid(), true)
        .await;
    while publisher.muted_by_server(&track) != Some(true) {
        assert!(Instant::now() < end, "the publisher is not told");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.remove_participant("room", "speaker").await;
    let reason = publisher.disconnected().await;
    assert_eq!(reason, DisconnectReason::ParticipantRemoved);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_lost_on_the_way_to_the_server_are_sent_again() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let token = server.participant_token("room", "listener");
    let mut listener = Subscriber::join(&server.url(), &token).await;
    let publisher =
        Publisher::join(&server.url(), &server.publisher_token("room", "speaker")).await;
    let clip = VideoClip::make(VideoOptions::default());
    let _track = publisher.publish(PublishOptions::camera(clip)).await;
    let received = listener.track(DEADLINE).await;
    received.packets_at_least(50, DEADLINE).await;
    publisher.impairment().set_send_loss(0.05);
    publisher.impairment().set_reorder(0.02);
    received.packets_at_least(500, DEADLINE).await;
    publisher.impairment().set_send_loss(0.0);
    // What was lost just now is on its way while these come.
    let packets = received.packets_at_least(650, DEADLINE).await;

    let counts = publisher.impairment().counts();
    assert!(counts.lost_sent >= 10 && counts.reordered > 0, "{counts:?}");
    let first = packets[0].header.sequence_number;
    let places: BTreeSet<u16> = packets[..600]
        .iter()
        .map(|packet| packet.header.sequence_number.wrapping_sub(first))
        .collect();
    let span = usize::from(*places.last().expect("packets were received")) + 1;
    let missing = span - places.len();
    assert!(
        missing * 3 <= counts.lost_sent,
        "{missing} of {counts:?} missing"
    );
    publisher.leave().await;
    listener.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_vanishes_is_noticed_later_than_one_that_leaves() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let join = |identity| {
        let token = server.publisher_token("room", identity);
        let url = server.url();
        async move { Publisher::join(&url, &token).await }
    };
    let (leaving, vanishing) = (join("leaving").await, join("vanishing").await);
    let clip = VideoClip::make(VideoOptions::default());
    let _tracks = (
        leaving.publish(PublishOptions::camera(clip.clone())).await,
        vanishing.publish(PublishOptions::camera(clip)).await,
    );
    server.active("room", "leaving", DEADLINE).await;
    server.active("room", "vanishing", DEADLINE).await;
    leaving.leave().await;
    vanishing.abort().await;
    let deadline = Instant::now() + Duration::from_secs(3);
    while Instant::now() < deadline {
        let participants = server.participants("room").await;
        let there = |name: &str| participants.iter().any(|one| one["identity"] == name);
        assert!(there("vanishing"), "the server cannot know yet");
        if !there("leaving") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the one who left is still in the room");
}
