//! Packets and datagrams that make no sense, through the real server and past it: the recorder
//! goes on, tells what it dropped, and its file plays.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use livekit_stream::RoomOptions;
use livekit_stream_tests::clip::{VideoCodec, VideoOptions};
use livekit_stream_tests::garbage::Garbage;
use livekit_stream_tests::guest::DEADLINE;
use livekit_stream_tests::impairment::Impairment;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack};
use livekit_stream_tests::recording::Recording;
use livekit_stream_tests::{media, require};
use tokio::net::UdpSocket;

/// Sends garbage before and instead of frames, one to three packets a time, until `times` are sent.
async fn disturb(track: &PublishedTrack, times: usize, mut payload: impl FnMut() -> Bytes) {
    for time in 0..times {
        let payloads = (0..=time % 3).map(|_| payload()).collect();
        // Frames of the clip in between, or no picture would ever follow from another.
        track.send_payloads(vec![], false);
        track.send_payloads(payloads, time % 4 == 3);
    }
    track.payloads_sent(DEADLINE).await;
}

/// Waits until so many more frames have been sent.
async fn go_on(track: &PublishedTrack, frames: usize) {
    track
        .sent_at_least(track.sent().len() + frames, DEADLINE)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_h264_payloads_leave_no_broken_picture() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let recording = Recording::start().await;
    let options = VideoOptions::default().seconds(20);
    let tracks = recording
        .publisher
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    go_on(&tracks[0], 60).await;
    let mut garbage = Garbage::new(1);
    disturb(&tracks[0], 60, || garbage.malformed_h264()).await;
    go_on(&tracks[0], 150).await;
    let recorded = recording.stop().await;

    media::assert_plays(&recorded.path);
    let video = &recorded.report.tracks[0];
    assert!(
        video.frames_dropped >= 60,
        "{} dropped",
        video.frames_dropped
    );
    assert_eq!(video.packets_lost, 0, "nothing was lost on the way");
    let (sent, pictures) = (
        tracks[0].sent_frames(),
        media::h264_pictures(&recorded.path),
    );
    assert_eq!(pictures.len() as u64, video.frames);
    media::assert_some_of(&sent, &pictures);
    // After the garbage every picture is there again.
    media::assert_run_of(&sent, &pictures[pictures.len() - 45..]);
    media::assert_in_sync(&recorded.path, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_h264_and_opus_payloads_do_not_end_the_recording() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let recording = Recording::start().await;
    let tracks = recording
        .publisher
        .publish_all(PublishOptions::camera_and_microphone(
            VideoOptions::default().seconds(20),
        ))
        .await;
    go_on(&tracks[0], 60).await;
    let (mut of_pictures, mut of_sound) = (Garbage::new(2), Garbage::new(3));
    tokio::join!(
        disturb(&tracks[0], 60, || of_pictures.random()),
        disturb(&tracks[1], 100, || of_sound.random())
    );
    go_on(&tracks[0], 150).await;
    let recorded = recording.stop().await;

    // A random payload may well pass for a slice, which a recorder that copies cannot know; but
    // times only grow, no packet of sound is damaged, and what comes after it is as it was sent.
    media::probe(&recorded.path).assert_monotonic();
    media::decode_sound_without_errors(&recorded.path);
    let [video, audio] = &*recorded.report.tracks else {
        panic!("pictures and sound, no more");
    };
    assert!(video.frames_dropped > 0 && audio.frames_dropped > 0);
    assert_eq!((video.packets_lost, audio.packets_lost), (0, 0));
    let pictures = media::h264_pictures(&recorded.path);
    media::assert_run_of(&tracks[0].sent_frames(), &pictures[pictures.len() - 45..]);
    let packets = media::opus_without_silence(&recorded.path);
    media::assert_run_of(&tracks[1].sent_frames(), &packets[packets.len() - 75..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_vp8_payloads_do_not_reach_the_file() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Libvpx);
    let recording = Recording::start().await;
    let options = VideoOptions::of(VideoCodec::Vp8).seconds(20);
    let tracks = recording
        .publisher
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    go_on(&tracks[0], 60).await;
    let mut garbage = Garbage::new(4);
    disturb(&tracks[0], 60, || garbage.random()).await;
    let before = recording.progress().tracks[0].frames;
    go_on(&tracks[0], 120).await;
    let recorded = recording.stop().await;

    media::assert_plays(&recorded.path);
    let video = &recorded.report.tracks[0];
    assert!(video.frames_dropped > 0, "{video:?}");
    assert!(video.frames >= before + 60, "{before} before, {video:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_datagrams_to_the_socket_change_nothing() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let network = Impairment::default();
    let options = RoomOptions::default().with_runtime(network.runtime());
    let recording = Recording::start_with(options).await;
    let options = VideoOptions::default().seconds(20);
    let tracks = recording
        .publisher
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    go_on(&tracks[0], 60).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let mut garbage = Garbage::new(5);
    let mut sent = 0;
    for address in network.addresses() {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
        for number in 0..2000 {
            let datagram = garbage.datagram();
            sent += usize::from(socket.send_to(&datagram, address).await.is_ok());
            // No faster than a network, lest the socket's buffer drop what is no garbage.
            if number % 20 == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
    assert!(sent > 2000, "{sent} datagrams sent");
    go_on(&tracks[0], 120).await;
    let recorded = recording.stop().await;

    media::assert_plays(&recorded.path);
    let pictures = media::h264_pictures(&recorded.path);
    assert!(pictures.len() > 140, "{} pictures", pictures.len());
    media::assert_run_of(&tracks[0].sent_frames(), &pictures);
    let packets = media::opus_without_silence(&recorded.path);
    media::assert_run_of(&tracks[1].sent_frames(), &packets);
}
