//! MCP over standard input and output: one JSON message a line.

mod lines;
mod scope;

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::api::{McpRequest, Transport};
use crate::printable::printable_json;
use crate::sandbox::Plugin;
use lines::{Line, Lines};
use scope::{Request, Scope};

/// Lines that wait to be written; whoever writes the next waits.
const WAITING: usize = 64;

/// Answers the messages of `input` on `output` until the input ends or
/// `shutdown` completes, then finishes what is in flight, for
/// [`Limits::shutdown`](crate::Limits::shutdown) at most.
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
        // Nobody reads the answers any more.
        () = sender.closed() => Ok(()),
    };
    drop(sender);
    connection.tasks.close();
    // One deadline for both: a client that does not read holds up either.
    let deadline = Instant::now() + limits.shutdown;
    if timeout_at(deadline, connection.tasks.wait()).await.is_err() {
        warn!("some messages were not answered in time and were given up");
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
                    self.scope
                        .write(super::invalid_request(&message).to_string())
                        .await;
                }
            }
        }
    }

    /// Waits for a place, so that a client that writes faster than it is
    /// answered has to wait itself.
    async fn begin(self: &Arc<Self>, message: Vec<u8>) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return;
        };
        let connection = Arc::clone(self);
        self.tasks.spawn(async move {
            connection.answer(message).await;
            drop(place);
        });
    }

    async fn answer(&self, message: Vec<u8>) {
        let request = Arc::new(Request::new(Arc::clone(&self.scope)));
        let id = super::id_of(&message);
        let call = self.plugin.handle(
            McpRequest {
                transport: Transport::Stdio,
                headers: Vec::new(),
                peer: None,
                body: message,
            },
            Arc::clone(&request) as _,
        );
        let answer = tokio::select! {
            biased;
            () = request.cancelled() => None,
            answer = call => match answer {
                Ok(response) => response.body.map(|body| String::from_utf8_lossy(&body).into_owned()),
                Err(error) => id.map(|id| error.to_json_rpc(id).to_string()),
            },
        };
        request.ended();
        if let Some(answer) = answer {
            self.scope.write(answer).await;
        }
    }
}

/// Writes what is there, and flushes when nothing more is.
async fn write(
    output: impl AsyncWrite + Unpin,
    mut lines: mpsc::Receiver<String>,
) -> io::Result<()> {
    let mut output = BufWriter::new(output);
    while let Some(line) = lines.recv().await {
        // A line feed ends the message. In JSON it can only stand between
        // tokens, where a blank means the same. Readers that end lines at U+2028 as
        // well, as that of Node does, find none.
        let line = printable_json(&line).replace(['\r', '\n'], " ");
        output.write_all(line.as_bytes()).await?;
        output.write_all(b"\n").await?;
        if lines.is_empty() {
            output.flush().await?;
        }
    }
    output.flush().await
}
