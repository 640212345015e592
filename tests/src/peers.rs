//! The real programs the scenarios talk to: where they are, or what to install.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{chromium, python};

/// A program or library that is not part of this workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// `livekit-server`, the SFU.
    LiveKit,
    /// `ffmpeg` together with `ffprobe`.
    Ffmpeg,
    /// An `ffmpeg` that knows Enhanced RTMP, which Debian's does not: `ffmpeg-enhanced`.
    FfmpegEnhanced,
    /// `nginx` together with its RTMP module.
    Nginx,
    /// Headless Chromium with H.264.
    Chromium,
    /// The browser's LiveKit client, which `npm` fetches once.
    LiveKitClient,
    /// LiveKit's Python SDK, which `pip` fetches once.
    LiveKitPython,
    /// coturn, a TURN server.
    Coturn,
    /// libvpx, which is opened at run time to decode and encode VP8.
    Libvpx,
}

/// A [`Peer`] that is not installed; its text says how to install it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing(Peer);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, how) = match self.0 {
            Peer::LiveKit => (
                "livekit-server",
                "go install github.com/livekit/livekit-server/cmd/server@v1.11.0",
            ),
            Peer::Ffmpeg => ("ffmpeg", "apt-get install ffmpeg"),
            Peer::FfmpegEnhanced => (
                "FFmpeg with Enhanced RTMP",
                "pip install imageio-ffmpeg==0.8.1, and a link `ffmpeg-enhanced` to its program",
            ),
            Peer::Nginx => (
                "nginx with its RTMP module",
                "apt-get install nginx libnginx-mod-rtmp",
            ),
            Peer::Chromium => ("chromium", "apt-get install chromium"),
            Peer::LiveKitClient => (
                "npm's livekit-client",
                "apt-get install npm, and a network to fetch it",
            ),
            Peer::LiveKitPython => (
                "PyPI's livekit",
                "apt-get install python3-pip, and a network to fetch it",
            ),
            Peer::Coturn => ("coturn", "apt-get install coturn"),
            Peer::Libvpx => ("libvpx", "apt-get install libvpx7"),
        };
        write!(f, "{name} is not installed ({how})")
    }
}

impl Missing {
    /// Reports the skip, or fails the test when the environment says `PEERS=required`.
    ///
    /// # Panics
    ///
    /// With `PEERS=required`, which is how a machine that must have every peer is set up.
    pub fn skip(self) {
        assert!(
            env::var("PEERS").as_deref() != Ok("required"),
            "PEERS=required, but {self}"
        );
        println!("skipped: {self}");
    }
}

impl Peer {
    /// The program's or the library's path; of a pair, the first one's.
    pub fn find(self) -> Result<PathBuf, Missing> {
        let found = match self {
            Self::LiveKit => on_path("livekit-server").or_else(go_installed_livekit),
            Self::Ffmpeg => on_path("ffprobe").and_then(|_| on_path("ffmpeg")),
            Self::FfmpegEnhanced => on_path("ffmpeg-enhanced").or_else(cached_ffmpeg_enhanced),
            Self::Nginx => nginx_rtmp_module().and_then(|_| on_path("nginx")),
            Self::Chromium => ["chromium", "chromium-browser", "google-chrome"]
                .into_iter()
                .find_map(on_path),
            Self::LiveKitClient => {
                on_path("npm").and_then(|npm| chromium::fetch_livekit_client(&npm))
            }
            Self::LiveKitPython => python::packages(python::LIVEKIT),
            Self::Coturn => on_path("turnserver"),
            Self::Libvpx => library("libvpx.so"),
        };
        found.ok_or(Missing(self))
    }

    /// [`find`](Self::find) for a test that has already required the peer.
    pub fn path(self) -> PathBuf {
        self.find().unwrap_or_else(|missing| panic!("{missing}"))
    }
}

/// Skips the test, by name, unless every given [`Peer`](crate::peers::Peer) is installed.
///
/// ```
/// use livekit_stream_tests::{peers::Peer, require};
///
/// fn scenario() {
///     require!(Peer::LiveKit, Peer::Ffmpeg);
///     // both are there
/// }
/// ```
#[macro_export]
macro_rules! require {
    ($($peer:expr),+ $(,)?) => {
        $(if let Err(missing) = $crate::peers::Peer::find($peer) {
            missing.skip();
            return;
        })+
    };
}

/// Where `.ci/run` puts it.
fn cached_ffmpeg_enhanced() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)?;
    Some(cache.join("livekit-stream/bin/ffmpeg-enhanced")).filter(|file| file.is_file())
}

/// nginx's RTMP module: Debian builds it as a shared object that the configuration loads.
pub(crate) fn nginx_rtmp_module() -> Option<PathBuf> {
    [
        "/usr/lib/nginx/modules",
        "/usr/lib64/nginx/modules",
        "/usr/share/nginx/modules",
    ]
    .into_iter()
    .map(|folder| Path::new(folder).join("ngx_rtmp_module.so"))
    .find(|module| module.is_file())
}

/// A program of this name in one of the folders of `PATH`, or in the system's folders, which are
/// not on every user's `PATH` (nginx lives there).
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Where `go install` puts programs.
fn go_folders() -> impl Iterator<Item = PathBuf> {
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join("go"));
    let folders = env::var_os("GOPATH").map(PathBuf::from);
    let folders = folders.into_iter().chain(home);
    folders.map(|folder| folder.join("bin"))
}

/// `go install` names the program after its folder, so it may be there as `server`.
fn go_installed_livekit() -> Option<PathBuf> {
    go_folders()
        .flat_map(|folder| ["livekit-server", "server"].map(|name| folder.join(name)))
        .filter(|file| file.is_file())
        .find(|file| {
            // Any Go program may be called `server`.
            Command::new(file)
                .arg("--version")
                .output()
                .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("livekit"))
        })
}

fn library(prefix: &str) -> Option<PathBuf> {
    let folders = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
        "/opt/homebrew/lib",
    ];
    folders.into_iter().find_map(|folder| {
        std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with(prefix)
                .then(|| entry.path())
        })
    })
}
