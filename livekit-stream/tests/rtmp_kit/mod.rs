//! What the RTMP tests share: frames, a server whose every move the test makes, real peers.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use livekit_stream::codec::{Codec, h264};
use livekit_stream::encode::{VideoEncoder, VideoOptions, video_encoder};
use livekit_stream::frame::{EncodedFrame, VideoFormat, VideoFrame, VideoRotation, VideoSize};
use livekit_stream::output::rtmp::PublisherOptions;
use livekit_stream::rtmp::session::{MediaMessage, ServerEvent, ServerOptions, ServerSession};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The stream key of all tests: it must never be seen outside the protocol.
pub const KEY: &str = "s3cr3t-stream-key";

/// No test waits longer for anything.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen within {DEADLINE:?}"))
}

pub fn frame(codec: Codec, data: impl Into<Bytes>, keyframe: bool, time_ms: i64) -> EncodedFrame {
    EncodedFrame {
        codec,
        data: data.into(),
        keyframe,
        timestamp_us: time_ms * 1000,
        rotation: VideoRotation::Deg0,
        size: VideoSize::default(),
        lost_packets: 0,
    }
}

/// An AAC frame; its content does not matter to the protocol.
pub fn sound(time_ms: i64) -> EncodedFrame {
    frame(Codec::Aac, vec![0x21, 0x10, 0x05], true, time_ms)
}

/// A picture that depends on the one before, of `len` bytes.
pub fn delta(len: usize, time_ms: i64) -> EncodedFrame {
    let mut data = vec![0xaa; len];
    data[..5].copy_from_slice(&[0, 0, 0, 1, 0x41]);
    frame(Codec::H264, data, false, time_ms)
}

/// A real keyframe with parameter sets.
pub fn keyframe(width: u32, height: u32, time_ms: i64) -> EncodedFrame {
    let picture = VideoFrame::blank(VideoFormat::I420, width, height).unwrap();
    let mut encoder: Box<dyn VideoEncoder> =
        video_encoder(Codec::H264, VideoOptions::default()).unwrap();
    let mut frame = encoder
        .encode(&picture, time_ms * 1000, true)
        .unwrap()
        .unwrap();
    assert!(frame.keyframe);
    frame.timestamp_us = time_ms * 1000;
    frame
}

/// Options with short waits.
pub fn options() -> PublisherOptions {
    let mut options = PublisherOptions::default();
    options.reconnect.initial_delay = Duration::from_millis(20);
    options.reconnect.max_delay = Duration::from_millis(100);
    options
}

pub async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("rtmp://127.0.0.1:{port}/live/{KEY}"))
}

/// A port nobody listens on.
pub async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The server's end of one connection.
pub struct Peer<S = TcpStream> {
    pub stream: S,
    pub session: ServerSession,
}

impl Peer {
    /// Waits for a publisher and its request.
    pub async fn requested(listener: &TcpListener, options: ServerOptions) -> Self {
        let (stream, _) = soon("a connection", listener.accept()).await.unwrap();
        Self::over(stream, options).await
    }

