//! `VideoStream` on a real room: pictures, times, the ring, the end.

use std::time::Duration;

use futures::StreamExt;
use livekit_stream::{
    EncodedVideoStream, StreamError, TrackSource, VideoFormat, VideoSize, VideoStream,
};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually, take};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

async fn alice(server: &LiveKitServer) -> Publisher {
    Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await
}

/// The pictures of a clip by ffmpeg against those of a stream: the best match of each.
async fn pictures_agree(codec: VideoCodec) {
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = alice(&server).await;
    let clip = VideoClip::make(VideoOptions::of(codec));
    let _track = publisher
        .publish(PublishOptions::camera(clip.clone()))
        .await;
    let track = guest.video_track().await;
    let mut video = VideoStream::builder(&track)
        .capacity(0)
        .format(VideoFormat::Rgb24)
        .build();
    let events = take(&mut video, 60).await;
    assert_eq!(video.dropped_frames(), 0);
    assert!(video.last_error().is_none(), "{:?}", video.last_error());

    for pair in events.windows(2) {
        let step = pair[1].timestamp_us - pair[0].timestamp_us;
        // One picture of 30 a second, give or take the slewing of the clock.
        assert!(
            (28_000..39_000).contains(&step),
            "{step} us between pictures"
        );
    }
    let references = media::pictures(&clip.path);
    for event in events.iter().step_by(20) {
        assert_eq!(
            event.frame.size(),
            VideoSize {
                width: 640,
                height: 360
            }
        );
        assert_eq!(event.frame.data().len(), 640 * 360 * 3, "rows are packed");
        let ours = media::Picture {
            width: 640,
            height: 360,
            rgb: event.frame.data().to_vec(),
        };
        let best = references
            .iter()
            .map(|one| one.psnr(&ours))
            .fold(0.0, f64::max);
        assert!(best > 40.0, "the best match has {best} dB");
    }
    publisher.leave().await;
    let rest = tokio::time::timeout(DEADLINE, video.collect::<Vec<_>>()).await;
    assert!(rest.is_ok(), "the stream ends with the track");
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_1_h264_pictures_are_those_that_ffmpeg_decodes() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    pictures_agree(VideoCodec::H264).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_1_vp8_pictures_are_those_that_ffmpeg_decodes() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Libvpx);
    pictures_agree(VideoCodec::Vp8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_1_vp9_pictures_are_those_that_ffmpeg_decodes() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Libvpx);
    pictures_agree(VideoCodec::Vp9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_1_av1_pictures_are_those_that_ffmpeg_decodes() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    pictures_agree(VideoCodec::Av1).await;
}

