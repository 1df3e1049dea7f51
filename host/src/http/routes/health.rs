//! `GET /health` reports whether the process is alive, and `GET /ready` whether it can
//! serve requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{error, warn};

use crate::api::McpRequest;
use crate::embed::client::NoClient;
use crate::error::CallError;
use crate::http::app::App;
use crate::http::body::Response;
use crate::http::respond::{Wording, respond};
use crate::http::routes::table::RouteTable;
use crate::keys::records::READY;
use crate::keys::store_keys::StoreKeys;
use crate::plugin::Plugin;
use crate::store::{Store, StoreError};

/// Timeout for the store and the component, each.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a result is cached, so that frequent probes cause no additional work.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// Lifetime of the record that tests whether the store accepts writes.
const PROBE_TTL: Duration = Duration::from_hours(1);

/// The result of the last probe.
#[derive(Default)]
pub(crate) struct ReadinessCache(Mutex<Option<(Instant, Readiness)>>);

/// `Err` is a public description of the problem; the log has the details.
type Verdict = Result<(), &'static str>;

#[derive(Clone, Copy)]
struct Readiness {
    store: Verdict,
    component: Verdict,
}

/// Does not touch the store: otherwise an orchestrator would restart the service during
/// a database outage.
pub(crate) fn health(app: &App, method: &Method) -> Response {
    if ![Method::GET, Method::HEAD].contains(method) {
        return Wording::default().method_not_allowed("GET, HEAD");
    }
    let body = json!({
        "status": "ok",
        "name": "user-auth",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": app.started.elapsed().as_secs(),
    });
    respond(StatusCode::OK, &body)
}

pub(crate) async fn ready(app: &App, method: &Method) -> Response {
    if ![Method::GET, Method::HEAD].contains(method) {
        return Wording::default().method_not_allowed("GET, HEAD");
    }
    let Readiness { store, component } = app.readiness.probe(app).await;
    let word = |verdict: Verdict| verdict.map_or("unavailable", |()| "ok");
    let mut body = json!({
        "status": "ready",
        "store": word(store),
        "component": word(component),
    });
    let reason = match store.and(component) {
        _ if app.stopping.is_cancelled() => {
            body["status"] = "stopping".into();
            "the server is stopping"
        }
        Err(reason) => {
            body["status"] = "unavailable".into();
            reason
        }
        Ok(()) => return respond(StatusCode::OK, &body),
    };
    body["reason"] = reason.into();
    respond(StatusCode::SERVICE_UNAVAILABLE, &body)
}

impl ReadinessCache {
    /// Returns the cached or a new result. Concurrent callers wait for one probe and
    /// share its result.
    async fn probe(&self, app: &App) -> Readiness {
        let plugin = &app.plugin;
        let mut last = self.0.lock().await;
        if let Some((when, readiness)) = *last
            && when.elapsed() < CACHE_TTL
        {
            return readiness;
        }
        let (store, component) = tokio::join!(
            store_ready(&**plugin.store(), plugin.keys()),
            component_ready(plugin, &app.routes)
        );
        let readiness = Readiness { store, component };
        *last = Some((Instant::now(), readiness));
        readiness
    }
}

/// Checks that the store can be read and written, and still belongs to these keys:
/// another may have been restored in its place. With a read-only store, such as a
/// standby or a full disk, no login succeeds.
async fn store_ready(store: &dyn Store, keys: &StoreKeys) -> Verdict {
    match in_time(keys.still_open(store), "the store cannot be read").await? {
        None | Some(true) => {}
        Some(false) => {
            error!(
                "the store is not the one that this server was started on: a backup was restored, \
                 or is being restored; restart the server"
            );
            return Err("the store is not the one that this server was started on");
        }
    }
    // Costs next to nothing: a counter need not survive a power failure.
    let write = store.add(READY, 1, Some(PROBE_TTL));
    in_time(
        write,
        "the store rejects writes: it is read-only, full or a standby",
    )
    .await?;
    Ok(())
}