    /// Waits for a publisher and accepts it.
    pub async fn publishing(listener: &TcpListener) -> Self {
        let mut peer = Self::requested(listener, ServerOptions::default()).await;
        peer.accept().await;
        peer
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub async fn over(stream: S, options: ServerOptions) -> Self {
        let session = ServerSession::new(options, 0, &[5; 1528]);
        let mut peer = Self { stream, session };
        match peer.event().await {
            Some(ServerEvent::PublishRequested(request)) => {
                assert_eq!((request.app(), request.key()), ("live", KEY));
            }
            other => panic!("no request but {other:?}"),
        }
        peer
    }

    pub async fn accept(&mut self) {
        self.session.accept();
        self.flush().await;
    }

    pub async fn flush(&mut self) {
        let output = self.session.take_output();
        self.stream.write_all(&output).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next event; `None` when the publisher hung up.
    pub async fn event(&mut self) -> Option<ServerEvent> {
        let mut input = vec![0; 16 * 1024];
        loop {
            if let Some(event) = self.session.next_event() {
                return Some(event);
            }
            // A publisher that has hung up takes no answers.
            let output = self.session.take_output();
            let _ = self.stream.write_all(&output).await;
            let _ = self.stream.flush().await;
            let count = soon("data", self.stream.read(&mut input))
                .await
                .unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.session.receive(&input[..count]).unwrap();
        }
    }

    /// The next media message; `None` when the stream has ended.
    pub async fn media(&mut self) -> Option<MediaMessage> {
        match self.event().await {
            Some(ServerEvent::Media(media)) => Some(media),
            _ => None,
        }
    }

    pub async fn names(&mut self, count: usize) -> Vec<(char, u32)> {
        let mut names = Vec::new();
        while names.len() < count {
            names.push(name(&self.media().await.expect("the stream goes on")));
        }
        names
    }

    pub async fn rest(&mut self) -> Vec<(char, u32)> {
        let mut names = Vec::new();
        while let Some(media) = self.media().await {
            names.push(name(&media));
        }
        names
    }
}

/// `m` metadata, `V`/`A` sequence header, `k` keyframe, `v` other picture, `a` sound; and its time.
pub fn name(media: &MediaMessage) -> (char, u32) {
    let header = media.body.get(1) == Some(&0);
    let name = match (media.tag_type, media.body.first()) {
        (18, _) => 'm',
        (8, _) if header => 'A',
        (8, _) => 'a',
        (_, _) if header => 'V',
        (_, Some(0x17)) => 'k',
        _ => 'v',
    };
    (name, media.timestamp_ms)
}

/// Says that a peer is missing; a failure where the environment says `PEERS=required`.
pub fn missing(name: &str) {
    assert!(
        !std::env::var("PEERS").is_ok_and(|value| value == "required"),
        "PEERS=required, but {name} is not installed"
    );
    println!("skipped: {name} is not installed");
}

/// Whether a program starts.
pub fn installed(name: &str, version: &str) -> bool {
    let found = Command::new(name)
        .arg(version)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        missing(name);
    }
    found
}

/// A child process that ends with the test.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Waits for its end by itself.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < DEADLINE, "the process does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Starts `ffmpeg`, with its complaints going to a file.
pub fn ffmpeg(args: &[&str], log: &Path) -> Process {
    start(Path::new("ffmpeg"), args, log)
}

fn output(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {complaints}");
    output.stdout
}

/// Three seconds of H.264 (25 frames a second, a keyframe a second) and AAC (48 kHz stereo).
pub fn clip() -> Vec<EncodedFrame> {
    let ffmpeg = |args: &str| {
        let mut all = vec!["-v", "error", "-f", "lavfi"];
        all.extend(args.split_whitespace());
        output("ffmpeg", &all)
    };
    let video = ffmpeg(
        "-i testsrc2=size=320x240:rate=25:duration=3 -c:v libx264 -preset ultrafast -bf 0 -g 25 \
         -pix_fmt yuv420p -x264-params aud=1:keyint=25:scenecut=0 -f h264 -",
    );
    let audio = ffmpeg(
        "-i sine=frequency=440:sample_rate=48000:duration=3 -ac 2 -c:a aac -b:a 96k -f adts -",
    );
    let mut frames = Vec::new();
    for (n, unit) in access_units(&video).into_iter().enumerate() {
        let keyframe = h264::is_keyframe(&unit);
        frames.push(frame(Codec::H264, unit, keyframe, n as i64 * 40));
    }
    for (n, unit) in adts_frames(&audio).into_iter().enumerate() {
        let mut sound = frame(Codec::Aac, unit, true, 0);
        sound.timestamp_us = n as i64 * 1_024_000_000 / 48_000;
        frames.push(sound);
    }
    frames.sort_by_key(|frame| frame.timestamp_us);
    frames
}

/// Cuts at access unit delimiters.
fn access_units(annex_b: &[u8]) -> Vec<Vec<u8>> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    for nal_unit in h264::annexb_nal_units(annex_b) {
        if nal_unit[0] & 0x1f == 9 {
            units.push(Vec::new());
        }
        let unit = units.last_mut().unwrap();
        unit.extend_from_slice(&[0, 0, 0, 1]);
        unit.extend_from_slice(nal_unit);
    }
    units
}

fn adts_frames(mut adts: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while adts.len() >= 7 {
        let len =
            usize::from(adts[3] & 3) << 11 | usize::from(adts[4]) << 3 | usize::from(adts[5]) >> 5;
        frames.push(adts[7..len].to_vec());
        adts = &adts[len..];
    }
    frames
}

/// Sends frames at `speed` times their own pace.
pub async fn pace(frames: &[EncodedFrame], speed: u32, mut send: impl FnMut(EncodedFrame)) {
    let began = tokio::time::Instant::now();
    for frame in frames {
        let due = Duration::from_micros(frame.timestamp_us.unsigned_abs()) / speed;
        tokio::time::sleep_until(began + due).await;
        send(frame.clone());
    }
}

/// `ffprobe`'s answer about a file: packets of the stream, and its codec.
pub fn packets(file: &Path, stream: &str) -> (String, usize) {
    let text = output(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            stream,
            "-count_packets",
            "-show_entries",
            "stream=codec_name,nb_read_packets",
            "-of",
            "csv=p=0",
            file.to_str().unwrap(),
        ],
    );
    let text = String::from_utf8(text).unwrap();
    let (codec, count) = text.trim().split_once(',').expect("a stream");
    (codec.to_owned(), count.trim().parse().unwrap())
}