#[cfg(feature = "ffmpeg")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h265_pictures_are_those_that_ffmpeg_decodes() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    pictures_agree(VideoCodec::H265).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_3_a_slow_reader_has_the_newest_pictures_and_disturbs_nobody() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = alice(&server).await;
    let clip = VideoClip::make(VideoOptions::default());
    let _track = publisher.publish(PublishOptions::camera(clip)).await;
    let track = guest.video_track().await;
    let mut slow = VideoStream::builder(&track).capacity(3).build();
    // It is there before the other comes: whatever that one sees, this one is sent as well.
    take(&mut slow, 1).await;
    let mut quick = VideoStream::builder(&track).capacity(0).build();
    let seen = take(&mut quick, 90).await;
    assert_eq!(quick.dropped_frames(), 0);
    // All but those that are kept.
    eventually("pictures are dropped", || slow.dropped_frames() >= 87).await;
    let newest = take(&mut slow, 3).await;
    let last = seen.last().map_or(0, |last| last.timestamp_us);
    let age = last - newest[0].timestamp_us;
    assert!(
        age < 200_000,
        "the oldest picture kept is {age} us behind the newest"
    );
    publisher.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_8_closing_or_dropping_a_stream_leaves_the_track_to_the_others() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = alice(&server).await;
    let clip = VideoClip::make(VideoOptions::default());
    let _track = publisher.publish(PublishOptions::camera(clip)).await;
    let track = guest.video_track().await;
    let mut closed = VideoStream::new(&track);
    let mut dropped = VideoStream::new(&track);
    let mut kept = VideoStream::new(&track);
    take(&mut closed, 1).await;
    take(&mut dropped, 1).await;
    closed.close().await;
    drop(dropped);
    take(&mut kept, 30).await;
    publisher.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_7_rows_are_packed_unless_the_decoders_stride_is_wanted() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = alice(&server).await;
    // No multiple of any alignment, so that a decoder's rows are longer than the picture's.
    let clip = VideoClip::make(VideoOptions::default().size(322, 182));
    let _track = publisher.publish(PublishOptions::camera(clip)).await;
    let track = guest.video_track().await;
    let mut packed = VideoStream::new(&track);
    let mut as_decoded = VideoStream::builder(&track).normalize_stride(false).build();
    let packed = take(&mut packed, 1).await.remove(0).frame;
    let as_decoded = take(&mut as_decoded, 1).await.remove(0).frame;
    assert_eq!(packed.data().len(), 322 * 182 * 3 / 2);
    assert_eq!(packed.planes()[0].stride, 322);
    assert!(as_decoded.planes()[0].stride > 322);
    assert_eq!(as_decoded.tight().data().len(), packed.data().len());
    publisher.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_2_a_stream_of_a_source_goes_on_when_the_track_is_published_again() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = alice(&server).await;
    let alice = guest.participant().await;
    let mut video = VideoStream::from_participant(&alice, TrackSource::Camera);
    let mut last = i64::MIN;
    for size in [(640, 360), (320, 180)] {
        let clip = VideoClip::make(VideoOptions::default().size(size.0, size.1));
        let track = publisher.publish(PublishOptions::camera(clip)).await;
        let events = take(&mut video, 40).await;
        let fits = events
            .iter()
            .filter(|event| event.frame.width() == size.0)
            .count();
        assert!(fits >= 30, "{fits} of 40 pictures have the new size");
        assert!(events[0].timestamp_us > last, "time goes on");
        last = events[39].timestamp_us;
        publisher.unpublish(track).await;
    }
    publisher.leave().await;
    let end = tokio::time::timeout(DEADLINE, video.collect::<Vec<_>>()).await;
    assert!(end.is_ok(), "the stream ends when the participant has left");
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_late_gets_a_keyframe_soon() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = alice(&server).await;
    // One keyframe in ten seconds, unless asked for.
    let clip = VideoClip::make(VideoOptions::default().seconds(10).gop(300));
    let _track = publisher.publish(PublishOptions::camera(clip)).await;
    let track = guest.video_track().await;
    let mut first = EncodedVideoStream::new(&track);
    assert!(take(&mut first, 45).await[0].keyframe);
    let mut late = EncodedVideoStream::new(&track);
    let start = tokio::time::timeout(Duration::from_secs(4), late.next()).await;
    let start = start.expect("a keyframe comes without waiting for the next regular one");
    assert!(start.is_some_and(|frame| frame.keyframe));
    publisher.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_4_a_track_of_the_other_kind_is_an_error_item_before_the_end() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = alice(&server).await;
    let _track = publisher
        .publish(PublishOptions::microphone(AudioClip::make(4)))
        .await;
    let (track, _) = guest.track().await;
    let items = tokio::time::timeout(
        DEADLINE,
        VideoStream::new(&track).results().collect::<Vec<_>>(),
    );
    let items = items.await.expect("the stream ends");
    assert!(
        matches!(items[..], [Err(StreamError::WrongKind { .. })]),
        "{items:?}"
    );
    publisher.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_4_damaged_pictures_are_errors_and_the_stream_goes_on() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = alice(&server).await;
    let mut clip = VideoClip::make(VideoOptions::default());
    // The pictures of the second second are cut off in the middle, keyframe included.
    for unit in &mut clip.units[30..60] {
        unit.data.truncate(unit.data.len() / 2);
    }
    let _track = publisher.publish(PublishOptions::camera(clip)).await;
    let track = guest.video_track().await;
    let video = VideoStream::builder(&track).capacity(0).build();
    let results: Vec<_> = tokio::time::timeout(DEADLINE, video.results().take(150).collect())
        .await
        .expect("pictures come");
    let errors = results.iter().filter(|result| result.is_err()).count();
    assert!(
        results.last().is_some_and(Result::is_ok) || results.len() - errors > 60,
        "{errors} errors"
    );
    publisher.leave().await;
    guest.room.close().await;
}
