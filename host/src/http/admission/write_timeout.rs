//! Write timeouts for slow or stalled readers.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Write timeout once the server is stopping: long enough for a slow reader, and short
/// for the operator who waits for the server to exit.
const STALL_AT_SHUTDOWN: Duration = Duration::from_secs(1);

/// The origin of the recorded times, because an `Instant` does not fit into an atomic.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The requests in flight on a connection.
#[derive(Clone)]
pub(crate) struct InFlight(Arc<State>);

struct State {
    count: AtomicUsize,
    /// When the last request began or data last arrived, or the connection opened, in
    /// nanoseconds since [`START`].
    last_use: AtomicU64,
    /// Since when the client has not read what is written to it; 0 if it reads.
    stalled_since: AtomicU64,
}

/// Eviction order: idle connections first, then stalled ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Idleness {
    /// No request in flight, and no data received, since this time.
    Idle(u64),
    /// The response has not been read since this time.
    Stalled(u64),
}

/// A request that has arrived completely and whose response has not yet been read; it
/// ends on drop.
pub(crate) struct InFlightGuard(InFlight);

impl InFlight {
    pub(crate) fn begin(&self) -> InFlightGuard {
        self.0.count.fetch_add(1, Relaxed);
        InFlightGuard(self.clone())
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.0.count.load(Relaxed) == 0
    }

    /// Returns the rank for eviction, or `None` while a response is produced or read.
    pub(crate) fn eviction_rank(&self) -> Option<Idleness> {
        match self.0.stalled_since.load(Relaxed) {
            0 if self.is_idle() => Some(Idleness::Idle(self.0.last_use.load(Relaxed))),
            0 => None,
            since => Some(Idleness::Stalled(since)),
        }
    }

    fn touch(&self) {
        self.0.last_use.store(now(), Relaxed);
    }
}

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(State {
            count: AtomicUsize::new(0),
            last_use: AtomicU64::new(now()),
            stalled_since: AtomicU64::new(0),
        }))
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let InFlight(state) = &self.0;
        state.last_use.store(now(), Relaxed);
        state.count.fetch_sub(1, Relaxed);
    }
}

fn now() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A stream whose writes fail if the client does not read for too long. hyper has no
/// such limit: without it, a client that never reads could keep a connection forever.
pub(crate) struct WriteTimeout<S> {
    stream: S,
    limit: Duration,
    stopping: CancellationToken,
    in_flight: InFlight,
    /// Present while a write is waiting.
    stall: Option<Stall>,
}

struct Stall {
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    _guard: InFlightGuard,
}

impl<S> WriteTimeout<S> {
    /// Fails a write that has waited for `limit`, or for one second once the server is
    /// `stopping`.
    pub(crate) fn new(
        stream: S,
        limit: Duration,
        stopping: CancellationToken,
        in_flight: InFlight,
    ) -> Self {
        Self {
            stream,
            limit,
            stopping,
            in_flight,
            stall: None,
        }
    }

    /// Returns `progress`, or an error if it has been pending for too long.
    fn check<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            if self.stall.take().is_some() {
                self.in_flight.0.stalled_since.store(0, Relaxed);
            }
            return progress;
        }
        let stall = self.stall.get_or_insert_with(|| {
            self.in_flight.0.stalled_since.store(now().max(1), Relaxed);
            Stall {
                over: Box::pin(run_out(self.limit, self.stopping.clone())),
                _guard: self.in_flight.begin(),
            }
        });
        ready!(stall.over.as_mut().poll(cx));
        let reason = "the client is not reading";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)))
    }
}

async fn run_out(limit: Duration, stopping: CancellationToken) {
    if timeout(limit, stopping.cancelled()).await.is_ok() {
        sleep(limit.min(STALL_AT_SHUTDOWN)).await;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.in_flight.touch();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.check(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.check(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        // A flush with nothing to flush says nothing about the reader: a waiting write
        // goes on waiting.
        match flushed {
            Poll::Ready(Ok(())) => flushed,
            _ => self.check(cx, flushed),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    fn with_timeout<S>(
        stream: S,
        limit: Duration,
    ) -> (WriteTimeout<S>, CancellationToken, InFlight) {
        let (stopping, in_flight) = (CancellationToken::new(), InFlight::default());
        let patient = WriteTimeout::new(stream, limit, stopping.clone(), in_flight.clone());
        (patient, stopping, in_flight)
    }

    #[tokio::test]
    async fn an_unread_write_fails() {
        let (stream, _unread) = duplex(16);
        let (mut stream, ..) = with_timeout(stream, Duration::from_millis(20));
        let error = stream.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_reader_is_tolerated() {
        let (stream, mut reader) = duplex(1);
        let (mut stream, _, in_flight) = with_timeout(stream, Duration::from_secs(60));
        let mut read = [0; 64];
        let (written, _) = tokio::join!(stream.write_all(&[7; 64]), reader.read_exact(&mut read));
        written.unwrap();
        assert_eq!(read, [7; 64]);
        assert!(in_flight.is_idle());
    }

    #[tokio::test]
    async fn a_stalled_write_is_in_flight_and_aborted_at_shutdown() {
        let (stream, _unread) = duplex(16);
        let (mut stream, stopping, in_flight) = with_timeout(stream, Duration::from_secs(3600));
        let mut write = Box::pin(async move {
            let error = stream.write_all(&[0; 64]).await.unwrap_err();
            (stream, error)
        });
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(in_flight.eviction_rank(), Some(Idleness::Idle(_))));
        assert!(write.as_mut().poll(&mut cx).is_pending());
        assert!(!in_flight.is_idle());
        // A stalled connection may be evicted, but only after the idle ones.
        let stalled = in_flight.eviction_rank();
        assert!(matches!(stalled, Some(Idleness::Stalled(_))));
        assert!(Some(Idleness::Idle(u64::MAX)) < stalled);
        stopping.cancel();
        assert_eq!(write.await.1.kind(), io::ErrorKind::TimedOut);
    }
}
