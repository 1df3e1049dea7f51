//! Closes connections so that the client can read its last response.
//!
//! A client may still be sending when it is refused. If the server closed at once, the
//! system would reset the connection, and a client that is reset stops before it reads the
//! response. So the server first closes its own direction, then discards what arrives until
//! the client closes too (RFC 9112 section 9.6).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a client may take to close its direction.
const LINGER: Duration = Duration::from_secs(2);
/// The most bytes that are discarded for it.
const MAX_DISCARDED: usize = 1 << 20;

/// A stream whose shutdown waits for the end of the client's direction, within limits.
pub(super) struct LingeringClose<S> {
    stream: S,
    /// Whether the client has closed its direction.
    has_ended: bool,
    /// Ends the wait. Set once the server's own direction is closed.
    deadline: Option<Pin<Box<Sleep>>>,
    discarded: usize,
}

impl<S> LingeringClose<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            has_ended: false,
            deadline: None,
            discarded: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LingeringClose<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.has_ended = buffer.filled().len() == before && buffer.remaining() > 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LingeringClose<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.deadline.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let deadline = this.deadline.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; 4096];
        while !this.has_ended && this.discarded < MAX_DISCARDED {
            let mut buffer = ReadBuf::new(&mut bytes);
            // A connection that fails needs no more waiting.
            if ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer)).is_err() {
                break;
            }
            this.has_ended = buffer.filled().is_empty();
            this.discarded += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
