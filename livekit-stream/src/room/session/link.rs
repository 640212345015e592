//! One joining of the room: the signal connection and the peer connections that belong to it.

use livekit_protocol as proto;
use tokio::sync::mpsc;

use super::offers::{self, Offers};
use crate::room::signal::{self, Request, Signal};
use crate::room::transport::{self, Role, Transport, TransportError};
use crate::room::{ConnectError, RoomOptions};

/// See the module.
pub(super) struct Link {
    pub(super) signal: Signal,
    /// `None` while the signal connection is being made again.
    pub(super) signals: Option<signal::Events>,
    /// By which media come: the only one, or the subscriber's.
    pub(super) receiving: Transport,
    /// Made when there are two and the server takes this one for the session's primary connection.
    publisher: Option<Transport>,
    /// Of the only connection.
    offers: Option<Offers>,
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
        let (signal, join, signals) = signal::connect(url, token, options).await?;
        let connected = Self::prepare(url, options, &signal, &join).await;
        let (receiving, publisher, media) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                signal.leave().await;
                let reason = error.to_string();
                return Err(ConnectError::Media { reason });
            }
        };
        let own = join.participant.as_ref();
        let link = Self {
            offers: signal.is_single().then(Offers::begun),
            signal,
            signals: Some(signals),
            receiving,
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
        let (events, media) = transport::events();
        let network = options.network(is_loopback(url));
        let make = |role| {
            let (network, events) = (network.clone(), events.clone());
            Transport::new(role, &join.ice_servers, network, events)
        };
        if signal.is_single() {
            let mut only = make(Role::Publisher).await?;
            only.open_data_channels(&events).await?;
            // The server asks for sections for what is there already; these are those.
            let (audios, videos) = offers::wanted(options, join);
            only.receive_more(audios, videos).await?;
            offer(signal, &only, false).await?;
            return Ok((only, None, media));
        }
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
        if self.is_single() || self.publisher.is_some() {
            Role::Publisher
        } else {
            Role::Subscriber
        }
    }

    /// Whether there is but one connection.
    pub(super) fn is_single(&self) -> bool {
        self.offers.is_some()
    }

    /// Offers our connection again, if we offer one, for another path to the server.
    pub(super) async fn restart(&mut self) -> Result<(), TransportError> {
        if let Some(offers) = &mut self.offers {
            *offers = Offers::begun();
            return offer(&self.signal, &self.receiving, true).await;
        }
        match &self.publisher {
            Some(publisher) => offer(&self.signal, publisher, true).await,
            None => Ok(()),
        }
    }

    /// Takes other STUN and TURN servers.
    pub(super) async fn set_ice_servers(&self, servers: &[proto::IceServer]) {
        for transport in [Some(&self.receiving), self.publisher.as_ref()] {
            if let Some(transport) = transport
                && let Err(error) = transport.set_ice_servers(servers).await
            {
                tracing::warn!(%error, "going on with the old ICE servers");
            }
        }
    }

    pub(super) async fn add_candidate(&mut self, trickle: &proto::TrickleRequest) {
        let for_subscriber = trickle.target == proto::SignalTarget::Subscriber as i32;
        let transport = if for_subscriber || self.is_single() {
            Some(&mut self.receiving)
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

    /// The server wants sections for so many tracks more, or another offer for those there are.
    pub(super) async fn offer_more(
        &mut self,
        wanted: proto::MediaSectionsRequirement,
    ) -> Result<(), TransportError> {
        let Some(offers) = &mut self.offers else {
            return Ok(());
        };
        let (audios, videos) = (wanted.num_audios, wanted.num_videos);
        self.receiving.receive_more(audios, videos).await?;
        if offers.is_next() {
            offer(&self.signal, &self.receiving, false).await?;
        }
        Ok(())
    }

    /// Takes the answer to our offer.
    pub(super) async fn take_answer(&mut self, sdp: String) -> Result<(), TransportError> {
        if let Some(offers) = &mut self.offers {
            if !offers.is_waiting() {
                return Ok(());
            }
            self.receiving.take_answer(sdp).await?;
            if offers.answered() {
                offer(&self.signal, &self.receiving, false).await?;
            }
            return Ok(());
        }
        match &mut self.publisher {
            Some(publisher) => publisher.take_answer(sdp).await,
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
        self.receiving.close().await;
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
