//! `AudioStream` on a real room: the beep is heard at its time, in the rate and channels asked for.

use livekit_stream::AudioStream;
use livekit_stream_tests::clip::AudioClip;
use livekit_stream_tests::guest::{Guest, take};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

/// Loud stretches: their beginnings in microseconds, and the zero crossings of the first.
fn beeps(samples: &[i16], rate: u32) -> (Vec<i64>, usize) {
    let window = rate as usize / 100;
    let loud: Vec<bool> = samples
        .chunks(window)
        .map(|chunk| chunk.iter().any(|sample| sample.unsigned_abs() > 3000))
        .collect();
    let starts: Vec<usize> = (5..loud.len())
        .filter(|&at| loud[at] && !loud[at - 5..at].contains(&true))
        .collect();
    let first = starts.first().map_or(0, |start| start * window);
    let tone = &samples[first..(first + 8 * window).min(samples.len())];
    let crossings = tone
        .windows(2)
        .filter(|pair| (pair[0] < 0) != (pair[1] < 0))
        .count();
    (
        starts.iter().map(|start| *start as i64 * 10_000).collect(),
        crossings,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beeps_come_once_a_second_at_the_rate_asked_for() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let _track = publisher
        .publish(PublishOptions::microphone(AudioClip::make(10)))
        .await;
    let track = guest.audio_track().await;
    let mut streams = Vec::new();
    for (rate, channels) in [(48_000, 1), (48_000, 2), (16_000, 1), (44_100, 2)] {
        let stream = AudioStream::builder(&track)
            .sample_rate(rate)
            .num_channels(channels)
            .build();
        streams.push((rate, channels, stream));
    }
    for (rate, channels, stream) in &mut streams {
        let frames = take(stream, 175).await;
        assert!(frames.iter().all(|frame| frame.sample_rate == *rate));
        assert!(frames.iter().all(|frame| frame.num_channels == *channels));
        let left: Vec<i16> = frames
            .iter()
            .flat_map(|frame| frame.samples.iter().step_by(*channels as usize).copied())
            .collect();
        let seconds = left.len() as f64 / f64::from(*rate);
        assert!(
            (3.4..3.6).contains(&seconds),
            "{seconds} s of sound in 175 frames of 20 ms"
        );
        let (starts, crossings) = beeps(&left, *rate);
        assert!(starts.len() >= 2, "{starts:?}");
        for pair in starts.windows(2) {
            assert!(
                (pair[1] - pair[0] - 1_000_000).abs() <= 20_000,
                "{starts:?}"
            );
        }
        // 440 Hz crosses zero 70 times in the 80 ms looked at.
        assert!(
            (66..=74).contains(&crossings),
            "{crossings} zero crossings at {rate} Hz"
        );
        let steps = frames
            .windows(2)
            .map(|pair| pair[1].timestamp_us - pair[0].timestamp_us);
        assert!(
            steps
                .into_iter()
                .all(|step| (15_000..25_000).contains(&step))
        );
        assert_eq!(stream.errors(), 0);
    }
    publisher.leave().await;
    guest.room.close().await;
}
