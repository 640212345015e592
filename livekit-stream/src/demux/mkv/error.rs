/// Bytes are no Matroska or WebM that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MkvError {
    /// The input ended before its first byte.
    #[error("the Matroska input is empty")]
    Empty,
    /// The input does not begin with an EBML header.
    #[error("no Matroska: it begins with {start:02x?} and not with an EBML header")]
    NotEbml {
        /// The first bytes, at most four.
        start: Vec<u8>,
    },
    /// An EBML document of another type.
    #[error("an EBML document of type {doc_type:?} is neither matroska nor webm")]
    DocType {
        /// The type, cut at 32 characters.
        doc_type: String,
    },
    /// The input ended before its tracks were described.
    #[error("the Matroska header is cut short: the input ended after {bytes} bytes")]
    TruncatedHeader {
        /// Bytes there were.
        bytes: u64,
    },
    /// A cluster came before any description of tracks.
    #[error("a cluster at byte {offset} comes before any track is described")]
    NoTracks {
        /// Where the cluster begins.
        offset: u64,
    },
    /// The header of an element in front of the first cluster makes no sense.
    #[error("no EBML element begins at byte {offset}: {start:02x?}")]
    Malformed {
        /// Where it was to begin.
        offset: u64,
        /// The bytes there, at most twelve.
        start: Vec<u8>,
    },
    /// What is inside an `Info` or `Tracks` makes no sense.
    #[error("{element}: {reason}")]
    Header {
        /// The element's name.
        element: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An element is longer than this reader takes.
    #[error("{element} of {size} bytes at byte {offset} is longer than the {limit} that are read")]
    TooLarge {
        /// The element's name.
        element: &'static str,
        /// Where it begins.
        offset: u64,
        /// The size it announces.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A second segment, as chained WebM has it, describes other tracks than the first.
    #[error("the tracks change in mid-stream, at byte {offset}")]
    TracksChanged {
        /// Where the new description begins.
        offset: u64,
    },
}
