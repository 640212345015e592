//! A WHEP server (draft-ietf-wish-whep): clips played to whoever posts an offer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionEventHandler, RTCIceGatheringState, RTCPeerConnectionState,
    RTCSessionDescription,
};

use super::pump::{Clock, Timeline};
use super::{PublishOptions, PublishedTrack, TrackInfo, connection};
use crate::http::{Request, Response, Server};
use crate::impairment::Impairment;

const ENDPOINT: &str = "/live/whep";
const SDP: &str = "application/sdp";

/// A server with one endpoint. Each session is a peer connection of the `webrtc` crate that plays
/// all the clips from their beginnings once it is connected.
pub struct WhepServer {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    media: Vec<PublishOptions>,
    token: String,
    sessions: Mutex<Vec<Arc<Session>>>,
}

struct Session {
    connection: Arc<dyn PeerConnection>,
    tracks: Mutex<Vec<PublishedTrack>>,
    deleted: watch::Sender<bool>,
}

impl WhepServer {
    /// Starts a server that shows these clips to those who know the bearer token.
    pub async fn start(media: Vec<PublishOptions>, token: &str) -> Self {
        let shared = Arc::new(Shared {
            media,
            token: token.to_owned(),
            sessions: Mutex::default(),
        });
        let answering = Arc::clone(&shared);
        let server = Server::start(move |request| {
            let shared = Arc::clone(&answering);
            async move { shared.answer(request).await }
        });
        Self {
            server: server.await,
            shared,
        }
    }

    /// The endpoint's address.
    pub fn url(&self) -> String {
        format!("{}{ENDPOINT}", self.server.url())
    }

    /// Sessions that were begun.
    pub fn sessions(&self) -> usize {
        lock(&self.shared.sessions).len()
    }

    /// Whether all sessions have been deleted.
    pub fn all_deleted(&self) -> bool {
        let sessions = lock(&self.shared.sessions);
        sessions.iter().all(|session| *session.deleted.borrow())
    }

    /// What the first session has sent of one of the clips, in order, as a file that copied it
    /// holds it.
    ///
    /// # Panics
    ///
    /// When it has sent nothing.
    pub fn sent_frames(&self, track: usize) -> Vec<Bytes> {
        let sessions = lock(&self.shared.sessions);
        let session = sessions.first().expect("there was a session");
        let tracks = lock(&session.tracks);
        tracks.get(track).expect("it was connected").sent_frames()
    }
}

impl Shared {
    async fn answer(&self, request: Request) -> Response {
        if request.header("authorization") != format!("Bearer {}", self.token) {
            return Response::status("401 Unauthorized");
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", ENDPOINT) if request.header("content-type") != SDP => {
                Response::status("415 Unsupported Media Type")
            }
            ("POST", ENDPOINT) => {
                let offer = String::from_utf8_lossy(&request.body).into_owned();
                let (session, answer) = Session::begin(&self.media, offer).await;
                let mut sessions = lock(&self.sessions);
                sessions.push(session);
                // Relative to the endpoint, as RFC 9110 section 10.2.2 allows.
                Response::created(format!("session/{}", sessions.len()), SDP, answer)
            }
            ("DELETE", path) => {
                let number = path.strip_prefix("/live/session/");
                let number = number.and_then(|number| number.parse::<usize>().ok());
                let session = number.and_then(|number| {
                    let sessions = lock(&self.sessions);
                    sessions.get(number.checked_sub(1)?).cloned()
                });
                match session {
                    Some(session) if !session.deleted.send_replace(true) => {
                        session.connection.close().await.expect("it closes");
                        Response::status("200 OK")
                    }
                    _ => Response::not_found(),
                }
            }
            _ => Response::not_found(),
        }
    }
}

impl Session {
    /// Takes an offer; gives the session and its answer, which holds all candidates.
    async fn begin(media: &[PublishOptions], offer: String) -> (Arc<Self>, String) {
        let (gathered, mut gathering) = watch::channel(RTCIceGatheringState::New);
        let (state, mut states) = watch::channel(RTCPeerConnectionState::New);
        let handler = Handler { gathered, state };
        let connection = connection::build(handler, &Impairment::default())
            .await
            .expect("a peer connection");
        let offer = RTCSessionDescription::offer(offer).expect("an SDP");
        let taken = connection.set_remote_description(offer).await;
        taken.expect("the offer is taken");
        let mut added = Vec::new();
        for (index, options) in media.iter().enumerate() {
            let (ssrcs, track) = options.local_track(&format!("clip-{index}"));
            let sending = Arc::clone(&track) as Arc<dyn TrackLocal>;
            let sender = connection.add_track(sending).await.expect("added");
            added.push((options.clone(), ssrcs, track, sender));
        }
        let answer = connection.create_answer(None).await.expect("an answer");
        let set = connection.set_local_description(answer).await;
        set.expect("the answer is set");
        let complete = gathering.wait_for(|state| *state == RTCIceGatheringState::Complete);
        complete.await.expect("the connection lives");
        let answer = connection.local_description().await.expect("the answer");

        let session = Arc::new(Self {
            connection,
            tracks: Mutex::default(),
            deleted: watch::Sender::new(false),
        });
        let playing = Arc::clone(&session);
        tokio::spawn(async move {
            let connected =
                |state: &RTCPeerConnectionState| *state == RTCPeerConnectionState::Connected;
            if states.wait_for(connected).await.is_err() {
                return;
            }
            let clock = Clock::start();
            let mut outputs = Vec::new();
            for (options, ssrcs, track, sender) in added {
                let layers = options.outputs(ssrcs, track, &*sender, None, clock).await;
                outputs.push((options, layers, sender));
            }
            let timeline = Arc::new(Timeline::start());
            let play = outputs.into_iter().map(|(options, layers, sender)| {
                let (info, timeline) = (TrackInfo::default(), Arc::clone(&timeline));
                PublishedTrack::start(options, info, layers, sender, timeline)
            });
            lock(&playing.tracks).extend(play);
        });
        (session, answer.sdp)
    }
}

struct Handler {
    gathered: watch::Sender<RTCIceGatheringState>,
    state: watch::Sender<RTCPeerConnectionState>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathered.send_replace(state);
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
