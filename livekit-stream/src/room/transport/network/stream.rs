//! A TCP stream of the WebRTC crate's runtime as one of tokio's, which TLS is laid over.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use webrtc::runtime::AsyncTcpStream;

use super::Boxed;

/// Bytes that are read at once.
const READ_LEN: usize = 16 * 1024;

/// Bytes that are written at once, and kept until they have been.
const WRITE_LEN: usize = 64 * 1024;

/// See the module. Every write is kept until it has gone out; flushing waits for that.
pub(super) struct TcpStream {
    stream: Arc<dyn AsyncTcpStream>,
    reading: Option<Boxed<'static, io::Result<Vec<u8>>>>,
    /// What was read, and how much of it was taken.
    read: Vec<u8>,
    taken: usize,
    writing: Option<Boxed<'static, io::Result<()>>>,
}

impl TcpStream {
    pub(super) fn new(stream: Arc<dyn AsyncTcpStream>) -> Self {
        Self {
            stream,
            reading: None,
            read: Vec::new(),
            taken: 0,
            writing: None,
        }
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(writing) = &mut self.writing {
            let written = ready!(writing.as_mut().poll(cx));
            self.writing = None;
            written?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.reading.is_some() || this.taken == this.read.len() {
            let reading = this.reading.get_or_insert_with(|| {
                let stream = Arc::clone(&this.stream);
                let mut bytes = std::mem::take(&mut this.read);
                this.taken = 0;
                Box::pin(async move {
                    bytes.resize(READ_LEN, 0);
                    let length = stream.read(&mut bytes).await?;
                    bytes.truncate(length);
                    Ok(bytes)
                })
            });
            let read = ready!(reading.as_mut().poll(cx));
            this.reading = None;
            this.read = read?;
        }
        let rest = &this.read[this.taken..];
        let length = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        this.taken += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    // The records of TLS go out together, among them the alert that tells why a handshake failed,
    // which nobody writes or flushes a second time.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_written(cx))?;
        let mut bytes = Vec::new();
        for slice in slices {
            let room = WRITE_LEN - bytes.len();
            bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        let length = bytes.len();
        let stream = Arc::clone(&self.stream);
        self.writing = Some(Box::pin(async move { stream.write_all(&bytes).await }));
        match self.poll_written(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(length)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_written(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_written(cx)
    }
}
