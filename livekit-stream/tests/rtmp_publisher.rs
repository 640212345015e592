//! `RtmpPublisher` against a server that does what the test wants.
#![allow(clippy::unwrap_used)]

mod rtmp_kit;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use livekit_stream::mux::AudioTrack;
use livekit_stream::output::rtmp::{ConnectFailure, PublishError, PublisherState, RtmpPublisher};
use livekit_stream::rtmp::session::{ServerEvent, ServerOptions, SessionError, Stage};
use rtmp_kit::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

fn publisher(url: &str) -> RtmpPublisher {
    RtmpPublisher::new(url.parse().unwrap(), options()).unwrap()
}

async fn final_state(publisher: &RtmpPublisher) -> PublisherState {
    let states = publisher.states();
    futures::pin_mut!(states);
    let mut last = publisher.state();
    while let Some(state) = soon("a final state", states.next()).await {
        last = state;
    }
    last
}

#[tokio::test]
async fn a_stream_arrives_in_order_from_zero_and_ends_in_order() {
    let (listener, url) = listen().await;
    let publisher = publisher(&url);
    publisher.set_audio_track(AudioTrack::aac(48_000, 2).unwrap());
    let mut peer = Peer::publishing(&listener).await;
    soon("publishing", publisher.published()).await.unwrap();
    for frame in [
        keyframe(64, 48, 5000),
        sound(5010),
        delta(9000, 5033),
        sound(5031),
    ] {
        publisher.send(frame).unwrap();
    }
    let closing = tokio::spawn(async move { publisher.close().await });
    assert_eq!(
        peer.rest().await,
        [
            ('m', 0),
            ('V', 0),
            ('k', 0),
            ('m', 0),
            ('A', 10),
            ('a', 10),
            ('v', 33),
            ('a', 31)
        ]
    );
    let stats = soon("closing", closing).await.unwrap();
    assert!(matches!(stats.state, PublisherState::Closed));
    assert_eq!((stats.video_frames_sent, stats.audio_frames_sent), (2, 2));
    assert_eq!(stats.video_frames_dropped + stats.audio_frames_dropped, 0);
    assert!(stats.bytes_sent > 9000);
}

#[tokio::test]
async fn a_rejected_key_is_told_at_once_and_not_attempted_again() {
    let (listener, url) = listen().await;
    let publisher = publisher(&url);
    let mut peer = Peer::requested(&listener, ServerOptions::default()).await;
    peer.session.reject(
        "NetStream.Publish.BadName",
        &format!("{KEY} is publishing already"),
    );
    peer.flush().await;
    let error = soon("the answer", publisher.published()).await.unwrap_err();
    assert!(error.is_rejection());
    assert!(
        error.to_string().contains("NetStream.Publish.BadName"),
        "{error}"
    );
    assert!(error.to_string().contains("*** is publishing"), "{error}");
    assert!(matches!(
        publisher.send(sound(0)),
        Err(PublishError::Rejected { .. })
    ));
    let stats = publisher.close().await;
    assert!(matches!(stats.state, PublisherState::Failed(_)));
    assert_eq!(stats.failed_attempts, 1);
}

