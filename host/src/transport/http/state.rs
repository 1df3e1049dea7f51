//! `GET /health`: the process lives. `GET /ready`: it can do its work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{error, warn};

use super::{App, method_not_allowed, respond};
use crate::api::{McpRequest, Transport};
use crate::call::CallError;
use crate::client::NoClient;
use crate::keys::Keys;
use crate::sandbox::Plugin;
use crate::store::{Store, StoreError};

/// How long a store or a component may take that works.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer holds: whoever asks more often does not make more work.
const KEPT: Duration = Duration::from_secs(1);

/// What was found when somebody last looked.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, Found)>>);

#[derive(Clone, Copy)]
struct Found {
    store: bool,
    component: bool,
}

/// Asks nothing of the store: whoever restarts what is not alive would take the
/// service down for good when the store is away for a while.
pub(super) async fn health(State(app): State<Arc<App>>, method: Method) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed("GET, HEAD");
    }
    let body = json!({
        "status": "ok",
        "name": "user-auth",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": app.started.elapsed().as_secs(),
    });
    respond(StatusCode::OK, &body)
}

pub(super) async fn ready(State(app): State<Arc<App>>, method: Method) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed("GET, HEAD");
    }
    let Found { store, component } = app.readiness.look(&app.plugin).await;
    let stopping = app.stopping.is_cancelled();
    let word = |well| if well { "ok" } else { "unavailable" };
    let (code, status) = match store && component && !stopping {
        true => (StatusCode::OK, "ready"),
        false if stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let body = json!({
        "status": status,
        "store": word(store),
        "component": word(component),
    });
    respond(code, &body)
}

impl Readiness {
    /// Those who ask while somebody looks wait for what that one finds.
    async fn look(&self, plugin: &Plugin) -> Found {
        let mut last = self.0.lock().await;
        if let Some((when, found)) = *last
            && when.elapsed() < KEPT
        {
            return found;
        }
        let (store, component) =
            tokio::join!(reaches(&**plugin.store(), plugin.keys()), answers(plugin));
        let found = Found { store, component };
        *last = Some((Instant::now(), found));
        found
    }
}

/// Whether the store can be read, and is still the one that these keys are for:
/// somebody may have restored another into its place.
async fn reaches(store: &dyn Store, keys: &Keys) -> bool {
    match timeout(PATIENCE, keys.still_open(store)).await {
        Ok(Ok(true)) => true,
        // It is there, and has too much to do: the others have no other store.
        Ok(Err(StoreError::Busy(_))) => true,
        Ok(Ok(false)) => {
            error!(
                "the store is not the one that this server was started on: a backup was restored, \
                 or is being restored; start the server anew"
            );
            false
        }
        Ok(Err(error)) => {
            warn!(%error, "the store is not ready");
            false
        }
        Err(_) => {
            warn!("the store does not answer in time");
            false
        }
    }
}

/// Whether the component answers. One that has too much to do is a good one: to
/// send all its callers to the others would only be the end of those.
async fn answers(plugin: &Plugin) -> bool {
    let ping = McpRequest {
        transport: Transport::Stdio,
        headers: Vec::new(),
        peer: None,
        body: json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})
            .to_string()
            .into_bytes(),
    };
    match timeout(PATIENCE, plugin.handle(ping, Arc::new(NoClient))).await {
        Ok(Ok(answer)) => answer.status == 200,
        Ok(Err(CallError::Busy)) | Err(_) => true,
        Ok(Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    use crate::store::{MemoryStore, SqliteStore};

    #[tokio::test]
    async fn a_store_is_ready_that_can_be_read() {
        let keys = Keys::ephemeral().unwrap();
        assert!(reaches(&MemoryStore::new(), &keys).await);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let store = SqliteStore::open(file.path()).unwrap();
        file.write_all(&[b'x'; 100]).unwrap();
        assert!(!reaches(&store, &keys).await);
    }

    #[tokio::test]
    async fn a_store_that_became_anothers_is_not_ready() {
        let (store, keys) = (MemoryStore::new(), Keys::ephemeral().unwrap());
        let _ = keys.claim(&store).await.unwrap();
        assert!(reaches(&store, &keys).await);
        assert!(!reaches(&store, &Keys::ephemeral().unwrap()).await);
    }
}
