//! Why a command ends without success: one line that says what to do, and an exit code.

use std::error::Error;
use std::fmt;

/// The exit code of a command that failed.
const FAILED: u8 = 1;
/// The exit code of a command that was called wrongly; clap uses the same.
const USAGE: u8 = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    exit_code: u8,
}

impl Failure {
    /// The command line asks for what cannot be.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(&text.into(), USAGE)
    }

    /// Something failed.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::new(&text.into(), FAILED)
    }

    /// An error with its causes, after what was attempted.
    pub(crate) fn of(attempt: &str, error: &dyn Error) -> Self {
        Self::failed(format!("{attempt}: {}", causes(error)))
    }

    /// What clap says, in one line; `None` for help and version, which are no failures.
    pub(crate) fn of_command_line(error: &clap::Error) -> Option<Self> {
        use clap::error::ErrorKind::{
            DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion,
        };
        if matches!(
            error.kind(),
            DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand
        ) {
            return None;
        }
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let mut parts: Vec<String> = Vec::new();
        for paragraph in text.split("\n\n") {
            // What follows is the same for every error: the usage, and where help is.
            if paragraph.starts_with("Usage:") || paragraph.starts_with("For more information") {
                break;
            }
            let words = paragraph.split_whitespace().map(without_address);
            parts.push(words.collect::<Vec<_>>().join(" "));
        }
        parts.push("see --help".to_owned());
        Some(Self::usage(parts.join("; ")))
    }

    fn new(text: &str, exit_code: u8) -> Self {
        // Servers' answers may have several lines.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { text, exit_code }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A word of the command line that is an address may hold a stream key: its scheme alone is told.
fn without_address(word: &str) -> String {
    match word.split_once("://") {
        Some((scheme, rest)) => {
            let quote = if rest.ends_with('\'') { "'" } else { "" };
            format!("{scheme}://...{quote}")
        }
        None => word.to_owned(),
    }
}

/// An error and its causes, joined by colons; a cause that is told already is not told twice.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let told = cause.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{outer}")]
    struct Chain {
        outer: &'static str,
        #[source]
        inner: std::io::Error,
    }

    #[test]
    fn causes_are_told_once() {
        let inner = || std::io::Error::other("no space");
        let silent = Chain {
            outer: "cannot write",
            inner: inner(),
        };
        assert_eq!(causes(&silent), "cannot write: no space");
        let telling = Chain {
            outer: "cannot write: no space",
            inner: inner(),
        };
        assert_eq!(causes(&telling), "cannot write: no space");
    }

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::failed("the server said\n  no\n");
        assert_eq!(failure.to_string(), "the server said no");
    }
}
