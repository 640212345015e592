//! Figures for people.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::process;

const DEADLINE: Duration = Duration::from_secs(20);

/// The share of the peer's cost that ours may have, in words and as a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target(pub(crate) &'static str, pub(crate) f64);

impl Target {
    /// Tells what the ratio is and whether it is reached.
    pub(crate) fn print(self, what: &str, ours: f64, theirs: f64) {
        let Self(words, limit) = self;
        let missed = if ours / theirs <= limit {
            ""
        } else {
            ", MISSED"
        };
        println!(
            "{what} ratio: 1/{:.1} (target {words}{missed})",
            theirs / ours
        );
    }
}

/// Prints rows of cells, the first row being the heads.
pub(crate) fn print(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(String::len).max().unwrap_or(0)
        })
        .collect();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                print!("{cell:width$}");
            } else {
                print!("  {cell:>width$}");
            }
        }
        println!();
    }
}

/// The middle one, or the mean of the two in the middle; 0 of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

/// What the figures were measured on.
pub(crate) fn print_machine() {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "machine: {model}, {cores} cores, Linux {}",
        read("/proc/sys/kernel/osrelease").trim()
    );
    let load = read("/proc/loadavg");
    let load = load
        .split_whitespace()
        .next()
        .unwrap_or("unknown")
        .to_owned();
    println!("load before the run: {load}");
    for (peer, argument) in [(Peer::LiveKit, "--version"), (Peer::Ffmpeg, "-version")] {
        let output = process::run(Command::new(peer.path()).arg(argument), DEADLINE);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{}", text.lines().next().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let middle = [median([3.0, 1.0, 2.0]), median([4.0, 1.0]), median([])];
        assert!(
            (middle[0] - 2.0).abs() + (middle[1] - 2.5).abs() + middle[2] < 1e-9,
            "{middle:?}"
        );
    }
}
