//! Reports to a client as notifications of MCP.

use serde_json::{Value, json};

use super::era::Era;
use super::message;
use crate::domain::reporter::Reporter;
use crate::json::{self, Fields, Node};
use crate::ports::{Client, LogLevel};

/// Sends the client the notifications that its request asked for.
pub struct ClientReporter<'a> {
    client: &'a dyn Client,
    /// The client's token for the request; `None` if it did not ask for progress.
    progress_token: Option<Node<'a>>,
    /// The lowest level that the client accepts; `None` if it accepts none.
    log_level: Option<LogLevel>,
}

impl<'a> ClientReporter<'a> {
    /// Creates the reporter for a request with these parameters.
    pub fn new(params: &Fields<'a>, era: Era, client: &'a dyn Client) -> ClientReporter<'a> {
        let meta = params.get("_meta");
        let token = meta.and_then(|meta| meta.get("progressToken"));
        let log_level = match era {
            Era::Modern => meta
                .and_then(|meta| meta.get("io.modelcontextprotocol/logLevel"))
                .and_then(|level| json::from_node(level).ok()),
            // The server decides what a client receives that has set no level.
            Era::Handshake(_) => client.log_level().or(Some(LogLevel::Info)),
        };
        ClientReporter {
            client,
            progress_token: token.filter(|token| message::is_id(token)).cloned(),
            log_level,
        }
    }
}

impl Reporter for ClientReporter<'_> {
    fn progress(&self, done: u32, total: u32, next: &str) {
        let Some(token) = &self.progress_token else {
            return;
        };
        let notification = json!({
            "jsonrpc": "2.0",
            "method": "notifications/progress",
            "params": {
                "progressToken": token,
                "progress": done,
                "total": total,
                "message": next,
            }
        });
        self.client.notify(&json::text(&notification));
    }

    fn log(&self, level: LogLevel, data: Value) {
        if self.log_level.is_none_or(|least| level < least) {
            return;
        }
        let notification = json!({
            "jsonrpc": "2.0",
            "method": "notifications/message",
            "params": {"level": level.to_string(), "logger": "user-auth", "data": data}
        });
        self.client.notify(&json::text(&notification));
    }
}
