//! Child processes that cannot outlive their test, and what they cost.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How often a deadline's condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// A running child in a process group of its own, killed as a group when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`; its input is empty, its outputs go where the command says.
    pub fn spawn(command: &mut Command) -> Self {
        Self::start(command.stdin(Stdio::null()))
    }

    /// The same with an input that can be written to.
    pub fn spawn_with_input(command: &mut Command) -> (Self, ChildStdin) {
        let mut process = Self::start(command.stdin(Stdio::piped()));
        let input = process.child.stdin.take().expect("its input is a pipe");
        (process, input)
    }

    fn start(command: &mut Command) -> Self {
        let child = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self {
            child,
            status: None,
        }
    }

    /// The process id, which is also its group's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, once it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("the child can be waited for");
        }
        self.status
    }

    /// Waits for the end; `None` when the deadline passes first.
    pub async fn wait(&mut self, deadline: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.exited() {
                return Some(status);
            }
            if Instant::now() > end {
                return None;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&mut self) {
        self.signal(Signal::INT);
    }

    /// Asks it to end, as a service manager does.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Stops and continues it, with all its sockets open.
    pub fn set_frozen(&mut self, frozen: bool) {
        self.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// Ends it and its children at once, as `kill -9` does.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if self.status.is_none() {
            self.status = self.child.wait().ok();
        }
    }

    fn signal(&mut self, signal: Signal) {
        // Once the leader has been reaped its number may belong to somebody else.
        if self.exited().is_none()
            && let Some(group) = Pid::from_raw(self.child.id() as i32)
        {
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    /// Processor time and memory of the process and all its descendants.
    pub fn usage(&self) -> Usage {
        usage(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a finished child said.
#[derive(Debug)]
pub struct Output {
    /// How it ended; `None` when the deadline passed and it was killed.
    pub status: Option<ExitStatus>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it ended by itself with exit code 0.
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Runs `command` to its end, at most until the deadline. Blocks the calling thread.
pub fn run(command: &mut Command, deadline: Duration) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(command);
    let stdout = collect(process.child.stdout.take());
    let stderr = collect(process.child.stderr.take());
    let end = Instant::now() + deadline;
    while process.exited().is_none() && Instant::now() < end {
        thread::sleep(POLL);
    }
    let status = process.exited();
    drop(process);
    Output {
        status,
        stdout: stdout.join().expect("the child's output is read"),
        stderr: String::from_utf8_lossy(&stderr.join().expect("the child's errors are read"))
            .into_owned(),
    }
}

/// [`run`] for a command whose failure is the test's: returns its standard output.
pub fn run_ok(command: &mut Command, deadline: Duration) -> Vec<u8> {
    let output = run(command, deadline);
    assert!(
        output.success(),
        "{command:?} ended with {:?}: {}",
        output.status,
        output.stderr
    );
    output.stdout
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// What a process tree has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time, descendants that have ended included.
    pub cpu: Duration,
    /// Resident memory in bytes, shared pages counted in each process.
    pub rss: u64,
    /// The sum of each living process's own peak of resident memory, in bytes.
    pub peak_rss: u64,
}

/// Processor time and memory of a process and all its descendants, from `/proc` (proc(5)).
pub fn usage(pid: u32) -> Usage {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut each: HashMap<u32, Usage> = HashMap::new();
    for entry in fs::read_dir("/proc").expect("/proc is mounted").flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some((parent, usage)) = stat(id) {
            children.entry(parent).or_default().push(id);
            each.insert(id, usage);
        }
    }
    let mut total = Usage::default();
    let mut open = vec![pid];
    while let Some(id) = open.pop() {
        let usage = each.get(&id).copied().unwrap_or_default();
        total.cpu += usage.cpu;
        total.rss += usage.rss;
        total.peak_rss += peak_rss(id).unwrap_or(usage.rss);
        open.extend(children.remove(&id).unwrap_or_default());
    }
    total
}

fn stat(pid: u32) -> Option<(u32, Usage)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may itself hold spaces and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks: u64 = (14..=17).map(|number| field(number).unwrap_or(0)).sum();
    let cpu = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Some((
        field(4)? as u32,
        Usage {
            cpu: Duration::from_secs_f64(cpu),
            rss: field(24)? * rustix::param::page_size() as u64,
            peak_rss: 0,
        },
    ))
}

fn peak_rss(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_past_its_deadline_is_killed_with_its_children() {
        let start = Instant::now();
        let mut command = Command::new("sh");
        // The pipes close only when the inner sleep is dead too.
        command.args(["-c", "echo begun; sleep 60; true"]);
        let output = run(&mut command, Duration::from_secs(3));
        assert_eq!(
            (output.status, output.stdout.as_slice()),
            (None, &b"begun\n"[..])
        );
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn usage_counts_the_whole_tree() {
        let mut command = Command::new("sh");
        let process = Process::spawn(command.args(["-c", "sh -c 'while :; do :; done'; true"]));
        let end = Instant::now() + Duration::from_secs(30);
        while process.usage().cpu < Duration::from_millis(50) {
            assert!(Instant::now() < end, "{:?}", process.usage());
            thread::sleep(POLL);
        }
        let usage = process.usage();
        assert!(usage.rss > 100_000 && usage.peak_rss > 100_000, "{usage:?}");
    }
}
