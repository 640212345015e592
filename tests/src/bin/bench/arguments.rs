//! The command line.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

const USAGE: &str = "usage: bench chain [--baselines DIR] [--python PATH] [--recorder PATH] \
                     [--seconds N] [--rounds N] [--case h264|h265|vp8|vp9|av1|fmp4]...\n       \
                     bench mkv [ROUNDS]\n       \
                     bench receive [--seconds N] [--rounds N]\n       \
                     bench soak [--minutes N] [--seed N]";

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Command {
    /// Compare with the chain of today.
    Chain(Arguments),
    /// Compare with a loop that only counts packets.
    Receive(ReceiveArguments),
    /// Be one of the two; [`Receive`](Self::Receive) starts it.
    Receiver,
    /// Let people come and go.
    Soak(SoakArguments),
    /// Be the people; [`Soak`](Self::Soak) starts it.
    Crowd,
}

/// How a track is received.
#[derive(Debug)]
pub(crate) struct ReceiveArguments {
    /// How long processor time is counted; 20 s.
    pub(crate) window: Duration,
    /// How often the comparison is made; 5.
    pub(crate) rounds: usize,
}

/// How long people come and go.
#[derive(Debug)]
pub(crate) struct SoakArguments {
    /// An hour unless told otherwise by `--minutes`.
    pub(crate) length: Duration,
    /// Of all that happens at random; another each time unless given by `--seed`.
    pub(crate) seed: u64,
}

/// One comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Recording a participant whose H.264 is copied.
    H264,
    /// The same with H.265.
    H265,
    /// Recording a participant whose VP8 is transcoded.
    Vp8,
    /// Recording a participant whose VP9 is copied.
    Vp9,
    /// The same with AV1.
    Av1,
    /// Encoding RGB24 pictures to fragmented MP4.
    Fmp4,
}

#[derive(Debug)]
pub(crate) struct Arguments {
    /// Where the peers' scripts are: `--baselines`, else the environment's `BENCH_BASELINES`, else
    /// a folder `shared/baselines` beside the repository.
    pub(crate) baselines: PathBuf,
    /// A Python that has the scripts' requirements; `--python`, else `python3`.
    pub(crate) python: PathBuf,
    /// The command line program; built if it is not given.
    pub(crate) recorder: Option<PathBuf>,
    /// How long processor time is counted; 20 s.
    pub(crate) window: Duration,
    /// How often each comparison is made; 3.
    pub(crate) rounds: usize,
    /// Which comparisons; all.
    pub(crate) cases: Vec<Case>,
}

impl Command {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        match arguments.next().as_deref() {
            Some("chain") => Arguments::parse(arguments).map(Self::Chain),
            Some("receive") => ReceiveArguments::parse(arguments).map(Self::Receive),
            Some("receiver") => Ok(Self::Receiver),
            Some("soak") => SoakArguments::parse(arguments).map(Self::Soak),
            Some("crowd") => Ok(Self::Crowd),
            _ => Err(USAGE.to_owned()),
        }
    }
}

impl ReceiveArguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            window: Duration::from_secs(20),
            rounds: 5,
        };
        while let Some(option) = arguments.next() {
            let value = value(&option, arguments.next())?;
            match option.as_str() {
                "--seconds" => parsed.window = Duration::from_secs(number(&option, &value)?),
                "--rounds" => parsed.rounds = number(&option, &value)?,
                _ => return Err(format!("{option} is no option\n{USAGE}")),
            }
        }
        Ok(parsed)
    }
}

impl SoakArguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            length: Duration::from_secs(3600),
            seed: rand::random(),
        };
        while let Some(option) = arguments.next() {
            let value = value(&option, arguments.next())?;
            match option.as_str() {
                "--minutes" => {
                    let minutes: u32 = number(&option, &value)?;
                    parsed.length = Duration::from_secs(60) * minutes;
                }
                "--seed" => parsed.seed = number(&option, &value)?,
                _ => return Err(format!("{option} is no option\n{USAGE}")),
            }
        }
        Ok(parsed)
    }
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut parsed = Self {
            baselines: std::env::var_os("BENCH_BASELINES")
                .map_or_else(|| repository.join("../shared/baselines"), PathBuf::from),
            python: "python3".into(),
            recorder: None,
            window: Duration::from_secs(20),
            rounds: 3,
            cases: Vec::new(),
        };
        while let Some(option) = arguments.next() {
            let value = value(&option, arguments.next())?;
            match option.as_str() {
                "--baselines" => parsed.baselines = value.into(),
                "--python" => parsed.python = value.into(),
                "--recorder" => parsed.recorder = Some(value.into()),
                "--seconds" => parsed.window = Duration::from_secs(number(&option, &value)?),
                "--rounds" => parsed.rounds = number(&option, &value)?,
                "--case" => parsed.cases.push(match value.as_str() {
                    "h264" => Case::H264,
                    "h265" => Case::H265,
                    "vp8" => Case::Vp8,
                    "vp9" => Case::Vp9,
                    "av1" => Case::Av1,
                    "fmp4" => Case::Fmp4,
                    _ => return Err(format!("--case {value} is none\n{USAGE}")),
                }),
                _ => return Err(format!("{option} is no option\n{USAGE}")),
            }
        }
        if parsed.cases.is_empty() {
            parsed.cases = vec![
                Case::H264,
                Case::H265,
                Case::Vp8,
                Case::Vp9,
                Case::Av1,
                Case::Fmp4,
            ];
        }
        Ok(parsed)
    }
}

fn value(option: &str, value: Option<String>) -> Result<String, String> {
    value.ok_or_else(|| format!("{option} without a value\n{USAGE}"))
}

fn number<T: FromStr + Default + PartialEq + Display>(
    option: &str,
    value: &str,
) -> Result<T, String> {
    value
        .parse()
        .ok()
        .filter(|number| *number != T::default())
        .ok_or_else(|| format!("{option} {value} is no number above 0"))
}
