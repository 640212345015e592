use crate::encode::EncodeError;
use crate::frame::ConvertError;
use crate::mux::MuxError;
use crate::output::FileError;
use crate::output::rtmp::PublishError;
use crate::rtmp::UrlError;

/// An output could not be opened, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The address cannot be published to.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// An option is out of range.
    #[error("{option} = {value} is out of range: {allowed}")]
    OptionOutOfRange {
        /// The option's name.
        option: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Sockets need a Tokio runtime, and this was called outside of one.
    #[error("no Tokio runtime: open the output inside one")]
    NoRuntime,
    /// Every target failed for good. One that failed does not disturb the others.
    #[error("all RTMP targets failed: {}", .targets.iter().map(|(target, error)| format!("{target}: {error}")).collect::<Vec<_>>().join("; "))]
    AllTargetsFailed {
        /// Each target without its stream key, and why it failed.
        targets: Vec<(String, PublishError)>,
    },
    /// A frame cannot be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A picture or sound could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A picture could not be converted or scaled.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A track does not go into the container.
    #[error(transparent)]
    Mux(#[from] MuxError),
    /// The encoding thread could not be started.
    #[error("cannot start the encoding thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The output was closed, or has ended after an error.
    #[error("the output is closed")]
    Closed,
}
