//! An RTMP server of somebody else's making that announces Enhanced RTMP: the crate `rtmp-rs`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use livekit_stream::mux::flv::{self, TagKind};
use rtmp_rs::media::{EnhancedAudioData, EnhancedVideoData, FlvTag, FlvTagType};
use rtmp_rs::session::StreamContext;
use rtmp_rs::{RtmpHandler, RtmpServer, ServerConfig};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const START_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// The server, which passes every stream on to players, and ends when dropped. What its publishers
/// sent is kept.
#[derive(Debug)]
pub struct RtmpRs {
    address: SocketAddr,
    published: Arc<Mutex<Published>>,
    task: JoinHandle<()>,
}

/// What the server was sent.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// Kind, time in milliseconds, and body.
    tags: Vec<(TagKind, u32, Bytes)>,
    /// Of each frame that the server's own parser took for Enhanced RTMP, its codec's FourCC.
    pub enhanced: Vec<&'static str>,
    /// How often a publisher has said that its stream is over.
    pub ended: usize,
}

impl RtmpRs {
    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// When it does not listen in time.
    pub async fn start() -> Self {
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free TCP port");
        let address = probe.local_addr().expect("the listener has an address");
        drop(probe);
        let published = Arc::new(Mutex::new(Published::default()));
        let keeper = Keeper(Arc::clone(&published));
        let server = RtmpServer::new(ServerConfig::default().bind(address), keeper);
        let task = tokio::spawn(async move {
            let ended = server.run().await;
            panic!("the RTMP server has ended: {ended:?}");
        });
        let end = Instant::now() + START_DEADLINE;
        while TcpStream::connect(address).await.is_err() {
            assert!(
                Instant::now() < end && !task.is_finished(),
                "no RTMP server"
            );
            tokio::time::sleep(POLL).await;
        }
        Self {
            address,
            published,
            task,
        }
    }

    /// Where to publish or play.
    pub fn url(&self, app: &str, key: &str) -> String {
        format!("rtmp://{}/{app}/{key}", self.address)
    }

    /// What was sent so far.
    pub fn published(&self) -> Published {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for RtmpRs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Published {
    /// The tags as an FLV file, which a program may judge.
    pub fn flv(&self) -> Vec<u8> {
        let mut file = flv::file_header(true, true).to_vec();
        for (kind, time, body) in &self.tags {
            file.extend(flv::tag(*kind, *time, body).expect("a tag that came is not too long"));
        }
        file
    }
}

/// Keeps what is published.
struct Keeper(Arc<Mutex<Published>>);

impl Keeper {
    fn keep(&self, add: impl FnOnce(&mut Published)) {
        add(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl RtmpHandler for Keeper {
    async fn on_media_tag(&self, _: &StreamContext, tag: &FlvTag) -> bool {
        let kind = match tag.tag_type {
            FlvTagType::Audio => TagKind::Audio,
            FlvTagType::Video => TagKind::Video,
            FlvTagType::Script => TagKind::Script,
        };
        self.keep(|published| published.tags.push((kind, tag.timestamp, tag.data.clone())));
        true
    }

    async fn on_enhanced_video_frame(&self, _: &StreamContext, frame: &EnhancedVideoData, _: u32) {
        if let EnhancedVideoData::Frame { codec, .. } = frame {
            self.keep(|published| published.enhanced.push(codec.as_fourcc_str()));
        }
    }

    async fn on_enhanced_audio_frame(&self, _: &StreamContext, frame: &EnhancedAudioData, _: u32) {
        if let EnhancedAudioData::Frame { codec, .. } = frame {
            self.keep(|published| published.enhanced.push(codec.as_fourcc_str()));
        }
    }

    async fn on_unpublish(&self, _: &StreamContext) {
        self.keep(|published| published.ended += 1);
    }
}
