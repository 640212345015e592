//! Where a media encoder writes.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;

use crate::rtmp::RtmpUrl;

/// Where a [`StreamingMediaEncoder`](super::StreamingMediaEncoder) writes: a path, an address, or
/// a writer. `Debug` and `Display` hide stream keys and whatever else an address holds.
pub struct Destination(pub(crate) Target);

pub(crate) enum Target {
    Path(PathBuf),
    Url(String),
    Writer(Box<dyn Write + Send>),
    AsyncWriter(Pin<Box<dyn AsyncWrite + Send>>),
}

impl Destination {
    /// Anything that bytes can be written to. It is never asked to seek.
    #[must_use]
    pub fn writer(writer: impl Write + Send + 'static) -> Self {
        Self(Target::Writer(Box::new(writer)))
    }

    /// Anything that bytes can be written to asynchronously, inside a Tokio runtime.
    #[must_use]
    pub fn async_writer(writer: impl AsyncWrite + Send + 'static) -> Self {
        Self(Target::AsyncWriter(Box::pin(writer)))
    }

    /// The name's end, which tells the container where no format is given.
    pub(crate) fn extension(&self) -> Option<String> {
        let path = match &self.0 {
            Target::Path(path) => path.as_path(),
            // What follows `?` is a query.
            Target::Url(url) => Path::new(url.split(['?', '#']).next().unwrap_or_default()),
            Target::Writer(_) | Target::AsyncWriter(_) => return None,
        };
        Some(path.extension()?.to_str()?.to_ascii_lowercase())
    }

    /// The address's scheme in lower case; `None` of a path or a writer.
    pub(crate) fn scheme(&self) -> Option<String> {
        match &self.0 {
            Target::Url(url) => Some(url.split(':').next()?.to_ascii_lowercase()),
            _ => None,
        }
    }
}

/// A path, or an address such as `rtmp://localhost/live/key`: what starts with a scheme and `://`.
/// `file:` is a path too.
impl From<&str> for Destination {
    fn from(name: &str) -> Self {
        if let Some(path) = name
            .strip_prefix("file://")
            .or_else(|| name.strip_prefix("file:"))
        {
            return Self(Target::Path(path.into()));
        }
        let is_scheme = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        };
        match name.split_once("://") {
            Some((scheme, _)) if is_scheme(scheme) => Self(Target::Url(name.to_owned())),
            _ => Self(Target::Path(name.into())),
        }
    }
}

impl From<String> for Destination {
    fn from(name: String) -> Self {
        name.as_str().into()
    }
}

impl From<PathBuf> for Destination {
    fn from(path: PathBuf) -> Self {
        Self(Target::Path(path))
    }
}

impl From<&Path> for Destination {
    fn from(path: &Path) -> Self {
        Self(Target::Path(path.to_owned()))
    }
}

impl From<&PathBuf> for Destination {
    fn from(path: &PathBuf) -> Self {
        Self(Target::Path(path.clone()))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            // Such as FFmpeg's "[f=flv]rtmp://host/app/key|copy.mp4".
            Target::Path(path) if path.to_string_lossy().contains("://") => f.write_str("***"),
            Target::Path(path) => path.display().fmt(f),
            Target::Url(url) => match RtmpUrl::parse(url) {
                Ok(url) => url.fmt(f),
                Err(_) => write!(f, "{}://***", self.scheme().unwrap_or_default()),
            },
            Target::Writer(_) | Target::AsyncWriter(_) => f.write_str("a writer"),
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({self})")
    }
}

/// An asynchronous writer on a thread that may wait.
pub(crate) struct Bridge {
    pub(crate) writer: Pin<Box<dyn AsyncWrite + Send>>,
    pub(crate) runtime: Handle,
}

impl Write for Bridge {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.runtime.block_on(self.writer.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.runtime.block_on(self.writer.flush())
    }
}

impl Bridge {
    /// Says that nothing more comes.
    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        self.runtime.block_on(self.writer.shutdown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hidden_wherever_they_stand() {
        for (text, shown) in [
            ("out.mp4", "out.mp4"),
            ("rtmp://host/app/key", "rtmp://host/app/***"),
            ("srt://host:9000?passphrase=key", "srt://***"),
            ("[f=flv]rtmp://host/app/key|out.mp4", "***"),
            ("async:rtmp://host/app/key", "***"),
        ] {
            assert_eq!(Destination::from(text).to_string(), shown);
        }
    }
}
