//! Sends a response as a stream of events if notifications precede it.
//!
//! The form is decided when the first notification arrives: nothing has been sent
//! before, so a response without notifications is plain JSON.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures_util::{Stream, stream};
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

use crate::api::McpResponse;
use crate::embed::client::{Client, ClientHandle};
use crate::error::CallError;
use crate::http::respond::Wording;
use crate::trace;

/// Number of notifications queued for a slow reader; beyond it the component waits.
const QUEUE_LENGTH: usize = 16;

type Answer = Result<McpResponse, CallError>;

/// Responds with the notifications and the result of `call`; `wording` is for an error.
pub(crate) async fn answer<C>(call: impl FnOnce(ClientHandle) -> C, wording: Wording) -> Response
where
    C: Future<Output = Answer> + Send + 'static,
{
    let (sender, mut notifications) = mpsc::channel(QUEUE_LENGTH);
    // A separate task: hyper does not poll the stream while the client is not reading,
    // and the call must reach its time limit regardless.
    let call = AbortOnDropHandle::new(tokio::spawn(trace::continued(call(Arc::new(EventClient(
        sender,
    ))))));
    // The channel closes once the call has released its client.
    let Some(first) = notifications.recv().await else {
        return wording.plain(joined(call.await));
    };
    let events = events(Events {
        first: Some(first),
        notifications,
        call: Some(call),
        wording,
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Reverse proxies that support this header would otherwise buffer events.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct EventClient(mpsc::Sender<String>);

#[async_trait]
impl Client for EventClient {
    async fn notify(&self, notification: String) {
        // The reader may have hung up, and then the notification is not needed.
        let _ = self.0.send(notification).await;
    }
}

struct Events {
    first: Option<String>,
    notifications: mpsc::Receiver<String>,
    /// The running call, or `None` once the response has been sent.
    call: Option<AbortOnDropHandle<Answer>>,
    wording: Wording,
}

/// Returns the stream of events. It owns the call: a client that hangs up drops both.
fn events(events: Events) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(events, |mut events| async move {
        let data = events.next().await?;
        Some((Ok(event(&data)), events))
    })
}

impl Events {
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if let Some(notification) = self.notifications.recv().await {
            return Some(notification);
        }
        let answer = joined(self.call.as_mut()?.await);
        self.call = None;
        match answer {
            Ok(response) => Some(String::from_utf8_lossy(&response.body?).into_owned()),
            Err(error) => Some(self.wording.failure(&error)),
        }
    }
}

fn joined(ended: Result<Answer, JoinError>) -> Answer {
    ended.unwrap_or_else(|error| {
        error!(%error, "a call ended without a response");
        Err(CallError::Trapped(error.to_string()))
    })
}

/// Formats an event. A line feed ends a field of an event; in JSON it can only stand
/// between tokens, where a space means the same.
fn event(data: &str) -> Bytes {
    let data = data.replace(['\r', '\n'], " ");
    Bytes::from(format!("event: message\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_data() {
        assert_eq!(
            event("{\n \"a\": 1\r\n}"),
            "event: message\ndata: {  \"a\": 1  }\n\n"
        );
    }

    #[tokio::test]
    async fn a_call_goes_on_while_the_stream_is_not_read() {
        let (ended, end) = tokio::sync::oneshot::channel();
        let call = async move |client: ClientHandle| {
            for _ in 0..QUEUE_LENGTH {
                client.notify(String::new()).await;
            }
            let _ = ended.send(());
            Err(CallError::OutOfTime)
        };
        let unread = answer(call, Wording::default()).await;
        end.await.unwrap();
        drop(unread);
    }

    #[tokio::test]
    async fn a_call_ends_with_its_stream() {
        let (alive, end) = tokio::sync::oneshot::channel::<()>();
        let call = async move |client: ClientHandle| {
            let _alive = alive;
            client.notify(String::new()).await;
            std::future::pending().await
        };
        drop(answer(call, Wording::default()).await);
        end.await.unwrap_err();
    }
}
