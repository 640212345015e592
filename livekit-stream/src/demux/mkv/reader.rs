use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::block::{Block, block};
use super::buffer::Buffer;
use super::ebml::{self, ElementHeader, Parsed, children, signed, unsigned};
use super::header::{self, Encoding, Header, Track, TrackKind};
use super::{
    Event, Frame, MAX_BLOCK_BYTES, MAX_HEADER_BYTES, MAX_UNKNOWN_BYTES, MkvError, Stats, id,
};

/// Reads Matroska and WebM without input of its own.
///
/// ```
/// use bytes::Bytes;
/// use livekit_stream::demux::mkv::{Event, MkvError, Reader};
///
/// let mut reader = Reader::new();
/// let mut frames = 0;
/// # let file: Vec<u8> = Vec::new();
/// for piece in file.chunks(1_000) {
///     reader.push(Bytes::copy_from_slice(piece));
///     while let Some(event) = reader.read()? {
///         match event {
///             Event::Header(header) => println!("{} tracks", header.tracks.len()),
///             Event::Frame(_) => frames += 1,
///         }
///     }
/// }
/// // Frames that only the end of the input completes, and whether it made sense at all.
/// reader.finish();
/// assert_eq!(reader.read(), Err(MkvError::Empty));
/// # Ok::<(), MkvError>(())
/// ```
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Buffer,
    /// Of the first byte in the buffer.
    position: u64,
    /// Bytes that are still to be passed over.
    skip: u64,
    finished: bool,
    /// Looking for the next cluster.
    lost: bool,
    doc_type: Option<String>,
    timestamp_scale: Option<u64>,
    duration_ns: Option<u64>,
    tracks: Option<Vec<Track>>,
    /// The header was given out.
    announced: bool,
    cluster: Option<Cluster>,
    frames: VecDeque<Frame>,
    stats: Stats,
}

#[derive(Debug, Clone, Copy)]
struct Cluster {
    /// `None` when its size is unknown.
    end: Option<u64>,
    timestamp: u64,
}

/// What becomes of an element.
enum Action {
    /// Its children are read next.
    Enter,
    /// It is read whole.
    Read,
    Skip,
}

impl Reader {
    /// A reader at the beginning of its input.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the input. They wait in memory until they are [read](Self::read).
    pub fn push(&mut self, bytes: Bytes) {
        self.buffer.push(bytes);
    }