/// Presentation times in milliseconds.
pub fn times(file: &Path, stream: &str) -> Vec<i64> {
    let text = output(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            "packet=pts_time",
            "-of",
            "csv=p=0",
            file.to_str().unwrap(),
        ],
    );
    String::from_utf8(text)
        .unwrap()
        .lines()
        .map(|line| (line.trim_end_matches(',').parse::<f64>().unwrap() * 1000.0).round() as i64)
        .collect()
}

/// Width and height of the video.
pub fn size(file: &Path) -> (u32, u32) {
    let text = output(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-show_entries",
            "stream=width,height",
            "-of",
            "csv=p=0",
            file.to_str().unwrap(),
        ],
    );
    let text = String::from_utf8(text).unwrap();
    let (width, height) = text.trim().split_once(',').unwrap();
    (width.parse().unwrap(), height.parse().unwrap())
}

/// Decodes all of a file; any error fails.
pub fn decodes(file: &Path) {
    let file = file.to_str().unwrap();
    output(
        "ffmpeg",
        &["-v", "error", "-xerror", "-i", file, "-f", "null", "-"],
    );
}

const NGINX_MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// A real nginx with its RTMP module on a port of its own.
pub async fn nginx(dir: &Path) -> Option<(Process, u16)> {
    if !installed("nginx", "-v") || !installed("ffmpeg", "-version") {
        return None;
    }
    if !Path::new(NGINX_MODULE).exists() {
        missing("libnginx-mod-rtmp");
        return None;
    }
    let port = free_port().await;
    let path = dir.display();
    let config = format!(
        "load_module {NGINX_MODULE};\n\
         daemon off; master_process off; worker_processes 1;\n\
         pid {path}/nginx.pid; error_log {path}/error.log info;\n\
         events {{ worker_connections 64; }}\n\
         rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}\n"
    );
    std::fs::write(dir.join("nginx.conf"), config).unwrap();
    let child = Command::new("nginx")
        .args([
            "-p",
            dir.to_str().unwrap(),
            "-c",
            "nginx.conf",
            "-e",
            "error.log",
        ])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(dir.join("nginx.out")).unwrap())
        .spawn()
        .unwrap();
    let process = Process(child);
    listens(dir, port).await;
    Some((process, port))
}

async fn listens(dir: &Path, port: u16) {
    let began = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_err()
    {
        assert!(
            began.elapsed() < DEADLINE,
            "nginx does not listen: {}",
            std::fs::read_to_string(dir.join("nginx.out")).unwrap()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Starts the same nginx again, on the port that it had.
pub async fn nginx_again(dir: &Path, port: u16) -> Option<Process> {
    let child = Command::new("nginx")
        .args(["-p", dir.to_str()?, "-c", "nginx.conf", "-e", "error.log"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let process = Process(child.ok()?);
    listens(dir, port).await;
    Some(process)
}

/// Waits until nginx has logged `text` `count` times.
pub async fn logged(dir: &Path, text: &str, count: usize) {
    let began = Instant::now();
    loop {
        let log = std::fs::read_to_string(dir.join("error.log")).unwrap_or_default();
        if log.matches(text).count() >= count {
            return;
        }
        assert!(
            began.elapsed() < DEADLINE,
            "nginx never logged {text:?}: {log}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An FFmpeg with Enhanced RTMP (8 and newer), which Debian's is not: `.ci/run` puts one beside
/// the other tools.
pub fn ffmpeg_enhanced() -> Option<std::path::PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(std::path::PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")));
    let tool = cache.map(|cache| cache.join("livekit-stream/bin/ffmpeg-enhanced"));
    let found = [Some("ffmpeg-enhanced".into()), tool]
        .into_iter()
        .flatten()
        .find(|program| Command::new(program).arg("-version").output().is_ok());
    if found.is_none() {
        missing(
            "FFmpeg with Enhanced RTMP (pip install imageio-ffmpeg==0.8.1, linked as ffmpeg-enhanced)",
        );
    }
    found
}

/// Starts this FFmpeg, with its complaints going to a file.
pub fn start(program: &Path, args: &[&str], log: &Path) -> Process {
    let child = Command::new(program)
        .args(["-hide_banner", "-nostdin", "-y"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(log).unwrap())
        .spawn()
        .unwrap();
    Process(child)
}

/// A hash of each decoded picture, in the order they are shown.
pub fn picture_hashes(file: &Path) -> Vec<String> {
    picture_hashes_by(Path::new("ffmpeg"), file)
}

/// The same by another FFmpeg.
pub fn picture_hashes_by(program: &Path, file: &Path) -> Vec<String> {
    let output = Command::new(program)
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-map", "0:v", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaints}", file.display());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next())
        .map(|hash| hash.trim().to_owned())
        .collect()
}
