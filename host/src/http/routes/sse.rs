//! Sends a response as a stream of events if notifications precede it.
//!
//! The form is decided when the first notification arrives: nothing has been sent
//! before, so a response without notifications is plain JSON.

use std::future::ready;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, stream};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

use crate::api::McpResponse;
use crate::embed::client::{Client, ClientHandle};
use crate::error::CallError;
use crate::http::body::{Body, Response};
use crate::http::respond::{Failed, Wording, plain};
use crate::trace;

/// Number of notifications queued for a slow reader; beyond it the component waits.
const QUEUE_LENGTH: usize = 16;

type Answer = Result<McpResponse, Failed>;

/// Responds with the notifications and the result of `call`. Should that end without a
/// result, `wording` is for the error.
pub(crate) async fn answer<C>(call: impl FnOnce(ClientHandle) -> C, wording: Wording) -> Response
where
    C: Future<Output = Answer> + Send + 'static,
{
    let (sender, mut notifications) = mpsc::channel(QUEUE_LENGTH);
    // Most calls end before any notification, and need no task of their own.
    let mut call = call(Arc::new(EventClient(sender))).boxed();
    let first = tokio::select! {
        biased;
        answer = &mut call => match notifications.try_recv() {
            Ok(first) => {
                call = ready(answer).boxed();
                first
            }
            Err(_) => return plain(answer),
        },
        Some(first) = notifications.recv() => first,
    };
    // A separate task: hyper does not poll the stream while the client is not reading,
    // and the call must reach its time limit regardless.
    let call = AbortOnDropHandle::new(tokio::spawn(trace::continued(call)));
    let events = events(Events {
        first: Some(first),
        notifications,
        call: Some(call),
        wording,
    });
    let mut response = Response::new(Body::stream(events));
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
fn events(events: Events) -> impl Stream<Item = Bytes> {
    stream::unfold(events, |mut events| async move {
        let data = events.next().await?;
        Some((event(&data), events))
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
        let ended = self.call.as_mut()?.await;
        let answer = ended.unwrap_or_else(|error| Err(self.unfinished(&error)));
        self.call = None;
        match answer {
            Ok(response) => Some(String::from_utf8_lossy(&response.body?).into_owned()),
            Err(Failed { wording, error }) => Some(wording.failure(&error)),
        }
    }

    fn unfinished(&self, error: &JoinError) -> Failed {
        error!(%error, "a call ended without a response");
        Failed {
            wording: self.wording.clone(),
            error: CallError::Trapped(error.to_string()),
        }
    }
}

/// Formats an event. A line feed ends a field of an event; in JSON it can only stand
/// between tokens, where a space means the same.
fn event(data: &str) -> Bytes {
    let data = data.replace(['\r', '\n'], " ");
    Bytes::from(format!("event: message\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

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
            Err(Failed {
                wording: Wording::default(),
                error: CallError::OutOfTime,
            })
        };
        let unread = answer(call, Wording::default()).await;
        end.await.unwrap();
        drop(unread);
    }

    #[tokio::test]
    async fn a_call_that_never_waits_sends_its_notifications_first() {
        let call = async |client: ClientHandle| {
            client.notify("1".to_owned()).await;
            client.notify("2".to_owned()).await;
            Ok(McpResponse {
                status: 200,
                headers: Vec::new(),
                body: Some(b"3".to_vec()),
            })
        };
        let streamed = answer(call, Wording::default()).await;
        let body = streamed.into_body().collect().await.unwrap().to_bytes();
        let expected: Vec<u8> = ["1", "2", "3"]
            .iter()
            .flat_map(|data| event(data))
            .collect();
        assert_eq!(body, expected);
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
