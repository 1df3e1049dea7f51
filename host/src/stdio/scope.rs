//! State shared by the requests of one stdio client: the output, the negotiated
//! version, the log level, and the ids by which one request can cancel another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::embed::client::{Client, LogLevel};

/// State of one client, kept for the life of the process.
pub(super) struct Scope {
    output: mpsc::Sender<String>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    protocol_version: Option<String>,
    session_id: Option<String>,
    log_level: Option<LogLevel>,
    running: HashMap<String, CancellationToken>,
}

/// A message of the client.
pub(super) struct Request {
    scope: Arc<Scope>,
    cancelled: CancellationToken,
    began: Mutex<Began>,
}

/// The requests of a message that the component has started.
#[derive(Default)]
enum Began {
    #[default]
    None,
    /// One request, with the id by which it can be cancelled.
    One(String),
    /// A request that cannot be cancelled: a batch, or an id already in use.
    Uncancellable,
}

impl Scope {
    pub(super) fn new(output: mpsc::Sender<String>) -> Self {
        Self {
            output,
            inner: Mutex::default(),
        }
    }

    /// Writes one line. The line is lost if the output is closed; the input then ends
    /// soon.
    pub(super) async fn write(&self, line: String) {
        let _ = self.output.send(line).await;
    }

    /// Returns the version that `initialize` negotiated, if it has run.
    pub(super) fn protocol_version(&self) -> Option<String> {
        self.lock().protocol_version.clone()
    }

    pub(super) fn set_protocol_version(&self, version: String) {
        self.lock().protocol_version = Some(version);
    }

    /// Returns the session that `initialize` began, if it did.
    pub(super) fn session_id(&self) -> Option<String> {
        self.lock().session_id.clone()
    }

    pub(super) fn set_session_id(&self, session_id: Option<String>) {
        self.lock().session_id = session_id;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    pub(super) fn new(scope: Arc<Scope>) -> Self {
        Self {
            scope,
            cancelled: CancellationToken::new(),
            began: Mutex::default(),
        }
    }

    /// Completes when the client cancels the request.
    pub(super) async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Marks the request as ended, so that nothing is left to cancel.
    pub(super) fn ended(&self) {
        let mut inner = self.scope.lock();
        if let Began::One(id) = std::mem::replace(&mut *self.began(), Began::Uncancellable) {
            inner.running.remove(&id);
        }
    }

    fn began(&self) -> MutexGuard<'_, Began> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Client for Request {
    async fn notify(&self, notification: String) {
        self.scope.write(notification).await;
    }

    /// A client that uses one id for two concurrent requests can cancel only the first.
    /// A batch cannot be cancelled once its second request has started, since the
    /// responses to the others would be lost.
    fn started(&self, id: String) {
        let mut inner = self.scope.lock();
        let mut began = self.began();
        *began = match std::mem::take(&mut *began) {
            Began::None if !inner.running.contains_key(&id) => {
                inner.running.insert(id.clone(), self.cancelled.clone());
                Began::One(id)
            }
            Began::One(first) => {
                inner.running.remove(&first);
                Began::Uncancellable
            }
            Began::None | Began::Uncancellable => Began::Uncancellable,
        };
    }

    fn cancel(&self, id: &str) {
        if let Some(request) = self.scope.lock().running.remove(id) {
            request.cancel();
        }
    }

    fn log_level(&self) -> Option<LogLevel> {
        self.scope.lock().log_level
    }

    fn set_log_level(&self, level: LogLevel) {
        self.scope.lock().log_level = Some(level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests<const N: usize>() -> [Request; N] {
        let scope = Arc::new(Scope::new(mpsc::channel(1).0));
        std::array::from_fn(|_| Request::new(Arc::clone(&scope)))
    }

    #[test]
    fn one_request_cancels_another_by_its_id() {
        let [first, second, other] = requests();
        first.started("1".into());
        second.started("2".into());
        other.cancel("1");
        other.cancel("3");
        assert!(first.cancelled.is_cancelled());
        assert!(!second.cancelled.is_cancelled());
    }

    #[test]
    fn an_ended_request_cannot_be_cancelled() {
        let [first, again, other] = requests();
        first.started("1".into());
        first.ended();
        again.started("1".into());
        other.cancel("1");
        assert!(!first.cancelled.is_cancelled());
        assert!(again.cancelled.is_cancelled());
    }

    #[test]
    fn a_batch_is_not_cancelled_for_one_of_its_requests() {
        let [batch, other] = requests();
        batch.started("1".into());
        batch.started("2".into());
        other.cancel("1");
        other.cancel("2");
        assert!(!batch.cancelled.is_cancelled());
    }

    #[test]
    fn the_log_level_lasts_as_long_as_the_connection() {
        let [first, second] = requests();
        assert_eq!(first.log_level(), None);
        first.set_log_level(LogLevel::Warning);
        assert_eq!(second.log_level(), Some(LogLevel::Warning));
    }
}
