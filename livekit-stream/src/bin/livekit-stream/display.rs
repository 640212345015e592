//! What the user sees on stderr: live lines on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How often the lines of a terminal change.
const LIVE_INTERVAL: Duration = Duration::from_secs(1);
/// How often plain lines are written.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// The live lines; none but on a terminal.
fn bars() -> Option<&'static MultiProgress> {
    static BARS: OnceLock<Option<MultiProgress>> = OnceLock::new();
    BARS.get_or_init(|| io::stderr().is_terminal().then(MultiProgress::new))
        .as_ref()
}

/// Writes a line, above those that live.
pub(crate) fn say(text: &str) {
    let write = || {
        // Nobody may read it any more; that is no reason to stop recording.
        let _ = writeln!(io::stderr(), "{text}");
    };
    match bars() {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// A progress bar among the live lines; invisible but on a terminal.
pub(crate) fn bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    match bars() {
        Some(bars) => bars.add(ProgressBar::new(length).with_style(style)),
        None => ProgressBar::hidden(),
    }
}

/// Writes log lines above those that live.
#[derive(Debug, Default)]
pub(crate) struct LogWriter(Vec<u8>);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        say(String::from_utf8_lossy(&self.0).trim_end());
    }
}

/// One line for everything that goes on, by its name.
pub(crate) struct Display {
    lines: HashMap<String, ProgressBar>,
    next: Instant,
    interval: Duration,
}

impl Display {
    pub(crate) fn new(now: Instant) -> Self {
        let interval = if bars().is_some() {
            LIVE_INTERVAL
        } else {
            PLAIN_INTERVAL
        };
        Self {
            lines: HashMap::new(),
            next: now + interval,
            interval,
        }
    }

    /// Whether it is time to show something new.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Shows these lines, each after its name.
    pub(crate) fn show(&mut self, now: Instant, lines: Vec<(String, String)>) {
        self.next = now + self.interval;
        for (name, text) in lines {
            match bars() {
                Some(_) => {
                    let line = self
                        .lines
                        .entry(name.clone())
                        .or_insert_with(|| bar(0, "{spinner} {msg}"));
                    line.set_message(format!("{name}: {text}"));
                    line.tick();
                }
                None => say(&format!("{name}: {text}")),
            }
        }
    }

    /// Takes the live lines away.
    pub(crate) fn clear(&mut self) {
        for line in self.lines.values() {
            line.finish_and_clear();
        }
        self.lines.clear();
    }
}
