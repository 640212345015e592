//! The command line.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

const USAGE: &str = "usage: bench chain [--baselines DIR] [--python PATH] [--recorder PATH] \
                     [--seconds N] [--rounds N] [--case h264|vp8|fmp4]...";

/// One comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Recording a participant whose H.264 is copied.
    H264,
    /// Recording a participant whose VP8 is transcoded.
    Vp8,
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

impl Arguments {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        if arguments.next().as_deref() != Some("chain") {
            return Err(USAGE.to_owned());
        }
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
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("{option} without a value\n{USAGE}"))?;
            match option.as_str() {
                "--baselines" => parsed.baselines = value.into(),
                "--python" => parsed.python = value.into(),
                "--recorder" => parsed.recorder = Some(value.into()),
                "--seconds" => parsed.window = Duration::from_secs(number(&option, &value)?),
                "--rounds" => parsed.rounds = number(&option, &value)?,
                "--case" => parsed.cases.push(match value.as_str() {
                    "h264" => Case::H264,
                    "vp8" => Case::Vp8,
                    "fmp4" => Case::Fmp4,
                    _ => return Err(format!("--case {value} is none\n{USAGE}")),
                }),
                _ => return Err(format!("{option} is no option\n{USAGE}")),
            }
        }
        if parsed.cases.is_empty() {
            parsed.cases = vec![Case::H264, Case::Vp8, Case::Fmp4];
        }
        Ok(parsed)
    }
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
