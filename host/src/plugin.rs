//! The sandbox: a fresh instance of the component for every call, so that no call can
//! read memory that another left behind. How a component is loaded, described and called is
//! in the files below; what its imports do is in [`embed`](crate::embed).

pub(crate) mod builder;
mod cache;
mod contract;
pub(crate) mod engine;
mod exports;
pub(crate) mod inspect;
pub(crate) mod loader;
mod response_check;
mod typed_calls;

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Lower};

use self::exports::Exports;
use self::inspect::Inspection;
use crate::api::Metrics;
use crate::audit_log::AuditLog;
use crate::embed::client::ClientHandle;
use crate::embed::ctx::UserAuthCtx;
use crate::embed::host::{HostState, UserAuthHost};
use crate::embed::linker::limit_store;
use crate::error::CallError;
use crate::keys::store_keys::StoreKeys;
use crate::limits::Limits;
use crate::logo::Logo;
use crate::metrics::OperationStats;
use crate::settings;
use crate::store::Store;

/// The path of the logo, below the public URL.
const LOGO: &str = "/logo";

/// A component that is ready to be called, on a tokio runtime with its clock enabled.
/// Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Inner>,
}

struct Inner {
    host: UserAuthHost,
    pre: InstancePre<UserAuthCtx>,
    exports: Exports,
    inspection: Inspection,
    /// Permits for running calls, as many as the instance pool has slots.
    working: Semaphore,
    /// Permits for running and waiting calls.
    admitted: Semaphore,
}

const REQUIRE_API_KEY: &str = "USER_AUTH_REQUIRE_API_KEY";
const REQUIRE_SIGN_IN: &str = "USER_AUTH_REQUIRE_SIGN_IN";

impl Plugin {
    /// Returns the description of the component.
    pub fn inspection(&self) -> &Inspection {
        &self.inner.inspection
    }

    /// Returns the limits in force.
    pub fn limits(&self) -> &Limits {
        self.inner.host.limits()
    }

    /// Returns the component's store.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.inner.host.store()
    }

    /// Returns the audit log, if there is one.
    pub fn audit_log(&self) -> Option<&Arc<AuditLog>> {
        self.shared().audit_log.as_ref()
    }

    /// Returns the logo if this is the path of a logo: see [`PluginBuilder::logo`].
    pub fn logo(&self, path: &str) -> Option<&Logo> {
        let logo = self.shared().logo.as_ref()?;
        // A proxy may have removed the path of the public URL.
        let below = path.strip_prefix(self.shared().public_path.as_str());
        let is_logo = path == LOGO || below == Some(LOGO);
        is_logo.then_some(logo)
    }

    /// Returns whether the component requires an API key over HTTP: see
    /// [`PluginBuilder::require_api_key`].
    pub fn requires_api_key(&self) -> bool {
        settings::last(self.inner.host.settings(), REQUIRE_API_KEY) == Some("true")
    }

    /// Returns whether the component requires a credential of every caller over HTTP: an API
    /// key, or the access token of a user who has signed in.
    pub(crate) fn requires_credential(&self) -> bool {
        let signs_in = settings::last(self.inner.host.settings(), REQUIRE_SIGN_IN) == Some("true");
        signs_in || self.requires_api_key()
    }

    /// Returns the keys of the store.
    pub(crate) fn keys(&self) -> &StoreKeys {
        &self.shared().keys
    }

    /// Returns the current metrics: calls by operation, password hashes, the store,
    /// messages and instances. The component sees the same.
    pub fn metrics(&self) -> Metrics {
        self.inner.host.metrics()
    }

    /// Returns the metrics by operation, for monitoring.
    pub(crate) fn operation_stats(&self) -> Vec<OperationStats> {
        self.shared().metrics.operation_stats()
    }

    /// Waits until all messages to account owners are delivered or given up, for at
    /// most [`Limits::delivery_drain`]. Call it before the program ends.
    pub async fn drain(&self) {
        self.inner.host.drain().await;
    }

    fn shared(&self) -> &HostState {
        self.inner.host.shared()
    }

    /// Calls an exported function in a fresh instance, which ends with the call.
    async fn call<P, R>(
        &self,
        client: ClientHandle,
        source: Option<String>,
        function: impl FnOnce(&Exports) -> &ComponentExportIndex,
        arguments: P,
    ) -> Result<R, CallError>
    where
        P: ComponentNamedList + Lower,
        R: Lift + 'static,
        (R,): ComponentNamedList,
    {
        let inner = &*self.inner;
        let _places = inner.admit().await?;
        let mut store = inner.store_for(client, source);
        let answered = {
            let call = pin!(async {
                let instance = inner.pre.instantiate_async(&mut store).await?;
                let function = function(&inner.exports);
                let function = instance.get_typed_func::<P, (R,)>(&mut store, function)?;
                function.call_async(&mut store, arguments).await
            });
            timeout(self.limits().wall_clock_per_call, call).await
        };
        match answered {
            Ok(Ok((result,))) => Ok(result),
            Ok(Err(trap)) => Err(store.data().failure(&trap)),
            Err(_) => Err(store.data().timed_out()),
        }
    }
}

impl Inner {
    /// Waits for a permit for a limited time, if the queue is not full.
    async fn admit(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), CallError> {
        let admitted = self.admitted.try_acquire().map_err(|_| CallError::Busy)?;
        if let Ok(working) = self.working.try_acquire() {
            return Ok((admitted, working));
        }
        let wait = self.host.limits().call_queue_wait;
        match timeout(wait, self.working.acquire()).await {
            Ok(Ok(working)) => Ok((admitted, working)),
            _ => Err(CallError::Busy),
        }
    }

    fn store_for(
        &self,
        client: ClientHandle,
        source: Option<String>,
    ) -> wasmtime::Store<UserAuthCtx> {
        let ctx = UserAuthCtx::new(self.host.clone(), client, source);
        let mut store = wasmtime::Store::new(self.pre.engine(), ctx);
        limit_store(&mut store);
        store
    }
}