#[tokio::test]
async fn a_server_that_hangs_up_on_the_key_counts_as_a_rejection() {
    let (listener, url) = listen().await;
    let publisher = publisher(&url);
    let peer = Peer::requested(&listener, ServerOptions::default()).await;
    drop(peer);
    let error = soon("the end", publisher.published()).await.unwrap_err();
    assert!(
        matches!(
            error,
            PublishError::ClosedByPeer {
                stage: Stage::Publish,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_rejection());
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_refused() {
    let port = free_port().await;
    let publisher = publisher(&format!("rtmp://127.0.0.1:{port}/live/{KEY}"));
    let error = soon("the refusal", publisher.published())
        .await
        .unwrap_err();
    assert!(
        matches!(error, PublishError::Connect(ConnectFailure::Refused { .. })),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        format!("127.0.0.1:{port} refused the connection")
    );
}

#[tokio::test]
async fn a_host_without_an_address_is_named() {
    let publisher = publisher(&format!("rtmp://no-such-host.invalid/live/{KEY}"));
    let error = soon("the answer", publisher.published()).await.unwrap_err();
    // Where the resolver itself is out of reach, it may take longer than connecting may.
    assert!(
        matches!(
            error,
            PublishError::Connect(ConnectFailure::Resolve { .. }) | PublishError::Timeout { .. }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("no-such-host.invalid"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_of_another_protocol_is_recognised() {
    let (listener, url) = listen().await;
    let publisher = publisher(&url);
    let (mut stream, _) = listener.accept().await.unwrap();
    stream
        .write_all(b"HTTP/1.1 400 Bad Request\r\n")
        .await
        .unwrap();
    let error = soon("the error", publisher.published()).await.unwrap_err();
    assert!(
        matches!(
            error,
            PublishError::Protocol {
                source: SessionError::Handshake(_),
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_never_consents_runs_into_the_time_limit() {
    let (listener, url) = listen().await;
    let mut options = options();
    options.connect_timeout = Duration::from_secs(2);
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options).unwrap();
    let _peer = Peer::requested(&listener, ServerOptions::default()).await;
    let error = soon("the time limit", publisher.published())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            PublishError::Timeout {
                stage: Stage::Publish,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn frames_sent_before_a_late_consent_all_arrive() {
    let (listener, url) = listen().await;
    let publisher = publisher(&url);
    let mut peer = Peer::requested(&listener, ServerOptions::default()).await;
    publisher.send(keyframe(64, 48, 0)).unwrap();
    for n in 1..50 {
        publisher.send(delta(1000, n * 33)).unwrap();
    }
    assert!(matches!(publisher.state(), PublisherState::Connecting));
    peer.accept().await;
    let names = peer.names(52).await;
    assert_eq!(names[..3], [('m', 0), ('V', 0), ('k', 0)]);
    assert_eq!(names.last(), Some(&('v', 49 * 33)));
}

#[tokio::test]
async fn after_a_broken_connection_the_stream_starts_anew_with_a_keyframe() {
    let (listener, url) = listen().await;
    let publisher = publisher(&url);
    let mut keyframes = publisher.keyframe_requests();
    publisher.set_audio_track(AudioTrack::aac(48_000, 2).unwrap());
    let mut peer = Peer::publishing(&listener).await;
    publisher.send(keyframe(64, 48, 0)).unwrap();
    publisher.send(sound(5)).unwrap();
    peer.names(6).await;
    drop(peer);

    let mut peer = Peer::publishing(&listener).await;
    soon("a keyframe request", keyframes.changed())
        .await
        .unwrap();
    // These can only be decoded by who saw the first connection.
    publisher.send(delta(100, 1000)).unwrap();
    publisher.send(delta(100, 1033)).unwrap();
    publisher.send(sound(1040)).unwrap();
    publisher.send(keyframe(64, 48, 1066)).unwrap();
    publisher.send(sound(1070)).unwrap();
    assert_eq!(
        peer.names(6).await,
        [('m', 0), ('V', 0), ('k', 0), ('m', 0), ('A', 4), ('a', 4)]
    );
    let stats = publisher.stats();
    assert_eq!(stats.reconnects, 1);
    assert!(matches!(stats.state, PublisherState::Publishing));
    assert!(matches!(
        stats.last_error,
        Some(PublishError::ClosedByPeer {
            stage: Stage::Published,
            ..
        })
    ));
    assert_eq!(stats.video_frames_dropped, 2);
}

#[tokio::test]
async fn what_waited_through_failed_first_attempts_is_not_sent_in_a_burst() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut options = options();
    options.reconnect.first_connection = true;
    let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options).unwrap();
    publisher.send(keyframe(64, 48, 0)).unwrap();
    publisher.send(delta(100, 40)).unwrap();
    drop(listener.accept().await.unwrap());
    let mut states = Box::pin(publisher.states());
    while let Some(state) = soon("a failed attempt", states.next()).await {
        if matches!(state, PublisherState::Reconnecting) {
            break;
        }
    }
    publisher.send(keyframe(64, 48, 3000)).unwrap();
    let mut peer = Peer::publishing(&listener).await;
    let names = peer.names(3).await;
    assert_eq!(names, [('m', 0), ('V', 0), ('k', 0)]);
    let closing = tokio::spawn(async move { publisher.close().await });
    peer.rest().await;
    let stats = soon("closing", closing).await.unwrap();
    assert_eq!(stats.video_frames_sent, 1, "{stats:?}");
    assert_eq!(stats.video_frames_dropped, 2, "{stats:?}");
    assert_eq!(stats.reconnects, 0, "{stats:?}");
}

#[tokio::test]
async fn a_server_that_holds_the_old_session_is_asked_a_bounded_number_of_times() {
    let (listener, url) = listen().await;
    let mut options = options();
    options.reconnect.max_rejections = 2;
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options).unwrap();
    drop(Peer::publishing(&listener).await);
    for _ in 0..3 {
        let mut peer = Peer::requested(&listener, ServerOptions::default()).await;
        peer.session.reject("NetStream.Publish.BadName", "in use");
        peer.flush().await;
    }
    let state = final_state(&publisher).await;
    assert!(
        matches!(state, PublisherState::Failed(PublishError::Rejected { .. })),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_server_that_stops_reading_loses_whole_groups_and_is_left() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(8).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut options = options();
    options.write_timeout = Duration::from_secs(3);
    options.buffer.bytes = 1024 * 1024;
    let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options).unwrap();
    publisher.set_audio_track(AudioTrack::aac(48_000, 2).unwrap());
    let silent = Peer::publishing(&listener).await;
    soon("publishing", publisher.published()).await.unwrap();

    let began = std::time::Instant::now();
    let mut sent = 0;
    // More than the sockets' buffers and the publisher's own take.
    for n in 0..200i64 {
        let picture = if n % 25 == 0 {
            keyframe(64, 48, n * 10)
        } else {
            delta(100_000, n * 10)
        };
        publisher.send(picture).unwrap();
        publisher.send(sound(n * 10)).unwrap();
        sent += 2;
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() < Duration::from_secs(5), "sending waited");
    let stats = publisher.stats();
    assert!(stats.gops_dropped > 0, "{stats:?}");
    assert_eq!(stats.audio_frames_dropped, 0, "{stats:?}");

    let mut peer = Peer::publishing(&listener).await;
    let stats = publisher.stats();
    assert!(
        matches!(stats.last_error, Some(PublishError::Stalled { .. })),
        "{stats:?}"
    );
    drop(silent);
    publisher.send(keyframe(64, 48, 9000)).unwrap();
    let names = peer.names(3).await;
    assert_eq!(names, [('m', 0), ('V', 0), ('k', 0)]);
    let closing = tokio::spawn(async move { publisher.close().await });
    peer.rest().await;
    let stats = soon("closing", closing).await.unwrap();
    assert_eq!(
        stats.video_frames_sent
            + stats.audio_frames_sent
            + stats.video_frames_dropped
            + stats.audio_frames_dropped,
        sent + 1,
        "{stats:?}"
    );
}

#[tokio::test]
async fn closing_does_not_wait_longer_than_asked_for_a_server_that_takes_nothing() {
    let (listener, url) = listen().await;
    let mut options = options();
    options.close_timeout = Duration::from_millis(200);
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options).unwrap();
    let _silent = Peer::publishing(&listener).await;
    soon("publishing", publisher.published()).await.unwrap();
    publisher.send(keyframe(64, 48, 0)).unwrap();
    for n in 1..100 {
        publisher.send(delta(200_000, n)).unwrap();
        tokio::task::yield_now().await;
    }
    let began = std::time::Instant::now();
    let stats = publisher.close().await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert!(stats.video_frames_dropped > 0, "{stats:?}");
    assert!(matches!(
        publisher.send(sound(0)),
        Err(PublishError::Closed)
    ));
}

#[tokio::test]
async fn pings_tiny_windows_and_changing_chunk_sizes_do_not_disturb_the_stream() {
    let (listener, url) = listen().await;
    let publisher = publisher(&url);
    let mut options = ServerOptions::default();
    options.window = 100;
    let mut peer = Peer::requested(&listener, options).await;
    peer.accept().await;
    publisher.send(keyframe(64, 48, 0)).unwrap();
    assert_eq!(peer.names(3).await.len(), 3);
    for n in 1..20u32 {
        peer.session
            .set_chunk_size([1, 128, 4096, 60_000][n as usize % 4]);
        peer.session.ping(n);
        peer.session.set_window(n);
        peer.flush().await;
        publisher.send(delta(20_000, i64::from(n) * 40)).unwrap();
        assert_eq!(peer.names(1).await, [('v', n * 40)]);
    }
    assert!(matches!(publisher.state(), PublisherState::Publishing));
}

#[tokio::test]
async fn a_stream_that_the_server_ends_is_published_again() {
    let (listener, url) = listen().await;
    let publisher = publisher(&url);
    let mut peer = Peer::publishing(&listener).await;
    peer.session
        .reject("NetStream.Publish.Denied", "time is over");
    peer.flush().await;
    let mut peer = Peer::publishing(&listener).await;
    publisher.send(keyframe(64, 48, 0)).unwrap();
    assert_eq!(peer.names(3).await, [('m', 0), ('V', 0), ('k', 0)]);
}

#[tokio::test]
async fn a_new_picture_size_comes_with_a_new_sequence_header() {
    let (listener, url) = listen().await;
    let publisher = publisher(&url);
    let mut peer = Peer::publishing(&listener).await;
    publisher.send(keyframe(64, 48, 0)).unwrap();
    publisher.send(keyframe(128, 96, 40)).unwrap();
    assert_eq!(
        peer.names(6).await,
        [('m', 0), ('V', 0), ('k', 0), ('m', 0), ('V', 40), ('k', 40)]
    );
}

#[tokio::test]
async fn dropping_a_publisher_ends_its_stream() {
    let (listener, url) = listen().await;
    let publisher = publisher(&url);
    let mut peer = Peer::publishing(&listener).await;
    publisher.send(keyframe(64, 48, 0)).unwrap();
    peer.names(3).await;
    drop(publisher);
    assert_eq!(peer.event().await, Some(ServerEvent::Unpublished));
}

fn tls() -> (tokio_rustls::TlsAcceptor, Arc<rustls::ClientConfig>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server).into(), Arc::new(client))
}

#[tokio::test]
async fn rtmps_carries_a_stream_to_a_server_whose_certificate_is_trusted() {
    let (acceptor, config) = tls();
    let (listener, url) = listen().await;
    let url = url.replace("rtmp://127.0.0.1", "rtmps://localhost");
    let mut options = options();
    options.tls = Some(config);
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut peer = Peer::over(
        acceptor.accept(stream).await.unwrap(),
        ServerOptions::default(),
    )
    .await;
    peer.accept().await;
    publisher.send(keyframe(64, 48, 0)).unwrap();
    for n in 1..20 {
        publisher.send(delta(100_000, n * 40)).unwrap();
    }
    assert_eq!(peer.names(22).await.last(), Some(&('v', 760)));
    let closing = tokio::spawn(async move { publisher.close().await });
    assert_eq!(peer.rest().await, []);
    assert_eq!(
        soon("closing", closing).await.unwrap().video_frames_sent,
        20
    );
}

#[tokio::test]
async fn rtmps_refuses_a_certificate_that_nobody_signed() {
    let (acceptor, _) = tls();
    let (listener, url) = listen().await;
    let publisher = publisher(&url.replace("rtmp://127.0.0.1", "rtmps://localhost"));
    let (stream, _) = listener.accept().await.unwrap();
    assert!(acceptor.accept(stream).await.is_err());
    let error = soon("the error", publisher.published()).await.unwrap_err();
    assert!(
        matches!(error, PublishError::Connect(ConnectFailure::Tls { .. })),
        "{error}"
    );
}

/// Everything that is logged while it is set.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_stream_key_is_in_no_log_no_error_and_no_debug_output() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let (listener, url) = listen().await;
    let url = format!("{url}?token=qu3ry");
    let mut options = options();
    options.reconnect.max_rejections = 0;
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options).unwrap();
    let mut said = Vec::new();
    for reject in [false, true] {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut session = livekit_stream::rtmp::session::ServerSession::new(
            ServerOptions::default(),
            0,
            &[0; 1528],
        );
        let request = loop {
            let mut input = [0; 4096];
            let count = stream.read(&mut input).await.unwrap();
            session.receive(&input[..count]).unwrap();
            stream.write_all(&session.take_output()).await.unwrap();
            if let Some(ServerEvent::PublishRequested(request)) = session.next_event() {
                break request;
            }
        };
        assert_eq!(request.key(), format!("{KEY}?token=qu3ry"));
        said.push(format!("{request:?} {session:?} {publisher:?}"));
        if reject {
            let words = format!("{} {KEY} token=qu3ry", request.key());
            session.reject("NetStream.Publish.BadName", &words);
        } else {
            session.accept();
        }
        stream.write_all(&session.take_output()).await.unwrap();
        if !reject {
            soon("publishing", publisher.published()).await.unwrap();
        }
    }
    let state = final_state(&publisher).await;
    let stats = publisher.stats();
    let PublisherState::Failed(error) = &state else {
        panic!("{state:?}");
    };
    said.push(format!("{error} {state:?} {stats:?} {publisher:?}"));
    said.push(String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned());
    let said = said.join("\n");
    assert!(
        said.contains("RTMP connection lost"),
        "nothing was logged: {said}"
    );
    assert!(said.contains("/live/***"));
    for secret in [KEY, "qu3ry"] {
        assert!(!said.contains(secret), "{said}");
    }
}
