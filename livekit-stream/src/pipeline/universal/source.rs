//! The source's pieces for a reader that waits.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::channel::mpsc;
use futures::executor::block_on;

/// What is known of a source beside its bytes.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) bytes: u64,
    pub(super) error: Option<io::Error>,
}

pub(super) type SharedState = Arc<Mutex<State>>;

/// Reads what comes; waits for more on the thread that reads.
pub(super) struct Pieces {
    received: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
    state: SharedState,
}

impl Pieces {
    pub(super) fn new(received: mpsc::Receiver<io::Result<Bytes>>, state: SharedState) -> Self {
        Self {
            received,
            rest: Bytes::new(),
            state,
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match block_on(self.received.next()) {
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(error)) => {
                    let kind = error.kind();
                    lock(&self.state).error.get_or_insert(error);
                    // What FFmpeg would make of some kinds, trying again, is not meant.
                    return Err(match kind {
                        io::ErrorKind::Interrupted => io::Error::other("interrupted"),
                        kind => kind.into(),
                    });
                }
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        lock(&self.state).bytes += length as u64;
        Ok(length)
    }
}

pub(super) fn lock(state: &SharedState) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
