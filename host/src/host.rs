//! What all instances of one component share: where state lives, what keys are
//! derived from, the threads that hash passwords, the queue of messages, the
//! numbers.

use std::sync::Arc;

use crate::api::Metrics as Snapshot;
use crate::audit_log::AuditLog;
use crate::client::NoClient;
use crate::ctx::UserAuthCtx;
use crate::delivery::{Delivery, Outbox};
use crate::hasher::Hasher;
use crate::keys::Keys;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::sandbox::BuildError;
use crate::store::Store;

/// What the instances of one component have in common, whoever makes them. Made
/// once for a program, it gives a [`UserAuthCtx`] for each instance. Cheap to clone.
///
/// Whoever uses [`Plugin`](crate::Plugin) has one in there, and needs no other.
#[derive(Clone)]
pub struct UserAuthHost {
    shared: Arc<Shared>,
}

/// What is behind a [`UserAuthHost`].
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Keys,
    pub(crate) hasher: Hasher,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) metrics: Metrics,
    pub(crate) audit_log: Option<Arc<AuditLog>>,
    pub(crate) limits: Limits,
    pub(crate) settings: Vec<(String, String)>,
}

/// Says what a [`UserAuthHost`] is made of. `store` and `keys` must be given; the
/// rest has defaults.
#[derive(Default)]
pub struct UserAuthHostBuilder {
    store: Option<Arc<dyn Store>>,
    keys: Option<Keys>,
    delivery: Option<Arc<dyn Delivery>>,
    audit_log: Option<Arc<AuditLog>>,
    pub(crate) limits: Limits,
    settings: Vec<(String, String)>,
}

impl UserAuthHost {
    /// Begins to make one.
    pub fn builder() -> UserAuthHostBuilder {
        UserAuthHostBuilder::default()
    }

    /// The context of one instance, for one call: for the `T` of a
    /// [`wasmtime::Store<T>`]. It belongs to the trace of the task that asks for it.
    pub fn ctx(&self) -> UserAuthCtx {
        UserAuthCtx::new(self.clone(), Arc::new(NoClient), None)
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// The settings of the component, as names and values of environment variables:
    /// for those who bring a `WasiCtx` of their own, and have to give it these.
    pub fn settings(&self) -> &[(String, String)] {
        &self.shared.settings
    }

    /// The store that the component works on.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// All numbers as they are now.
    pub fn metrics(&self) -> Snapshot {
        let Shared {
            hasher,
            outbox,
            store,
            metrics,
            ..
        } = &*self.shared;
        metrics.snapshot(store.kind(), hasher.metrics(), outbox.metrics())
    }

    /// Waits until all messages to owners of accounts are delivered or given up,
    /// for [`Limits::delivery_drain`] at the most. To be called before a program
    /// ends.
    pub async fn drain(&self) {
        let patience = self.shared.limits.delivery_drain;
        self.shared.outbox.drain(patience).await;
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl UserAuthHostBuilder {
    /// Keeps state here.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Derives the component's keys from this secret, which stays outside. It is to
    /// be that which [`Keys::claim`] gives for the store.
    pub fn keys(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Delivers messages to the owners of accounts in this way. Without one, all
    /// messages are refused: nobody can verify an address or reset a password.
    pub fn delivery(mut self, delivery: Arc<dyn Delivery>) -> Self {
        self.delivery = Some(delivery);
        self
    }

    /// Writes a line for each operation here. Without this there is no such log;
    /// the audit records in the store are there in any case.
    pub fn audit_log(mut self, log: Arc<AuditLog>) -> Self {
        self.audit_log = Some(log);
        self
    }

    /// Replaces the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Gives the component a setting: see [`SETTINGS`](crate::settings::SETTINGS).
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Starts the threads that hash passwords. Fails if it was not given a store and
    /// keys, or if the system gives no threads.
    pub fn build(self) -> Result<UserAuthHost, BuildError> {
        let shared = Shared {
            store: self.store.ok_or(BuildError::Missing("store"))?,
            keys: self.keys.ok_or(BuildError::Missing("keys"))?,
            hasher: Hasher::start(&self.limits).map_err(BuildError::Hasher)?,
            outbox: Outbox::new(self.delivery, &self.limits),
            audit_log: self.audit_log,
            metrics: Metrics::new(self.limits.counted_operations),
            settings: self.settings,
            limits: self.limits,
        };
        Ok(UserAuthHost {
            shared: Arc::new(shared),
        })
    }
}
