//! How long a client may leave what is written to it unread.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::shares::Turn;

/// How long a client may stall once the server is to stop: enough for a reader
/// that is slow, and little for whoever waits for the server to end.
const STALL_AT_SHUTDOWN: Duration = Duration::from_secs(1);

/// What times are counted from: an `Instant` fits into no atomic.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What a connection still owes its client.
#[derive(Clone)]
pub(super) struct Debts(Arc<Account>);

struct Account {
    owed: AtomicUsize,
    /// When something was last owed or came in, or the connection began: in
    /// nanoseconds of [`BEGINNING`].
    last_use: AtomicU64,
    /// Since when what is written is not read; 0: it is.
    stalled_since: AtomicU64,
}

/// Of how little use a connection is: the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// It has been owed nothing, and has sent nothing, since then.
    Idle(u64),
    /// It has not read what it is owed since then.
    Stalled(u64),
}

/// A request that was taken on whole and is not yet answered, or an answer that
/// waits for its reader; settled when it is dropped.
pub(super) struct Debt(Debts);

impl Debts {
    pub(super) fn owe(&self) -> Debt {
        self.0.owed.fetch_add(1, Relaxed);
        Debt(self.clone())
    }

    pub(super) fn are_settled(&self) -> bool {
        self.0.owed.load(Relaxed) == 0
    }

    /// `None` while an answer is being made or read.
    pub(super) fn little_use(&self) -> Option<Use> {
        match self.0.stalled_since.load(Relaxed) {
            0 if self.are_settled() => Some(Use::Idle(self.0.last_use.load(Relaxed))),
            0 => None,
            since => Some(Use::Stalled(since)),
        }
    }

    fn touch(&self) {
        self.0.last_use.store(now(), Relaxed);
    }
}

impl Default for Debts {
    fn default() -> Self {
        Self(Arc::new(Account {
            owed: AtomicUsize::new(0),
            last_use: AtomicU64::new(now()),
            stalled_since: AtomicU64::new(0),
        }))
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        let Debts(account) = &self.0;
        account.last_use.store(now(), Relaxed);
        account.owed.fetch_sub(1, Relaxed);
    }
}

fn now() -> u64 {
    u64::try_from(BEGINNING.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What is handed to hyper at once of the body of an answer: it takes the next part
/// when its client has read so much that there is room for it.
const PART_BYTES: usize = 64 << 10;

/// An answer whose body is owed until its last part has been taken, and keeps its place
/// among the calls until then.
pub(super) fn owed(response: Response, debt: Option<Debt>, turn: Option<Turn>) -> Response {
    response.map(|body| {
        Body::new(Owed {
            body,
            rest: Bytes::new(),
            _debt: debt,
            _turn: turn,
        })
    })
}

struct Owed {
    body: Body,
    /// What there is of its last frame.
    rest: Bytes,
    _debt: Option<Debt>,
    _turn: Option<Turn>,
}

impl HttpBody for Owed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let length = self.rest.len().min(PART_BYTES);
        let part = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let hint = self.body.size_hint();
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper + rest);
        }
        whole
    }
}

/// A stream on which a write fails that its reader keeps waiting for too long.
/// hyper has no such limit: without it, whoever never reads keeps a connection
/// for good.
pub(super) struct Patient<S> {
    stream: S,
    limit: Duration,
    stopping: CancellationToken,
    debts: Debts,
    /// There while a write is waiting.
    stall: Option<Stall>,
}

struct Stall {
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    _debt: Debt,
}

impl<S> Patient<S> {
    /// Gives up on a write that waits for `limit`, or for a second once the
    /// server is `stopping`.
    pub(super) fn new(
        stream: S,
        limit: Duration,
        stopping: CancellationToken,
        debts: Debts,
    ) -> Self {
        Self {
            stream,
            limit,
            stopping,
            debts,
            stall: None,
        }
    }

    /// What `progress` is, unless there is none and has been none for too long.
    fn check<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            if self.stall.take().is_some() {
                self.debts.0.stalled_since.store(0, Relaxed);
            }
            return progress;
        }
        let stall = self.stall.get_or_insert_with(|| {
            self.debts.0.stalled_since.store(now().max(1), Relaxed);
            Stall {
                over: Box::pin(run_out(self.limit, self.stopping.clone())),
                _debt: self.debts.owe(),
            }
        });
        ready!(stall.over.as_mut().poll(cx));
        let reason = "the client does not read";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)))
    }
}

async fn run_out(limit: Duration, stopping: CancellationToken) {
    if timeout(limit, stopping.cancelled()).await.is_ok() {
        sleep(limit.min(STALL_AT_SHUTDOWN)).await;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.debts.touch();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
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
        // Nothing to flush is no sign of a reader: a write that waits goes on
        // waiting.
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

    fn patient<S>(stream: S, limit: Duration) -> (Patient<S>, CancellationToken, Debts) {
        let (stopping, debts) = (CancellationToken::new(), Debts::default());
        let patient = Patient::new(stream, limit, stopping.clone(), debts.clone());
        (patient, stopping, debts)
    }

    #[tokio::test]
    async fn a_write_that_nobody_reads_fails() {
        let (stream, _unread) = duplex(16);
        let (mut stream, ..) = patient(stream, Duration::from_millis(20));
        let error = stream.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_reader_may_be_slow() {
        let (stream, mut reader) = duplex(1);
        let (mut stream, _, debts) = patient(stream, Duration::from_secs(60));
        let mut read = [0; 64];
        let (written, _) = tokio::join!(stream.write_all(&[7; 64]), reader.read_exact(&mut read));
        written.unwrap();
        assert_eq!(read, [7; 64]);
        assert!(debts.are_settled());
    }

    #[tokio::test]
    async fn a_stalled_write_is_owed_and_given_up_when_the_server_stops() {
        let (stream, _unread) = duplex(16);
        let (mut stream, stopping, debts) = patient(stream, Duration::from_secs(3600));
        let mut write = Box::pin(async move {
            let error = stream.write_all(&[0; 64]).await.unwrap_err();
            (stream, error)
        });
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(debts.little_use(), Some(Use::Idle(_))));
        assert!(write.as_mut().poll(&mut cx).is_pending());
        assert!(!debts.are_settled());
        // Who does not read has no claim to a place, though less is worth even less.
        let stalled = debts.little_use();
        assert!(matches!(stalled, Some(Use::Stalled(_))));
        assert!(Some(Use::Idle(u64::MAX)) < stalled);
        stopping.cancel();
        assert_eq!(write.await.1.kind(), io::ErrorKind::TimedOut);
    }
}