/// Returns the result of a call to the store, or `None` if the store is busy, which
/// counts as working: the other servers use the same store. `Err` is the reason why the
/// store does not work.
async fn in_time<T>(
    call: impl Future<Output = Result<T, StoreError>>,
    reason: &'static str,
) -> Result<Option<T>, &'static str> {
    match timeout(PROBE_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(StoreError::Busy(_))) => Ok(None),
        Ok(Err(error)) => {
            warn!(%error, "{reason}");
            Err(reason)
        }
        Err(_) => {
            let reason = "the store did not respond in time";
            warn!("{reason}");
            Err(reason)
        }
    }
}

/// Checks that the component responds, and that its routes can be served. A busy component
/// counts as ready: diverting its callers to the other servers would only overload those too.
async fn component_ready(plugin: &Plugin, routes: &RouteTable) -> Verdict {
    if let Ok(Err(CallError::Malformed(_))) =
        timeout(PROBE_TIMEOUT, routes.class(plugin, "/mcp")).await
    {
        return Err("the routes of the component cannot be used");
    }
    let ping = McpRequest {
        headers: Vec::new(),
        body: json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})
            .to_string()
            .into_bytes(),
    };
    match timeout(PROBE_TIMEOUT, plugin.handle(ping, Arc::new(NoClient))).await {
        Ok(Ok(answer)) if answer.status == 200 => Ok(()),
        Ok(Err(CallError::Busy)) | Err(_) => Ok(()),
        Ok(Ok(_) | Err(_)) => Err("the component does not respond"),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    use crate::keys::master_key::MasterKey;
    use crate::store::{Entry, MemoryStore, Mutation, Outcome, Page, SqliteStore};

    #[tokio::test]
    async fn a_readable_and_writable_store_is_ready() {
        let keys = StoreKeys::ephemeral().unwrap();
        assert_eq!(store_ready(&MemoryStore::new(), &keys).await, Ok(()));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db");
        let store = SqliteStore::open(&file).unwrap();
        assert_eq!(store_ready(&store, &keys).await, Ok(()));
        for damaged in ["db", "db-wal"] {
            let damaged = folder.path().join(damaged);
            let length = damaged.metadata().unwrap().len() as usize;
            std::fs::write(damaged, vec![b'x'; length]).unwrap();
        }
        let reason = store_ready(&store, &keys).await.unwrap_err();
        assert_eq!(reason, "the store cannot be read");
    }

    #[tokio::test]
    async fn a_store_bound_to_another_key_is_not_ready() {
        let store = MemoryStore::new();
        let master = MasterKey::ephemeral().unwrap();
        let keys = master.unlock(&store).await.unwrap();
        assert_eq!(store_ready(&store, &keys).await, Ok(()));
        let other = store_ready(&store, &StoreKeys::ephemeral().unwrap()).await;
        assert!(other.unwrap_err().contains("not the one"));
    }

    /// A store that can be read, and fails each write with this error.
    struct Fixed(StoreError);

    #[async_trait]
    impl Store for Fixed {
        fn kind(&self) -> &'static str {
            "fixed"
        }

        async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
            Ok(vec![None; keys.len()])
        }

        async fn commit(&self, _: Vec<Mutation>) -> Result<Outcome, StoreError> {
            Err(self.0.clone())
        }

        async fn add(&self, _: &str, _: i64, _: Option<Duration>) -> Result<i64, StoreError> {
            Err(self.0.clone())
        }

        async fn scan(&self, _: &str, _: Option<&str>, _: u32) -> Result<Page, StoreError> {
            Err(self.0.clone())
        }

        async fn purge(&self, _: u32) -> Result<u32, StoreError> {
            Err(self.0.clone())
        }
    }

    #[tokio::test]
    async fn a_read_only_store_is_not_ready_but_a_busy_one_is() {
        let keys = StoreKeys::ephemeral().unwrap();
        let full = Fixed(StoreError::Unavailable("disk full at /secret/path".into()));
        let reason = store_ready(&full, &keys).await.unwrap_err();
        assert!(reason.contains("rejects writes") && !reason.contains("secret"));
        let busy = Fixed(StoreError::Busy("all connections are busy".into()));
        assert_eq!(store_ready(&busy, &keys).await, Ok(()));
    }
}
