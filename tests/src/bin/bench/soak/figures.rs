//! What this process holds at the moment: tasks, threads, handles, memory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::ALLOCATOR;
use crate::table::median;

const MEBIBYTE: f64 = (1 << 20) as f64;
/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(250);
/// So many looks that are the same make a rest.
const SAME: usize = 8;
/// A rest that does not come in this time is measured as it is.
const DEADLINE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    pub(crate) counts: Counts,
    /// Resident memory in MiB.
    pub(crate) resident: f64,
    /// Memory that Rust code has allocated and not freed, in MiB. What C libraries and the
    /// allocator itself hold is not in it.
    pub(crate) heap: f64,
}

/// What can be counted exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tokio's tasks that have not ended.
    pub(crate) tasks: usize,
    pub(crate) threads: usize,
    /// Open handles by kind: `socket`, `file`, `pipe`, `eventpoll`, ...
    pub(crate) handles: BTreeMap<String, usize>,
}

impl Counts {
    pub(crate) fn now() -> Self {
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            threads: status("Threads:") as usize,
            handles: handles(),
        }
    }

    /// What there is more of than in `before`, in words.
    pub(crate) fn more_than(&self, before: &Self) -> Vec<String> {
        let name = |(kind, count): (&String, &usize)| (kind.clone(), *count);
        let all = |counts: &Self| {
            let mut all: BTreeMap<String, usize> = counts.handles.iter().map(name).collect();
            all.insert("task".to_owned(), counts.tasks);
            all.insert("thread".to_owned(), counts.threads);
            all
        };
        let before = all(before);
        let more = all(self).into_iter().filter_map(|(kind, count)| {
            let had = before.get(&kind).copied().unwrap_or(0);
            (count > had).then(|| format!("{had} of {kind} became {count}"))
        });
        more.collect()
    }
}

impl Figures {
    /// Waits until nothing changes any more, and there is no more than in `limit`, or the deadline.
    pub(crate) async fn at_rest(limit: Option<&Counts>) -> Self {
        let end = Instant::now() + DEADLINE;
        let mut last = Counts::now();
        let (mut same, mut resident, mut heap) = (0, Vec::new(), Vec::new());
        loop {
            tokio::time::sleep(INTERVAL).await;
            let now = Counts::now();
            let within = limit.is_none_or(|limit| now.more_than(limit).is_empty());
            if now == last && within {
                same += 1;
            } else {
                (same, last) = (0, now);
                resident.clear();
                heap.clear();
            }
            resident.push(status("VmRSS:") as f64 * 1024.0 / MEBIBYTE);
            heap.push(allocated());
            if same >= SAME || Instant::now() > end {
                return Self {
                    counts: last,
                    resident: median(resident),
                    heap: median(heap),
                };
            }
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            tasks,
            threads,
            handles,
        } = &self.counts;
        write!(f, "{tasks} tasks, {threads} threads")?;
        for (kind, count) in handles {
            write!(f, ", {count} {kind}")?;
        }
        let Self { resident, heap, .. } = self;
        write!(f, "; {resident:.1} MiB resident, {heap:.2} MiB of heap")
    }
}

/// MiB.
fn allocated() -> f64 {
    let stats = ALLOCATOR.stats();
    // Reallocations are counted apart, by the difference in size.
    let held = stats.bytes_allocated as i128 - stats.bytes_deallocated as i128;
    held as f64 / MEBIBYTE
}

/// A number of `/proc/self/status`.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn handles() -> BTreeMap<String, usize> {
    let mut handles = BTreeMap::new();
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten();
    for entry in entries.flatten() {
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let target = target.to_string_lossy();
        // The handle that reads the folder.
        if target.starts_with("/proc/") && target.ends_with("/fd") {
            continue;
        }
        let kind = match target.split_once(":[") {
            Some(("anon_inode", rest)) => rest.trim_end_matches(']'),
            Some((kind, _)) => kind,
            None => target.strip_prefix("anon_inode:").unwrap_or("file"),
        };
        *handles.entry(kind.to_owned()).or_default() += 1;
    }
    handles
}
