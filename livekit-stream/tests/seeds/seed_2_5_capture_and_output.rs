//! `StreamMonitor` of an RTMP capture and of the output that its pictures go to.

use std::sync::Arc;

use futures::StreamExt;
use livekit_stream::RtmpOutput;
use livekit_stream::monitor::{Metric, StreamMonitor};

use crate::rtmp_kit::*;
use crate::seed_2_1_capture::{H264, listening, once, publish};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_frame_rates_of_both_are_the_publishers() {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let start = || listening().buffer_size(200).reconnect(once()).start();
    let (source, target) = (Arc::new(start().await.unwrap()), start().await.unwrap());
    let url = |address: Option<std::net::SocketAddr>| {
        format!("rtmp://{}/live/{KEY}", address.expect("it listens"))
    };
    let _publisher = publish(
        &url(source.local_addr()),
        6,
        H264,
        &dir.path().join("ffmpeg.log"),
    );
    let output = RtmpOutput::builder(&url(target.local_addr()));
    let mut output = output.fps(25.0).connect().await.unwrap();
    let monitor = StreamMonitor::new();
    monitor.attach("in", Arc::clone(&source));
    monitor.attach("out", output.monitored());
    let mut measured = [const { Vec::new() }; 3];
    let mut pictures = source.frames();
    while let Some(picture) = soon("a picture", pictures.next()).await {
        output.write_frame(&picture.frame).await.unwrap();
        let metric = |metric, stream| monitor.get_metric(metric, Some(stream));
        let now = [
            metric(Metric::Fps, "in"),
            metric(Metric::Fps, "out"),
            metric(Metric::Bitrate, "out"),
        ];
        for (measured, now) in measured.iter_mut().zip(now) {
            measured.extend(now);
        }
    }
    // FFmpeg catches up with what it was late with at its start: most of the time counts.
    let [received, sent, bits] = measured.map(|mut values| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    });
    // FFmpeg keeps its pace, ours depends on the machine.
    assert!((20.0..35.0).contains(&received), "{received} a second");
    assert!((10.0..50.0).contains(&sent), "{sent} a second");
    assert!(bits > 10_000.0, "{bits} bits a second");
    let metric = |metric, stream| monitor.get_metric(metric, Some(stream));
    for stream in ["in", "out"] {
        for (measured, most) in [(Metric::Latency, 0.5), (Metric::Jitter, 0.2)] {
            let value = metric(measured, stream).unwrap_or(f64::NAN);
            assert!(
                (0.0..most).contains(&value),
                "{measured} of {stream}: {value}"
            );
        }
        assert_eq!(metric(Metric::Loss, stream), None);
    }
    let streams = monitor.streams();
    assert!(streams.iter().any(|name| name.starts_with("out/rtmp://")));
    assert!(
        !streams.iter().any(|name| name.contains(KEY)),
        "{streams:?}"
    );
    assert!(monitor.detach("out"));
    assert_eq!(monitor.get_metric(Metric::Fps, Some("out")), None);
    output.close().await.unwrap();
}
