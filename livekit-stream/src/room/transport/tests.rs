use super::*;

/// One end of a connection within the test.
struct Peer {
    transport: Transport,
    events: mpsc::Receiver<Event>,
}

impl Peer {
    async fn new(role: Role) -> Self {
        Self::with_interfaces(role, None).await
    }

    async fn with_interfaces(role: Role, interfaces: Option<InterfaceFilter>) -> Self {
        let (sender, events) = events();
        let network = Network {
            runtime: default_runtime(),
            loopback: true,
            interfaces,
            tls: None,
            names: std::sync::Arc::default(),
        };
        let transport = Transport::new(role, &[], network, sender.clone());
        let transport = transport.await.expect("a peer connection");
        if role == Role::Publisher {
            let opened = transport.open_data_channels(&sender).await;
            opened.expect("data channels");
        }
        Self { transport, events }
    }
}

/// Passes candidates between two peers if `passes` lets them, until both are up.
async fn connect(mut one: Peer, mut other: Peer, passes: fn(&str) -> bool) {
    let (mut one_is_up, mut other_is_up) = (false, false);
    while !(one_is_up && other_is_up) {
        let (event, to, is_up) = tokio::select! {
            event = one.events.recv() => (event, &mut other.transport, &mut one_is_up),
            event = other.events.recv() => (event, &mut one.transport, &mut other_is_up),
        };
        match event.expect("the peer lives") {
            Event::Candidate(_, json) if passes(&json) => {
                to.add_candidate(&json).await.expect("a candidate");
            }
            Event::Up(_, up) => *is_up = up,
            Event::Failed(role) => panic!("{role:?} failed"),
            _ => {}
        }
    }
    one.transport.close().await;
    other.transport.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connects_over_ipv6() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let mut one = Peer::new(Role::Publisher).await;
    let mut other = Peer::new(Role::Subscriber).await;
    let offer = one.transport.offer(false).await.expect("an offer");
    let answer = other.transport.answer(offer).await.expect("an answer");
    let taken = one.transport.take_answer(answer).await;
    taken.expect("the answer is taken");
    let connecting = connect(one, other, |json| json.contains(" ::1 "));
    let connected = tokio::time::timeout(Duration::from_secs(20), connecting).await;
    assert!(connected.is_ok(), "not connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_are_of_the_interfaces_that_are_used_and_of_no_other() {
    let loopback = |name: &str| name.starts_with("lo");
    let interfaces = Some(InterfaceFilter::new(loopback));
    let mut peer = Peer::with_interfaces(Role::Publisher, interfaces).await;
    let offer = peer.transport.offer(false).await.expect("an offer");
    let gathered = peer.transport.gathered.wait_for(|gathered| *gathered);
    let gathered = tokio::time::timeout(Duration::from_secs(20), gathered).await;
    assert!(gathered.is_ok_and(|it| it.is_ok()), "not gathered");
    let mut candidates = 0;
    while let Ok(event) = peer.events.try_recv() {
        let Event::Candidate(_, json) = event else {
            continue;
        };
        let address = json.split_ascii_whitespace().nth(4).expect("an address");
        let address: std::net::IpAddr = address.parse().expect("an address");
        assert!(address.is_loopback(), "{json}");
        candidates += 1;
    }
    assert!(candidates > 0);
    assert!(!offer.contains("a=candidate"), "{offer}");
    peer.transport.close().await;
}
