//! The client of the current request, as the sandbox sees it.

use std::sync::Arc;

use async_trait::async_trait;

pub use crate::embed::bindings::user_auth::plugin::client::LogLevel;

/// The functions that a transport provides for the client of one request.
///
/// All but [`notify`](Client::notify) have defaults that suit transports on which
/// requests are independent.
#[async_trait]
pub trait Client: Send + Sync + 'static {
    /// Sends one JSON-RPC notification immediately; waits if the client reads more
    /// slowly than the component writes. The notification is dropped if the client
    /// accepts none.
    async fn notify(&self, notification: String);

    /// Called with the JSON-RPC id of this request, as JSON text, when its work begins.
    fn started(&self, id: String) {
        let _ = id;
    }

    /// Stops the request `id` of the same client, if it is running.
    fn cancel(&self, id: &str) {
        let _ = id;
    }

    /// Returns the lowest severity of log notifications that the client asked for.
    fn log_level(&self) -> Option<LogLevel> {
        None
    }

    /// Sets that severity for the rest of the connection.
    fn set_log_level(&self, level: LogLevel) {
        let _ = level;
    }
}

/// A shared handle to the client of a request.
pub type ClientHandle = Arc<dyn Client>;

/// A client that accepts no notifications, for calls that do not come from an MCP
/// client.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoClient;

#[async_trait]
impl Client for NoClient {
    async fn notify(&self, _: String) {}
}
