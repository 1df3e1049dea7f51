//! The interface `client`, implemented by the transport that carries the request.

use crate::embed::bindings::user_auth::plugin::client::{Host, LogLevel};
use crate::embed::ctx::UserAuthCtx;

/// Maximum length of a request id that is remembered: no client needs more to tell its
/// requests apart.
const ID_BYTES: usize = 4 << 10;

impl Host for UserAuthCtx {
    async fn notify(&mut self, notification: String) -> wasmtime::Result<()> {
        self.count_host_call()?;
        if !self.may_send(notification.len()) {
            return Ok(());
        }
        // A line feed would end the message on transports with one message per line.
        // JSON may have it only between tokens, where a space means the same.
        let notification = notification.replace(['\r', '\n'], " ");
        let client = std::sync::Arc::clone(self.client());
        self.wait(client.notify(notification)).await;
        Ok(())
    }

    fn started(&mut self, id: String) -> wasmtime::Result<()> {
        self.count_host_call()?;
        // A request that is not remembered is answered like all others, but cannot be
        // cancelled.
        if id.len() <= ID_BYTES {
            self.client().started(id);
        }
        Ok(())
    }

    fn cancel(&mut self, id: String) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.client().cancel(&id);
        Ok(())
    }

    fn get_log_level(&mut self) -> wasmtime::Result<Option<LogLevel>> {
        self.count_host_call()?;
        Ok(self.client().log_level())
    }

    fn set_log_level(&mut self, level: LogLevel) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.client().set_log_level(level);
        Ok(())
    }
}
