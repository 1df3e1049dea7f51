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
use crate::claim::READY;
use crate::client::NoClient;
use crate::keys::Keys;
use crate::sandbox::Plugin;
use crate::store::{Store, StoreError};

/// How long a store or a component may take that works.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer holds: who asks more often does not make more work.
const KEPT: Duration = Duration::from_secs(1);
/// How long the record lives that is written to find out whether the store can be
/// written.
const PROBE_TTL: Duration = Duration::from_hours(1);

/// What was found when somebody last looked.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, Found)>>);

/// `Err`: what is wrong, in words for everybody; the log has the details.
type Verdict = Result<(), &'static str>;

#[derive(Clone, Copy)]
struct Found {
    store: Verdict,
    component: Verdict,
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
            tokio::join!(works(&**plugin.store(), plugin.keys()), answers(plugin));
        let found = Found { store, component };
        *last = Some((Instant::now(), found));
        found
    }
}

/// Whether the store can be read and written, and is still the one that these keys are
/// for: another may have been restored into its place. With one that can only be read,
/// as a standby or one whose disk is full, no login succeeds.
async fn works(store: &dyn Store, keys: &Keys) -> Verdict {
    match in_time(keys.still_open(store), "the store cannot be read").await? {
        None | Some(true) => {}
        Some(false) => {
            error!(
                "the store is not the one that this server was started on: a backup was restored, \
                 or is being restored; start the server anew"
            );
            return Err("the store is not the one that this server was started on");
        }
    }
    // Next to no work: a counter need not survive a power cut.
    let write = store.add(READY, 1, Some(PROBE_TTL));
    in_time(
        write,
        "the store takes no writes: it is read-only, full or a standby",
    )
    .await?;
    Ok(())
}

/// What the store answers; `None` if it has too much to do: that is a good one, and the
/// other servers have no other store. `Err`: it does not do its work, for this reason.
async fn in_time<T>(
    call: impl Future<Output = Result<T, StoreError>>,
    reason: &'static str,
) -> Result<Option<T>, &'static str> {
    match timeout(PATIENCE, call).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(StoreError::Busy(_))) => Ok(None),
        Ok(Err(error)) => {
            warn!(%error, "{reason}");
            Err(reason)
        }
        Err(_) => {
            let reason = "the store does not answer in time";
            warn!("{reason}");
            Err(reason)
        }
    }
}

/// Whether the component answers. One that has too much to do is a good one: to
/// send all its callers to the others would only be the end of those.
async fn answers(plugin: &Plugin) -> Verdict {
    let ping = McpRequest {
        transport: Transport::Stdio,
        headers: Vec::new(),
        peer: None,
        body: json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})
            .to_string()
            .into_bytes(),
    };
    match timeout(PATIENCE, plugin.handle(ping, Arc::new(NoClient))).await {
        Ok(Ok(answer)) if answer.status == 200 => Ok(()),
        Ok(Err(CallError::Busy)) | Err(_) => Ok(()),
        Ok(Ok(_) | Err(_)) => Err("the component does not answer"),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use std::io::Write as _;

    use crate::store::{Entry, MemoryStore, Mutation, Outcome, Page, SqliteStore};

    #[tokio::test]
    async fn a_store_is_ready_that_can_be_read_and_written() {
        let keys = Keys::ephemeral().unwrap();
        assert_eq!(works(&MemoryStore::new(), &keys).await, Ok(()));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let store = SqliteStore::open(file.path()).unwrap();
        assert_eq!(works(&store, &keys).await, Ok(()));
        file.write_all(&[b'x'; 100]).unwrap();
        let reason = works(&store, &keys).await.unwrap_err();
        assert_eq!(reason, "the store cannot be read");
    }

    #[tokio::test]
    async fn a_store_that_became_anothers_is_not_ready() {
        let (store, keys) = (MemoryStore::new(), Keys::ephemeral().unwrap());
        let _ = keys.claim(&store).await.unwrap();
        assert_eq!(works(&store, &keys).await, Ok(()));
        let other = works(&store, &Keys::ephemeral().unwrap()).await;
        assert!(other.unwrap_err().contains("not the one"));
    }

    /// A store that can be read, and says this of each write.
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
    async fn a_store_that_takes_no_writes_is_not_ready_and_one_that_is_busy_is() {
        let keys = Keys::ephemeral().unwrap();
        let full = Fixed(StoreError::Unavailable("disk full at /secret/path".into()));
        let reason = works(&full, &keys).await.unwrap_err();
        assert!(reason.contains("takes no writes") && !reason.contains("secret"));
        let busy = Fixed(StoreError::Busy("all connections are busy".into()));
        assert_eq!(works(&busy, &keys).await, Ok(()));
    }
}
