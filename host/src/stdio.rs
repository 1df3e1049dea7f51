//! MCP over standard input and output, one JSON message per line. The component decides
//! the meaning of messages.

mod lines;
mod scope;

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::api::{Field, McpRequest};
use crate::error::invalid_request;
use crate::outline::message_id;
use crate::plugin::Plugin;
use crate::printable::printable_json;
use lines::{Line, Lines};
use scope::{Request, Scope};

/// The header field with the id of a session.
const SESSION: &str = "mcp-session-id";

/// Number of lines that may wait to be written; further writers wait.
const WAITING: usize = 64;

/// Answers the messages from `input` on `output` until the input ends or `shutdown`
/// completes, then finishes the requests in flight, for at most
/// [`Limits::shutdown`](crate::Limits::shutdown).
pub async fn serve(
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
    plugin: Plugin,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let limits = plugin.limits().clone();
    let (sender, receiver) = mpsc::channel(WAITING);
    let writer = tokio::spawn(write(output, receiver));
    let connection = Arc::new(Connection {
        plugin,
        scope: Arc::new(Scope::new(sender.clone())),
        places: Arc::new(Semaphore::new(limits.stdio_concurrent_messages as usize)),
        tasks: TaskTracker::new(),
    });

    let mut lines = Lines::new(BufReader::new(input), limits.body_bytes);
    let read = tokio::select! {
        read = connection.read(&mut lines) => read,
        () = shutdown => Ok(()),
        // The client has closed the output.
        () = sender.closed() => Ok(()),
    };
    drop(sender);
    connection.tasks.close();
    // One deadline for both: a client that does not read delays either.
    let deadline = Instant::now() + limits.shutdown;
    if timeout_at(deadline, connection.tasks.wait()).await.is_err() {
        warn!("some messages were not answered in time and were abandoned");
    }
    drop(connection);
    let written = timeout_at(deadline, writer).await;
    read?;
    match written {
        Ok(Ok(written)) => written,
        Ok(Err(join)) => Err(io::Error::other(join)),
        Err(elapsed) => Err(elapsed.into()),
    }
}

struct Connection {
    plugin: Plugin,
    scope: Arc<Scope>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Connection {
    async fn read<R: AsyncRead + Unpin>(
        self: &Arc<Self>,
        lines: &mut Lines<BufReader<R>>,
    ) -> io::Result<()> {
        loop {
            match lines.next().await? {
                Line::End => return Ok(()),
                Line::Whole(line) if line.trim_ascii().is_empty() => {}
                Line::Whole(line) => self.begin(line).await,
                Line::TooLong => {
                    let limit = self.plugin.limits().body_bytes;
                    let message = format!("a message may have at most {limit} bytes");
                    let error = invalid_request(&message);
                    let answer = json!({"jsonrpc": "2.0", "id": null, "error": error});
                    self.scope.write(answer.to_string()).await;
                }
            }
        }
    }

    /// Waits for a free slot, so that a client that writes faster than it is answered
    /// has to wait.
    async fn begin(self: &Arc<Self>, message: Vec<u8>) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return;
        };
        let connection = Arc::clone(self);
        let is_initialize = is_initialize(&message);
        let answered = self.tasks.spawn(async move {
            connection.answer(message, is_initialize).await;
            drop(place);
        });
        // The negotiated version applies to every message after it.
        if is_initialize {
            let _ = answered.await;
        }
    }

    async fn answer(&self, message: Vec<u8>, is_initialize: bool) {
        let request = Arc::new(Request::new(Arc::clone(&self.scope)));
        let id = message_id(&message);
        // A client over HTTP sends them with each message.
        let known = [
            ("mcp-protocol-version", self.scope.protocol_version()),
            (SESSION, self.scope.session_id()),
        ];
        let headers = known.into_iter().filter_map(|(name, value)| {
            Some(Field {
                name: name.to_owned(),
                value: value?,
            })
        });
        let call = self.plugin.handle(
            McpRequest {
                headers: headers.collect(),
                body: message,
            },
            Arc::clone(&request) as _,
        );
        let answer = tokio::select! {
            biased;
            () = request.cancelled() => None,
            answer = call => match answer {
                Ok(response) => {
                    if is_initialize {
                        let mut fields = response.headers.into_iter();
                        let session = fields.find(|field| field.name == SESSION);
                        self.scope.set_session_id(session.map(|field| field.value));
                    }
                    response.body.map(|body| String::from_utf8_lossy(&body).into_owned())
                }
                Err(error) => id.map(|id| error.to_json_rpc(id).to_string()),
            },
        };
        request.ended();
        if let Some(answer) = answer {
            if is_initialize && let Some(version) = agreed_version(&answer) {
                self.scope.set_protocol_version(version);
            }
            self.scope.write(answer).await;
        }
    }
}

/// Returns whether a message is an `initialize` request. Most messages are not parsed
/// for that.
fn is_initialize(message: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        method: Cow<'a, str>,
    }
    const METHOD: &[u8] = b"\"initialize\"";
    message.windows(METHOD.len()).any(|part| part == METHOD)
        && serde_json::from_slice(message)
            .is_ok_and(|message: Message| message.method == "initialize")
}

/// Returns the version that the response to `initialize` names, or `None` if it is an
/// error.
fn agreed_version(answer: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        result: Initialized,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Initialized {
        protocol_version: String,
    }
    let answer: Answer = serde_json::from_str(answer).ok()?;
    Some(answer.result.protocol_version)
}

/// Writes the lines that are queued and flushes once the queue is empty.
async fn write(
    output: impl AsyncWrite + Unpin,
    mut lines: mpsc::Receiver<String>,
) -> io::Result<()> {
    let mut output = BufWriter::new(output);
    while let Some(line) = lines.recv().await {
        // A line feed ends the message. In JSON it can only stand between tokens, where
        // a space means the same. Readers that also end lines at U+2028, as Node's
        // does, find none.
        let line = printable_json(&line).replace(['\r', '\n'], " ");
        output.write_all(line.as_bytes()).await?;
        output.write_all(b"\n").await?;
        if lines.is_empty() {
            output.flush().await?;
        }
    }
    output.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_initialize_requests_are_recognised() {
        for (message, expected) in [
            (r#"{"method":"initialize","id":1}"#, true),
            (
                r#"{"id":1, "method" : "initialize", "params": {"a": [1]}}"#,
                true,
            ),
            (
                r#"{"method":"tools/call","params":{"name":"initialize"}}"#,
                false,
            ),
            (r#"{"method":"notifications/initialized"}"#, false),
            (r#"[{"method":"initialize"}]"#, false),
            (r#""initialize""#, false),
            (r#"{"method":"initialize""#, false),
        ] {
            assert_eq!(is_initialize(message.as_bytes()), expected, "{message}");
        }
    }

    #[test]
    fn an_error_negotiates_no_version() {
        let agreed = r#"{"id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}"#;
        assert_eq!(agreed_version(agreed).as_deref(), Some("2025-06-18"));
        for refusal in [
            r#"{"id":1,"error":{"code":-32602,"message":"no"}}"#,
            r#"{"id":1,"result":{"protocolVersion":1}}"#,
            "{",
        ] {
            assert_eq!(agreed_version(refusal), None, "{refusal}");
        }
    }
}
