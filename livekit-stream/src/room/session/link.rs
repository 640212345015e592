//! One joining of the room: the signal connection and the peer connections that belong to it.

use std::sync::Arc;

use livekit_protocol as proto;
use tokio::sync::mpsc;

use crate::room::signal::{self, Request, Signal};
use crate::room::transport::{self, Role, Transport, TransportError};
use crate::room::{ConnectError, RoomOptions};

/// See the module.
pub(super) struct Link {
    pub(super) signal: Signal,
    /// `None` while the signal connection is being made again.
    pub(super) signals: Option<signal::Events>,
    pub(super) subscriber: Transport,
    /// Made when the server takes it for the session's primary connection.
    pub(super) publisher: Option<Transport>,
    pub(super) media: mpsc::Receiver<transport::Event>,
    /// Whether the primary connection is up.
    pub(super) up: bool,
    /// Our own sid.
    pub(super) sid: String,
    /// Whether the session was resumed.
    pub(super) resumed: bool,
}

impl Link {
    /// Joins.
    pub(super) async fn open(
        url: &str,
        token: &str,
        options: &RoomOptions,
    ) -> Result<(Self, proto::JoinResponse), ConnectError> {
        let (signal, join, signals) =
            signal::connect(url, token, options.auto_subscribe, options.connect_timeout).await?;
        let connected = Self::prepare(url, options, &signal, &join).await;
        let (subscriber, publisher, media) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                signal.leave().await;
                let reason = error.to_string();
                return Err(ConnectError::Media { reason });
            }
        };
        let own = join.participant.as_ref();
        let link = Self {
            signal,
            signals: Some(signals),
            subscriber,
            publisher,
            media,
            up: false,
            sid: own.map(|own| own.sid.clone()).unwrap_or_default(),
            resumed: false,
        };
        Ok((link, join))
    }

    async fn prepare(
        url: &str,
        options: &RoomOptions,
        signal: &Signal,
        join: &proto::JoinResponse,
    ) -> Result<
        (
            Transport,
            Option<Transport>,
            mpsc::Receiver<transport::Event>,
        ),
        TransportError,
    > {
        let runtime = options
            .runtime
            .clone()
            .unwrap_or_else(transport::default_runtime);
        let (events, media) = transport::events();
        let loopback = is_loopback(url);
        let make = |role| {
            let (runtime, events) = (Arc::clone(&runtime), events.clone());
            Transport::new(role, &join.ice_servers, loopback, runtime, events)
        };
        let subscriber = make(Role::Subscriber).await?;
        let mut publisher = None;
        if !join.subscriber_primary {
            let transport = publisher.insert(make(Role::Publisher).await?);
            transport.open_data_channels(&events).await?;
            offer(signal, transport, false).await?;
        }
        Ok((subscriber, publisher, media))
    }

    /// The connection by which the server tells whether the session is active.
    pub(super) fn primary(&self) -> Role {
        match self.publisher {
            Some(_) => Role::Publisher,
            None => Role::Subscriber,
        }
    }

    /// Offers the publisher's connection again, if there is one, for another path to the server.
    pub(super) async fn restart_publisher(&self) -> Result<(), TransportError> {
        match &self.publisher {
            Some(publisher) => offer(&self.signal, publisher, true).await,
            None => Ok(()),
        }
    }

    /// Takes other STUN and TURN servers.
    pub(super) async fn set_ice_servers(&self, servers: &[proto::IceServer]) {
        for transport in [Some(&self.subscriber), self.publisher.as_ref()] {
            if let Some(transport) = transport
                && let Err(error) = transport.set_ice_servers(servers).await
            {
                tracing::warn!(%error, "going on with the old ICE servers");
            }
        }
    }

    pub(super) async fn add_candidate(&mut self, trickle: &proto::TrickleRequest) {
        let transport = if trickle.target == proto::SignalTarget::Subscriber as i32 {
            Some(&mut self.subscriber)
        } else {
            self.publisher.as_mut()
        };
        let Some(transport) = transport else { return };
        if let Err(error) = transport.add_candidate(&trickle.candidate_init).await {
            tracing::warn!(%error, "ignoring a candidate of the server's");
        }
    }

    pub(super) async fn send_candidate(&self, role: Role, candidate_init: String) {
        let target = match role {
            Role::Publisher => proto::SignalTarget::Publisher,
            Role::Subscriber => proto::SignalTarget::Subscriber,
        };
        let trickle = proto::TrickleRequest {
            candidate_init,
            target: target as i32,
            r#final: false,
        };
        self.signal.send(Request::Trickle(trickle)).await;
    }

    /// Takes the answer to the publisher's offer.
    pub(super) async fn take_answer(
        &mut self,
        answer: proto::SessionDescription,
    ) -> Result<(), TransportError> {
        match &mut self.publisher {
            Some(publisher) => publisher.take_answer(answer.sdp).await,
            // An answer nobody asked for says nothing.
            None => Ok(()),
        }
    }

    /// Closes everything; `leave` tells the server first.
    pub(super) async fn close(&self, leave: bool) {
        if leave {
            self.signal.leave().await;
        } else {
            self.signal.close().await;
        }
        self.subscriber.close().await;
        if let Some(publisher) = &self.publisher {
            publisher.close().await;
        }
    }
}

async fn offer(
    signal: &Signal,
    publisher: &Transport,
    restart: bool,
) -> Result<(), TransportError> {
    let offer = proto::SessionDescription {
        r#type: "offer".to_owned(),
        sdp: publisher.offer(restart).await?,
        ..proto::SessionDescription::default()
    };
    signal.send(Request::Offer(offer)).await;
    Ok(())
}

/// Whether the server runs on this machine.
fn is_loopback(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
