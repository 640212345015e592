//! The load: participants who join a room, mute, publish, leave and come back at random. They are a
//! process of their own, so that what they need is not counted as the library's.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The environment variable that has the [`Crowd`], as its tokens are in nobody's process list so.
const VARIABLE: &str = "BENCH_CROWD";

/// Few pictures a second, as the machine has two cores for everybody.
const FPS: u32 = 15;
const CLIP_SECONDS: u32 = 4;
/// The layers of a simulcast: width, height, kb/s.
const LAYERS: [(u32, u32, u32); 3] = [(160, 90, 60), (320, 180, 150), (640, 360, 400)];
/// The layer of those who have a single one.
const SINGLE: usize = 1;
/// Nobody joins when so little of the time is left.
const LAST_ENTRY: Duration = Duration::from_secs(3);
/// Nobody vanishes without a word later than so: the server needs up to 21 s to notice.
const LAST_VANISHING: Duration = Duration::from_secs(25);

/// What the process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Crowd {
    /// The server.
    pub(crate) url: String,
    /// Of the choices that are made.
    pub(crate) seed: u64,
    /// For how long.
    pub(crate) seconds: u64,
    /// The participants' tokens.
    pub(crate) tokens: Vec<String>,
}

/// The codec of the participant with this number. Most publish H.264, as three layers.
pub(crate) fn codec(number: usize) -> VideoCodec {
    match number % 10 {
        3 => VideoCodec::Vp8,
        5 => VideoCodec::Vp9,
        7 => VideoCodec::Av1,
        9 => VideoCodec::H265,
        _ => VideoCodec::H264,
    }
}

impl Crowd {
    /// The command that does it: this program again.
    pub(crate) fn command(&self) -> Command {
        let program = std::env::current_exe().expect("this program's path");
        let mut command = Command::new(program);
        let text = serde_json::to_string(self).expect("JSON");
        command.arg("crowd").env(VARIABLE, text);
        command
    }
}

/// Does what the environment says, until the time is over and everybody has left.
pub(crate) fn run() -> ExitCode {
    let crowd = std::env::var(VARIABLE).map_err(|error| error.to_string());
    let crowd = crowd.and_then(|text| serde_json::from_str(&text).map_err(|it| it.to_string()));
    let crowd: Crowd = match crowd {
        Ok(crowd) => crowd,
        Err(reason) => {
            eprintln!("error: {VARIABLE}: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a tokio runtime");
    let ended_well = runtime.block_on(async {
        let end = Instant::now() + Duration::from_secs(crowd.seconds);
        let mut members = JoinSet::new();
        for (number, token) in crowd.tokens.into_iter().enumerate() {
            let member = Member {
                url: crowd.url.clone(),
                token,
                camera: camera(codec(number)),
                microphone: PublishOptions::microphone(AudioClip::make(CLIP_SECONDS)),
                random: StdRng::seed_from_u64(crowd.seed.wrapping_add(number as u64)),
                end,
            };
            members.spawn(member.live());
        }
        let ends = members.join_all();
        // A member that panicked has taken this task with it.
        ends.await;
        true
    });
    if ended_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Makes the clips, which takes its time the first time.
pub(crate) fn prepare() {
    for number in 0..10 {
        camera(codec(number));
    }
    AudioClip::make(CLIP_SECONDS);
}

fn camera(codec: VideoCodec) -> PublishOptions {
    let clip = |layer: usize| {
        let (width, height, kbps) = LAYERS[layer];
        let options = VideoOptions::of(codec).size(width, height).fps(FPS);
        VideoClip::make(options.kbps(kbps, 0).seconds(CLIP_SECONDS))
    };
    match codec {
        VideoCodec::H264 | VideoCodec::Vp8 => {
            PublishOptions::camera(clip(2)).with_lower_layers(vec![clip(0), clip(1)])
        }
        VideoCodec::H265 | VideoCodec::Vp9 | VideoCodec::Av1 => {
            PublishOptions::camera(clip(SINGLE))
        }
    }
}

struct Member {
    url: String,
    token: String,
    camera: PublishOptions,
    microphone: PublishOptions,
    random: StdRng,
    end: Instant,
}

/// Something published, and whether it is muted.
struct Device {
    track: PublishedTrack,
    muted: bool,
}

impl Member {
    async fn live(mut self) {
        self.pause(0, 3000).await;
        while self.left() > LAST_ENTRY {
            self.visit().await;
            self.pause(200, 3000).await;
        }
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    async fn pause(&mut self, least_ms: u64, most_ms: u64) {
        sleep(Duration::from_millis(
            self.random.random_range(least_ms..most_ms),
        ))
        .await;
    }

    /// From one joining to the leaving.
    async fn visit(&mut self) {
        let publisher = Publisher::join(&self.url, &self.token).await;
        let both = [self.camera.clone(), self.microphone.clone()];
        let tracks = publisher.publish_all(both.to_vec()).await;
        let devices = tracks.into_iter().map(|track| {
            Some(Device {
                track,
                muted: false,
            })
        });
        let mut devices: Vec<Option<Device>> = devices.collect();
        loop {
            self.pause(300, 3000).await;
            if self.left().is_zero() || self.random.random_ratio(1, 10) {
                break;
            }
            let index = self.random.random_range(0..devices.len());
            let republish = self.random.random_ratio(2, 5);
            devices[index] = match devices[index].take() {
                None => Some(Device {
                    track: publisher.publish(both[index].clone()).await,
                    muted: false,
                }),
                Some(device) if republish => {
                    publisher.unpublish(device.track).await;
                    None
                }
                Some(mut device) => {
                    device.muted = !device.muted;
                    publisher.set_muted(&device.track, device.muted).await;
                    Some(device)
                }
            };
        }
        if self.left() > LAST_VANISHING && self.random.random_ratio(1, 20) {
            publisher.abort().await;
        } else {
            drop(devices);
            publisher.leave().await;
        }
    }
}
