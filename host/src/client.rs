//! The client whose request is being answered, as the sandbox sees it.

use std::sync::Arc;

use async_trait::async_trait;

pub use crate::bindings::user_auth::plugin::client::LogLevel;

/// What a transport does for the client of one request.
///
/// All but [`notify`](Client::notify) have a default that suits transports on
/// which no two requests belong together.
#[async_trait]
pub trait Client: Send + Sync + 'static {
    /// Sends one JSON-RPC notification at once; waits while the client reads
    /// more slowly than the component writes. Lost when the client takes none.
    async fn notify(&self, notification: String);

    /// The client calls this request by the JSON-RPC id `id`, in its JSON text.
    fn started(&self, id: String) {
        let _ = id;
    }

    /// Stops the work on the request `id` of the same client, if there is one.
    fn cancel(&self, id: &str) {
        let _ = id;
    }

    /// The least grave log notification that the client asked for.
    fn log_level(&self) -> Option<LogLevel> {
        None
    }

    /// Remembers that for as long as the connection lasts.
    fn set_log_level(&self, level: LogLevel) {
        let _ = level;
    }
}

/// Whose request it is.
pub type ClientHandle = Arc<dyn Client>;

/// A client that takes no notifications, for calls that no MCP client made.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoClient;

#[async_trait]
impl Client for NoClient {
    async fn notify(&self, _: String) {}
}
