//! The state that all instances of one component share: the store, the keys, the
//! threads that hash passwords, the queue of messages, the documents that are being
//! fetched, and the metrics.

use std::sync::Arc;

use crate::api::Metrics as Snapshot;
use crate::audit_log::AuditLog;
use crate::delivery::{Delivery, Outbox};
use crate::documents::Documents;
use crate::error::BuildError;
use crate::hasher::Hasher;
use crate::keys::store_keys::StoreKeys;
use crate::limits::Limits;
use crate::logo::Logo;
use crate::metrics::Metrics;
use crate::signing::Signer;
use crate::store::Store;

/// The shared state of all instances of one component. Create it once per program; it
/// provides a [`UserAuthCtx`](crate::UserAuthCtx) for each instance. Cheap to clone.
///
/// A [`Plugin`](crate::Plugin) contains one, so programs that use it need no other.
#[derive(Clone)]
pub struct UserAuthHost {
    shared: Arc<HostState>,
}

/// The setting that tells the component that messages reach the owners of accounts: only
/// then its pages offer to send one.
const HAS_DELIVERY: &str = "USER_AUTH_HAS_DELIVERY";
/// The setting that tells the component that there is a logo at `/logo`.
const HAS_LOGO: &str = "USER_AUTH_HAS_LOGO";

/// The state behind a [`UserAuthHost`].
pub(crate) struct HostState {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: StoreKeys,
    pub(crate) signer: Signer,
    pub(crate) hasher: Hasher,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) documents: Documents,
    pub(crate) metrics: Metrics,
    pub(crate) audit_log: Option<Arc<AuditLog>>,
    pub(crate) limits: Limits,
    pub(crate) settings: Vec<(String, String)>,
    /// The URL below which people find the pages for codes, if there are such pages.
    pub(crate) pages_url: Option<String>,
    pub(crate) logo: Option<Logo>,
    /// The path of the public URL, which is empty or begins with a slash.
    pub(crate) public_path: String,
}

/// Builder of a [`UserAuthHost`]. `store` and `keys` are required; everything else has
/// a default.
#[derive(Default)]
pub struct UserAuthHostBuilder {
    store: Option<Arc<dyn Store>>,
    keys: Option<StoreKeys>,
    delivery: Option<Arc<dyn Delivery>>,
    audit_log: Option<Arc<AuditLog>>,
    logo: Option<Logo>,
    pub(crate) limits: Limits,
    settings: Vec<(String, String)>,
}

impl UserAuthHost {
    /// Returns a new builder.
    pub fn builder() -> UserAuthHostBuilder {
        UserAuthHostBuilder::default()
    }

    /// Returns the limits in force.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Returns the component's settings as names and values of environment variables,
    /// for programs that provide their own `WasiCtx` and have to set these in it.
    pub fn settings(&self) -> &[(String, String)] {
        &self.shared.settings
    }

    /// Returns the component's store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Returns the current metrics.
    pub fn metrics(&self) -> Snapshot {
        let HostState {
            hasher,
            outbox,
            store,
            metrics,
            ..
        } = &*self.shared;
        metrics.snapshot(store.kind(), hasher.metrics(), outbox.metrics())
    }

    /// Waits until all messages to account owners are delivered or given up, for at
    /// most [`Limits::delivery_drain`]. Call it before the program ends.
    pub async fn drain(&self) {
        let patience = self.shared.limits.delivery_drain;
        self.shared.outbox.drain(patience).await;
    }

    pub(crate) fn shared(&self) -> &Arc<HostState> {
        &self.shared
    }
}

impl UserAuthHostBuilder {
    /// Sets the store.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sets the keys of the store: see
    /// [`MasterKey::unlock`](crate::MasterKey::unlock).
    pub fn keys(mut self, keys: StoreKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Sets the delivery of messages to account owners. Without it all messages are
    /// refused: users cannot verify an address or reset a password.
    pub fn delivery(mut self, delivery: Arc<dyn Delivery>) -> Self {
        self.delivery = Some(delivery);
        self
    }

    /// Sets the log to which a line is written for each operation. Without it there is
    /// no such log; the audit records in the store are always written.
    pub fn audit_log(mut self, log: Arc<AuditLog>) -> Self {
        self.audit_log = Some(log);
        self
    }

    /// Sets the logo on the pages of the authorization server, which the program answers at
    /// `/logo` below the public URL.
    pub fn logo(mut self, logo: Logo) -> Self {
        self.logo = Some(logo);
        self
    }

    /// Replaces the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a setting for the component: see [`SETTINGS`](crate::settings::SETTINGS).
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Returns the value of a setting.
    fn set(&self, name: &str) -> Option<&str> {
        let last = self.settings.iter().rev().find(|(known, _)| known == name);
        last.map(|(_, value)| value.as_str())
    }

    /// Starts the threads that hash passwords. Fails without a store or keys, or if the
    /// system cannot start threads.
    pub fn build(mut self) -> Result<UserAuthHost, BuildError> {
        if self.logo.is_some() {
            self = self.setting(HAS_LOGO, "true");
        }
        let public_url = self.set("USER_AUTH_PUBLIC_URL").map(url::Url::parse);
        // The component rejects other texts.
        let public_path = match public_url {
            Some(Ok(url)) => url.path().trim_end_matches('/').to_owned(),
            _ => String::new(),
        };
        let mut pages_url = None;
        if self.delivery.is_some() && self.set("USER_AUTH_OAUTH_ENABLED") == Some("true") {
            pages_url = self.set("USER_AUTH_PUBLIC_URL").map(str::to_owned);
            self = self.setting(HAS_DELIVERY, "true");
        }
        let store = self.store.ok_or(BuildError::Missing("store"))?;
        let keys = self.keys.ok_or(BuildError::Missing("keys"))?;
        let shared = HostState {
            signer: Signer::new(keys.clone(), Arc::clone(&store)),
            store,
            keys,
            hasher: Hasher::start(&self.limits).map_err(BuildError::Hasher)?,
            outbox: Outbox::new(self.delivery, &self.limits),
            documents: Documents::new(&self.settings, &self.limits),
            audit_log: self.audit_log,
            metrics: Metrics::new(self.limits.counted_operations),
            settings: self.settings,
            pages_url,
            public_path,
            logo: self.logo,
            limits: self.limits,
        };
        Ok(UserAuthHost {
            shared: Arc::new(shared),
        })
    }
}
