//! The bodies of responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::admission::shares::Turn;
use super::admission::write_timeout::InFlightGuard;

/// A response of the server.
pub(crate) type Response = http::Response<Body>;

/// The body of a response. Until its last part has been taken, or it is dropped, it counts as
/// in flight, and keeps the call slot of its request.
#[derive(Default)]
pub(crate) struct Body {
    /// What was produced and not taken yet.
    rest: Bytes,
    /// What follows it, if the body is produced while it is sent.
    more: Option<Pin<Box<dyn Stream<Item = Bytes> + Send>>>,
    in_flight: Option<InFlightGuard>,
    turn: Option<Turn>,
}

/// Size of the parts that are passed to hyper, which asks for the next part once the client
/// has read enough to make room for it.
const PART_BYTES: usize = 64 << 10;

impl Body {
    /// Returns a body that is produced while it is sent.
    pub(crate) fn stream(parts: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self {
            more: Some(Box::pin(parts)),
            ..Self::default()
        }
    }

    /// Has the body count as in flight, if it does not yet.
    pub(crate) fn begin(&mut self, request: Option<InFlightGuard>) {
        self.in_flight = self.in_flight.take().or(request);
    }

    /// Has the body keep a call slot.
    pub(crate) fn keep(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(whole: B) -> Self {
        Self {
            rest: whole.into(),
            ..Self::default()
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        while self.rest.is_empty() {
            let Some(more) = &mut self.more else {
                return Poll::Ready(None);
            };
            match ready!(more.as_mut().poll_next(cx)) {
                Some(part) => self.rest = part,
                None => self.more = None,
            }
        }
        let length = self.rest.len().min(PART_BYTES);
        let part = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.more.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest);
        if self.more.is_none() {
            hint.set_upper(rest);
        }
        hint
    }
}