    /// Says that no more bytes come.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// What was met so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            bytes: self.position,
            ..self.stats
        }
    }

    /// The next event. `None` until more bytes are pushed; after [`finish`](Self::finish), at the
    /// end.
    ///
    /// # Errors
    ///
    /// When the bytes are no Matroska, the header is damaged or cut short, an element is longer
    /// than what is read, or the tracks change. Damage behind the header is passed over and
    /// counted in [`stats`](Self::stats).
    pub fn read(&mut self) -> Result<Option<Event>, MkvError> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(Some(Event::Frame(frame)));
            }
            if self.skip > 0 {
                let skipped = self.buffer.skip(self.skip) as u64;
                self.position += skipped;
                self.skip -= skipped;
                if self.skip > 0 {
                    return self.end(true);
                }
            }
            if let Some(Cluster { end: Some(end), .. }) = self.cluster
                && self.position >= end
            {
                self.cluster = None;
            }
            if self.lost && !self.find_cluster() {
                return self.end(false);
            }
            let mut start = [0; ebml::MAX_HEADER];
            let available = self.buffer.peek(&mut start);
            let start = &start[..available];
            match ebml::header(start) {
                Parsed::Header(header) => {
                    if !self.element(header, start)? {
                        return self.end(true);
                    }
                    // As early as it can be: with the first cluster at the latest.
                    if self.cluster.is_some()
                        && let Some(header) = self.announce()
                    {
                        return Ok(Some(header));
                    }
                }
                Parsed::Incomplete => return self.end(available > 0),
                Parsed::Invalid => self.damaged(start)?,
            }
        }
    }

    /// What is to be said when no whole element is left.
    fn end(&mut self, is_inside: bool) -> Result<Option<Event>, MkvError> {
        if !self.finished {
            return Ok(None);
        }
        if let Some(header) = self.announce() {
            return Ok(Some(header));
        }
        if self.announced {
            self.stats.truncated |= is_inside;
            return Ok(None);
        }
        let bytes = self.position + self.buffer.len() as u64;
        let mut start = [0; 4];
        let available = self.buffer.peek(&mut start);
        if bytes == 0 {
            Err(MkvError::Empty)
        } else if self.position == 0 && !id::EBML.to_be_bytes().starts_with(&start[..available]) {
            Err(MkvError::NotEbml {
                start: start[..available].to_vec(),
            })
        } else {
            Err(MkvError::TruncatedHeader { bytes })
        }
    }

    fn announce(&mut self) -> Option<Event> {
        if self.announced {
            return None;
        }
        let header = Header {
            doc_type: self.doc_type.clone()?,
            timestamp_scale_ns: self.scale(),
            duration_ns: self.duration_ns,
            tracks: self.tracks.clone()?,
        };
        self.announced = true;
        Some(Event::Header(Box::new(header)))
    }

    fn scale(&self) -> u64 {
        self.timestamp_scale.unwrap_or(1_000_000)
    }

    /// Deals with the element whose header is next; `false` when it has to wait for more bytes.
    fn element(&mut self, header: ElementHeader, start: &[u8]) -> Result<bool, MkvError> {
        if self.doc_type.is_none() && header.id != id::EBML {
            return Err(MkvError::NotEbml {
                start: start[..start.len().min(4)].to_vec(),
            });
        }
        if id::is_top_level(header.id) {
            // What ends a cluster of unknown size, or of a wrong one.
            self.cluster = None;
        }
        let action = match header.id {
            id::SEGMENT | id::CLUSTER => Action::Enter,
            id::EBML | id::INFO | id::TRACKS => Action::Read,
            id::TIMESTAMP | id::SIMPLE_BLOCK | id::BLOCK_GROUP if self.cluster.is_some() => {
                Action::Read
            }
            _ => Action::Skip,
        };
        let offset = self.position;
        match (action, header.size) {
            (Action::Enter, size) => {
                self.advance(header.length);
                if header.id == id::CLUSTER {
                    if self.tracks.is_none() {
                        return Err(MkvError::NoTracks { offset });
                    }
                    self.cluster = Some(Cluster {
                        end: size.map(|size| self.position.saturating_add(size)),
                        timestamp: 0,
                    });
                }
            }
            (Action::Read, Some(size)) => {
                self.check_size(header.id, size)?;
                if self.overruns(header.length, size) {
                    self.damaged(start)?;
                    return Ok(true);
                }
                if (self.buffer.len() as u64) < header.length as u64 + size {
                    return Ok(false);
                }
                self.advance(header.length);
                let data = self.buffer.take(size as usize);
                self.position += size;
                self.whole(header.id, &data, offset)?;
            }
            (Action::Skip, Some(size)) => {
                let is_known =
                    id::is_top_level(header.id) || matches!(header.id, id::VOID | id::CRC_32);
                if self.overruns(header.length, size) || (!is_known && size > MAX_UNKNOWN_BYTES) {
                    self.damaged(start)?;
                } else {
                    self.advance(header.length);
                    self.skip = size;
                }
            }
            (Action::Read | Action::Skip, None) => self.damaged(start)?,
        }
        Ok(true)
    }

    fn advance(&mut self, count: usize) {
        self.position += self.buffer.skip(count as u64) as u64;
    }

    fn check_size(&self, id: u32, size: u64) -> Result<(), MkvError> {
        let limit = match id {
            id::SIMPLE_BLOCK | id::BLOCK_GROUP => MAX_BLOCK_BYTES,
            id::TIMESTAMP => 8,
            _ => MAX_HEADER_BYTES,
        };
        if size <= limit {
            return Ok(());
        }
        Err(MkvError::TooLarge {
            element: id::name(id),
            offset: self.position,
            size,
            limit,
        })
    }

    /// Whether an element goes on behind the end of the cluster it is in.
    fn overruns(&self, length: usize, size: u64) -> bool {
        let end = self.cluster.and_then(|cluster| cluster.end);
        let own_end = self
            .position
            .saturating_add(length as u64)
            .saturating_add(size);
        end.is_some_and(|end| own_end > end)
    }

    /// No element begins here. In front of the tracks that is an error, behind them the next
    /// cluster is looked for.
    fn damaged(&mut self, start: &[u8]) -> Result<(), MkvError> {
        if self.tracks.is_none() {
            let error = if self.doc_type.is_none() {
                MkvError::NotEbml {
                    start: start[..start.len().min(4)].to_vec(),
                }
            } else {
                MkvError::Malformed {
                    offset: self.position,
                    start: start.to_vec(),
                }
            };
            return Err(error);
        }
        self.cluster = None;
        self.lost = true;
        self.stats.damaged_bytes += 1;
        self.advance(1);
        Ok(())
    }

    /// Passes over bytes until a cluster begins; `false` when more are needed.
    fn find_cluster(&mut self) -> bool {
        const ID: [u8; 4] = id::CLUSTER.to_be_bytes();
        loop {
            let mut window = [0; 4_096];
            let available = self.buffer.peek(&mut window);
            let window = &window[..available];
            if let Some(at) = window.windows(ID.len()).position(|bytes| bytes == ID) {
                self.stats.damaged_bytes += at as u64;
                self.advance(at);
                self.lost = false;
                return true;
            }
            // An ID may have begun, unless nothing follows.
            let kept = if self.finished { 0 } else { ID.len() - 1 };
            let passed = available.saturating_sub(kept);
            self.stats.damaged_bytes += passed as u64;
            self.advance(passed);
            if passed == 0 {
                return false;
            }
        }
    }

    fn whole(&mut self, id: u32, data: &Bytes, offset: u64) -> Result<(), MkvError> {
        match id {
            id::EBML => self.doc_type = Some(header::doc_type(data)?),
            id::INFO => {
                let (scale, duration) = header::info(data)?;
                self.timestamp_scale = Some(scale);
                self.duration_ns = duration;
            }
            id::TRACKS => {
                let tracks = header::tracks(data)?;
                if self.announced && self.tracks.as_ref() != Some(&tracks) {
                    return Err(MkvError::TracksChanged { offset });
                }
                self.tracks = Some(tracks);
            }
            id::TIMESTAMP => {
                if let Some(cluster) = &mut self.cluster {
                    cluster.timestamp = unsigned(data);
                }
            }
            id::SIMPLE_BLOCK => match block(data) {
                Some(block) => self.frames_of(&block, block.keyframe, None, 0),
                None => self.stats.damaged_blocks += 1,
            },
            _ => self.block_group(data),
        }
        Ok(())
    }

    fn block_group(&mut self, data: &Bytes) {
        let (mut found, mut duration, mut keyframe, mut padding) = (None, None, true, 0);
        for child in children("BlockGroup", data) {
            match child {
                Ok((id::BLOCK, data)) => found = block(&data),
                Ok((id::BLOCK_DURATION, data)) => duration = Some(unsigned(&data)),
                Ok((id::REFERENCE_BLOCK, _)) => keyframe = false,
                Ok((id::DISCARD_PADDING, data)) => padding = signed(&data),
                Ok(_) => {}
                Err(_) => {
                    found = None;
                    break;
                }
            }
        }
        match found {
            Some(block) => self.frames_of(&block, keyframe, duration, padding),
            None => self.stats.damaged_blocks += 1,
        }
    }

    fn frames_of(&mut self, block: &Block, keyframe: bool, duration: Option<u64>, padding: i64) {
        let scale = self.scale();
        let base = self.cluster.map_or(0, |cluster| cluster.timestamp);
        let tracks = self.tracks.as_deref().unwrap_or_default();
        let Some(track) = tracks.iter().find(|track| track.number == block.track) else {
            self.stats.unknown_track += 1;
            return;
        };
        let ticks = i128::from(base) + i128::from(block.relative);
        let timestamp = ticks * i128::from(scale);
        let count = block.frames.len();
        let told = duration.map(|ticks| ticks.saturating_mul(scale) / count as u64);
        let each = track.default_duration_ns.or(told).filter(|ns| *ns > 0);
        let stripped = match &track.encoding {
            Encoding::HeaderStripping(stripped) => Some(stripped),
            _ => None,
        };
        for (index, data) in block.frames.iter().enumerate() {
            let behind = i128::from(each.unwrap_or(0)) * index as i128;
            self.frames.push_back(Frame {
                track: block.track,
                data: stripped.map_or_else(|| data.clone(), |start| joined(start, data)),
                timestamp_ns: clamp(timestamp + behind),
                duration_ns: told.filter(|ns| *ns > 0).or(each),
                keyframe: keyframe || track.kind == TrackKind::Audio,
                lace_index: index.min(255) as u8,
                discard_padding_ns: if index + 1 == count { padding } else { 0 },
            });
        }
    }
}

fn joined(start: &[u8], rest: &[u8]) -> Bytes {
    let mut whole = BytesMut::with_capacity(start.len() + rest.len());
    whole.extend_from_slice(start);
    whole.extend_from_slice(rest);
    whole.freeze()
}

fn clamp(ns: i128) -> i64 {
    ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}
