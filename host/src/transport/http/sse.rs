//! The answer as a stream of events, if there is anything to send before it.
//!
//! Whether there is shows only when the first notification comes: until then
//! nothing has been sent, and an answer without notifications is plain JSON.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use futures_util::future::BoxFuture;
use futures_util::{Stream, stream};
use serde_json::Value;
use tokio::sync::mpsc;

use super::mcp::plain;
use crate::api::{McpRequest, McpResponse};
use crate::call::CallError;
use crate::client::Client;
use crate::sandbox::Plugin;
use crate::transport::id_of;

/// Notifications that wait for a slow reader; the component waits for the next.
const WAITING: usize = 16;

type Answer = Result<McpResponse, CallError>;

pub(super) async fn answer(plugin: &Plugin, message: McpRequest, request: Bytes) -> Response {
    let (sender, mut notifications) = mpsc::channel(WAITING);
    let plugin = plugin.clone();
    let mut call: BoxFuture<'static, Answer> =
        Box::pin(async move { plugin.handle(message, Arc::new(EventClient(sender))).await });
    let first = tokio::select! {
        biased;
        Some(first) = notifications.recv() => first,
        answer = &mut call => match notifications.try_recv() {
            Ok(first) => {
                call = Box::pin(std::future::ready(answer));
                first
            }
            Err(_) => return plain(answer, &request),
        },
    };
    let events = events(Events {
        first: Some(first),
        notifications,
        call: Some(call),
        request,
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Reverse proxies that know it would otherwise hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct EventClient(mpsc::Sender<String>);

#[async_trait]
impl Client for EventClient {
    async fn notify(&self, notification: String) {
        // The reader may have hung up, and then nobody misses it.
        let _ = self.0.send(notification).await;
    }
}

struct Events {
    first: Option<String>,
    notifications: mpsc::Receiver<String>,
    /// `None`: the answer has been sent.
    call: Option<BoxFuture<'static, Answer>>,
    request: Bytes,
}

/// The stream owns the call: a client that hangs up drops both.
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
        let call = self.call.as_mut()?;
        let answer = tokio::select! {
            biased;
            Some(notification) = self.notifications.recv() => return Some(notification),
            answer = call => answer,
        };
        match self.notifications.try_recv() {
            Ok(notification) => {
                self.call = Some(Box::pin(std::future::ready(answer)));
                Some(notification)
            }
            Err(_) => {
                self.call = None;
                self.last(answer)
            }
        }
    }

    fn last(&self, answer: Answer) -> Option<String> {
        match answer {
            Ok(response) => Some(String::from_utf8_lossy(&response.body?).into_owned()),
            Err(error) => {
                let id = id_of(&self.request).unwrap_or(Value::Null);
                Some(error.to_json_rpc(id).to_string())
            }
        }
    }
}

/// A line feed ends a field of an event. In JSON it can only stand between
/// tokens, where a blank means the same.
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
}
