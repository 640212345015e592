#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn pictures_are_counted_and_sound_follows_sound_until_it_strays() {
    let mut clock = FrameClock::new(29.97);
    assert_eq!(clock.next_picture(), 0);
    assert_eq!(clock.next_picture(), 33_367);
    let mut clock = FrameClock::new(25.0);
    assert_eq!(clock.next_sound(0, 45_000), 0);
    assert_eq!(clock.next_sound(40_000, 45_000), 45_000);
    assert_eq!(clock.next_sound(1_000_000, 40_000), 1_000_000);
    assert_eq!(clock.next_sound(1_040_000, 40_000), 1_040_000);
}

#[test]
fn options_out_of_range_are_named_and_addresses_checked() {
    let builder = || RtmpOutput::builder("rtmp://h/app/s3cret");
    for (builder, option) in [
        (builder().width(15), "width"),
        (builder().height(101), "height"),
        (builder().fps(f32::NAN), "fps"),
        (builder().fps(0.0), "fps"),
        (builder().gop(0), "gop"),
        (builder().audio_sample_rate(16_000), "audio_sample_rate"),
        (builder().audio_bit_rate(7_999), "audio_bit_rate"),
        (builder().audio_bit_rate(576_001), "audio_bit_rate"),
        (
            builder().audio_sample_rate(44_100).audio_bit_rate(529_201),
            "audio_bit_rate",
        ),
    ] {
        assert!(!format!("{builder:?}").contains("s3cret"));
        assert!(
            matches!(builder.build(), Err(OutputError::OptionOutOfRange { option: named, .. }) if named == option)
        );
    }
    for builder in [builder(), builder().audio_bit_rate(576_000)] {
        assert!(matches!(builder.build(), Err(OutputError::NoRuntime)));
    }
    assert!(matches!(
        builder().target("rtmp://h/app").build(),
        Err(OutputError::Url(UrlError::MissingKey { .. }))
    ));
}

/// An output whose thread the test plays.
fn without_thread() -> (
    RtmpOutput,
    mpsc::Receiver<Input>,
    oneshot::Sender<Result<(), OutputError>>,
) {
    let (input, received) = mpsc::channel(QUEUED_INPUTS);
    let (done, ended) = oneshot::channel();
    let url = "rtmp://127.0.0.1:1/app/key".parse().unwrap();
    let target = RtmpPublisher::new(url, PublisherOptions::default()).unwrap();
    let output = RtmpOutput {
        input,
        worker: Some(ended),
        targets: Arc::new([target]),
        keyframes: watch::Sender::new(0),
        clock: FrameClock::new(30.0),
        busy: false,
        closing: Closing::NotYet,
    };
    (output, received, done)
}

fn event() -> VideoFrameEvent {
    VideoFrameEvent {
        frame: VideoFrame::blank(crate::frame::VideoFormat::I420, 16, 16).unwrap(),
        timestamp_us: 0,
        rotation: VideoRotation::Deg0,
    }
}

fn failure() -> OutputError {
    crate::encode::EncodeError::Failed {
        codec: Codec::H264,
        reason: "out of ink".to_owned(),
    }
    .into()
}

// The tests' tasks never give way, so the target never is more than about to connect.

#[tokio::test]
async fn the_reason_is_waited_for_when_the_thread_takes_nothing_any_more() {
    let (mut output, received, done) = without_thread();
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    drop(received);
    assert!(output.poll_input(cx).is_pending());
    done.send(Err(failure())).unwrap();
    let told = output.poll_input(cx);
    assert!(matches!(told, Poll::Ready(Err(OutputError::Encode(_)))));
    let again = output.poll_input(cx);
    assert!(matches!(again, Poll::Ready(Err(OutputError::Closed))));
    let sent = output.start_input(Input::Picture(event()));
    assert!(matches!(sent, Err(OutputError::Closed)));
}

#[tokio::test]
async fn a_thread_that_ends_between_ready_and_send_tells_its_reason_next() {
    let (mut output, received, done) = without_thread();
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    assert!(matches!(output.poll_input(cx), Poll::Ready(Ok(()))));
    drop(received);
    output.start_input(Input::Picture(event())).unwrap();
    done.send(Err(failure())).unwrap();
    output.busy = false;
    let told = output.poll_input(cx);
    assert!(matches!(told, Poll::Ready(Err(OutputError::Encode(_)))));
}
