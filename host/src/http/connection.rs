//! One connection, from its handshake to its last response.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::header::CONNECTION;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::admission::connection_limit::ConnectionSlot;
use super::admission::write_timeout::{InFlight, WriteTimeout};
use super::app::{App, Caller};
use super::body::Body;
use super::lingering_close::LingeringClose;
use super::router::answer;
use super::security::request_head::Heads;
use super::security::tls::{self, Tls};

/// The state that all connections of a server share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connections {
    app: Arc<App>,
    protocol: http1::Builder,
    tls: Option<Tls>,
}

impl Connections {
    pub(super) fn new(app: Arc<App>, tls: Option<Tls>) -> Self {
        let limits = app.plugin.limits();
        let mut protocol = http1::Builder::new();
        protocol
            .timer(TokioTimer::new())
            // hyper panics below this size.
            .max_buf_size(limits.connection_buffer_bytes.max(8 << 10))
            .header_read_timeout(limits.header_read);
        Self { app, protocol, tls }
    }

    /// Serves a connection until it ends, or until another one needs its slot.
    pub(super) async fn serve(self, stream: TcpStream, peer: SocketAddr, slot: ConnectionSlot) {
        let in_flight = slot.in_flight().clone();
        let stream = WriteTimeout::new(
            stream,
            self.app.plugin.limits().response_write,
            self.app.stopping.clone(),
            in_flight.clone(),
        );
        tokio::select! {
            biased;
            () = slot.evicted() => debug!(%peer, "a connection was closed to make room for another"),
            () = self.secure_and_exchange(stream, Caller { peer, in_flight }) => {}
        }
    }

    async fn secure_and_exchange(&self, stream: WriteTimeout<TcpStream>, caller: Caller) {
        let timeout = self.app.plugin.limits().header_read;
        let secured = tokio::select! {
            secured = tls::secure(self.tls.as_ref(), stream, timeout) => secured,
            // A connection that is still in its handshake has no request in flight.
            () = self.app.stopping.cancelled() => return,
        };
        match secured {
            Ok(stream) => self.exchange(stream, caller).await,
            Err(error) => debug!(peer = %caller.peer, %error, "the TLS handshake failed"),
        }
    }

    /// Answers the requests of a connection, one after another.
    async fn exchange<S>(&self, stream: S, caller: Caller)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Caller { peer, in_flight } = &caller;
        let stream = Heads::new(LingeringClose::new(stream));
        let body_length = stream.body_length();
        let service = service_fn(|request: Request<Incoming>| {
            // Noted immediately: the next byte read may belong to the body.
            let is_last = !body_length.note(request.body());
            // hyper moves the future of each response several times.
            let answer = Box::pin(answer(&self.app, &caller, request));
            async move {
                let mut response = answer.await;
                // A client that sends its next request at once would keep this thread, and
                // be woken for every single response, while others wait.
                yield_now().await;
                if is_last {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let connection = self
            .protocol
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = drive(connection, in_flight, &self.app.stopping).await {
            debug!(%peer, %error, "a connection failed");
        }
    }
}

/// Serves a connection to its end or, once the server is `stopping`, until its last
/// response is sent. Does not wait for a client that has not sent its whole request.
async fn drive<I, S>(
    connection: http1::Connection<I, S>,
    in_flight: &InFlight,
    stopping: &CancellationToken,
) -> hyper::Result<()>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // The requests in flight change only while the connection is polled, so every
    // change wakes this future too.
    poll_fn(|cx| match connection.as_mut().poll(cx) {
        Poll::Pending if !in_flight.is_idle() => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok(())),
        ended => ended,
    })
    .await
}
