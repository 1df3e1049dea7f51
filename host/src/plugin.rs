//! The sandbox: a fresh instance of the component for every call, so that no call can
//! read memory that another left behind.

mod cache;
pub(crate) mod engine;
pub(crate) mod inspect;
pub(crate) mod loader;
mod response_check;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tracing::{error, warn};
use wasmtime::component::Linker;

use self::cache::Cache;
use self::inspect::Inspection;
use self::loader::{ComponentError, Loaded, Source};
use self::response_check::flaw;
use crate::api::{
    Account, Caller, Claims, Field, LoginOutcome, McpRequest, McpResponse, Metrics, OperationError,
    Registration, Swept, Tokens, Unavailable,
};
use crate::audit_log::AuditLog;
use crate::delivery::Delivery;
use crate::embed::bindings::{self, PluginPre};
use crate::embed::client::{ClientHandle, NoClient};
use crate::embed::ctx::UserAuthCtx;
use crate::embed::host::{HostState, UserAuthHost, UserAuthHostBuilder};
use crate::embed::linker::{add_to_linker, limit_store};
use crate::error::CallError;
use crate::keys::master_key::Keys;
use crate::limits::Limits;
use crate::metrics::OperationStats;
use crate::store::Store;
use crate::trace;

/// A component that is ready to be called, on a tokio runtime with its clock enabled.
/// Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Inner>,
}

struct Inner {
    host: UserAuthHost,
    pre: PluginPre<UserAuthCtx>,
    inspection: Inspection,
    /// Permits for running calls, as many as the instance pool has slots.
    working: Semaphore,
    /// Permits for running and waiting calls.
    admitted: Semaphore,
}

const REQUIRE_API_KEY: &str = "USER_AUTH_REQUIRE_API_KEY";

/// Builder of a [`Plugin`]. `component`, `store` and `keys` are required; everything
/// else has a default.
#[derive(Default)]
pub struct PluginBuilder {
    source: Option<Source>,
    host: UserAuthHostBuilder,
    cache: Option<PathBuf>,
}

/// Reasons why a [`Plugin`] or [`UserAuthHost`] could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A required part is missing.
    #[error("the builder has no {0}: call `{0}` on it")]
    Missing(&'static str),
    /// The component cannot be used.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The machine cannot run WebAssembly with these limits.
    #[error("the sandbox cannot be set up: {0}")]
    Engine(String),
    /// The threads for password hashes could not be started.
    #[error("the threads for password hashes cannot be started: {0}")]
    Hasher(io::Error),
}

/// Calls one exported function in a fresh instance. This is a macro, since a function
/// could not take a future that borrows from both the instance and its caller.
macro_rules! call {
    ($plugin:ident, $client:expr, $source:expr, $interface:ident, $function:ident($($argument:expr),*)) => {{
        let mut call = $plugin.begin($client, $source).await?;
        let answer = timeout(call.wall_clock(), async {
            let instance = call.instantiate().await?;
            let interface = instance.$interface();
            interface.$function(&mut call.store, $($argument),*).await
        })
        .await;
        call.finish(answer)
    }};
}

impl Plugin {
    /// Returns a new builder.
    pub fn builder() -> PluginBuilder {
        PluginBuilder::default()
    }

    /// Handles one MCP message. Errors in the message are reported in the response;
    /// `Err` means that there is none.
    pub async fn handle(
        &self,
        request: McpRequest,
        client: ClientHandle,
    ) -> Result<McpResponse, CallError> {
        let source = request.peer.clone();
        trace::message(&request.body);
        let answered = call!(
            self,
            client,
            source,
            user_auth_plugin_mcp,
            call_handle(&request)
        );
        self.checked(answered?)
    }

    /// Verifies a request with these header fields for a reverse proxy: returns 200
    /// with `x-auth-subject` and `x-auth-scopes`, 401, or 403 if the `permission` is
    /// missing. `peer` is the IP address that the request came from.
    pub async fn forward_auth(
        &self,
        headers: &[Field],
        peer: Option<&str>,
        permission: Option<&str>,
    ) -> Result<McpResponse, CallError> {
        let answered = call!(
            self,
            no_client(),
            peer.map(str::to_owned),
            user_auth_plugin_forward_auth,
            call_verify(headers, peer, permission)
        );
        self.checked(answered?)
    }

    /// Calls any operation by its name; input and output are JSON objects.
    pub async fn invoke(
        &self,
        caller: Caller,
        operation: &str,
        input: &str,
    ) -> Result<Result<String, OperationError>, CallError> {
        call!(
            self,
            no_client(),
            caller.source.clone(),
            user_auth_plugin_auth,
            call_invoke(&caller, operation, input)
        )
    }

    /// Calls `register`, which creates an account.
    pub async fn register(
        &self,
        caller: Caller,
        registration: Registration,
    ) -> Result<Result<Account, OperationError>, CallError> {
        call!(
            self,
            no_client(),
            caller.source.clone(),
            user_auth_plugin_auth,
            call_register(&caller, &registration)
        )
    }

    /// Calls `login`, which begins a session or, if the account has a second factor,
    /// returns a challenge for [`Plugin::complete_login`].
    pub async fn login(
        &self,
        caller: Caller,
        username: &str,
        password: &str,
    ) -> Result<Result<LoginOutcome, OperationError>, CallError> {
        call!(
            self,
            no_client(),
            caller.source.clone(),
            user_auth_plugin_auth,
            call_login(&caller, username, password)
        )
    }

    /// Calls `complete_login`, which begins the session of a challenge. The code comes
    /// from an authenticator app, or is a recovery code.
    pub async fn complete_login(
        &self,
        caller: Caller,
        challenge: &str,
        code: &str,
    ) -> Result<Result<Tokens, OperationError>, CallError> {
        call!(
            self,
            no_client(),
            caller.source.clone(),
            user_auth_plugin_auth,
            call_complete_login(&caller, challenge, code)
        )
    }

    /// Calls `verify_token`. Returns `None` for anything that is not a valid access
    /// token of a live session.
    pub async fn verify_token(
        &self,
        caller: Caller,
        token: &str,
    ) -> Result<Result<Option<Claims>, OperationError>, CallError> {
        call!(
            self,
            no_client(),
            caller.source.clone(),
            user_auth_plugin_auth,
            call_verify_token(&caller, token)
        )
    }

    /// Calls `refresh_token`, which exchanges a refresh token for new tokens; it cannot
    /// be used again.
    pub async fn refresh(
        &self,
        caller: Caller,
        refresh_token: &str,
    ) -> Result<Result<Tokens, OperationError>, CallError> {
        call!(
            self,
            no_client(),
            caller.source.clone(),
            user_auth_plugin_auth,
            call_refresh(&caller, refresh_token)
        )
    }

    /// Calls `logout`, which ends the session of an access or a refresh token.
    pub async fn logout(
        &self,
        caller: Caller,
        token: &str,
    ) -> Result<Result<(), OperationError>, CallError> {
        call!(
            self,
            no_client(),
            caller.source.clone(),
            user_auth_plugin_auth,
            call_logout(&caller, token)
        )
    }

    /// Calls `check_permission`, which returns whether the caller has this permission.
    pub async fn check_permission(
        &self,
        caller: Caller,
        permission: &str,
    ) -> Result<Result<bool, OperationError>, CallError> {
        call!(
            self,
            no_client(),
            caller.source.clone(),
            user_auth_plugin_auth,
            call_check_permission(&caller, permission)
        )
    }

    /// Returns all operations: a JSON array of objects with `name`, `title`,
    /// `description`, `input_schema` and `output_schema`.
    pub async fn operations(&self) -> Result<String, CallError> {
        call!(
            self,
            no_client(),
            None,
            user_auth_plugin_auth,
            call_operations()
        )
    }

    /// Deletes expired sessions, after looking at no more than `limit` of them,
    /// starting at `after`.
    pub async fn sweep(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Result<Swept, Unavailable>, CallError> {
        call!(
            self,
            no_client(),
            None,
            user_auth_plugin_maintenance,
            call_sweep(after, limit)
        )
    }

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

    /// Returns whether the component requires an API key over HTTP: see
    /// [`PluginBuilder::require_api_key`].
    pub fn requires_api_key(&self) -> bool {
        // The component uses the last of two settings, too.
        let mut settings = self.inner.host.settings().iter().rev();
        settings
            .find(|(name, _)| name == REQUIRE_API_KEY)
            .is_some_and(|(_, value)| value == "true")
    }

    /// Returns the secret from which the component's keys are derived.
    pub(crate) fn keys(&self) -> &Keys {
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

    /// Returns the response if it may be forwarded.
    fn checked(&self, answer: McpResponse) -> Result<McpResponse, CallError> {
        let Some(flaw) = flaw(&answer, self.limits()) else {
            return Ok(answer);
        };
        let failure = CallError::Malformed(flaw);
        error!(error = %failure, "a call was aborted");
        Err(failure)
    }

    /// Waits for a permit, and prepares a call with an instance to be created.
    async fn begin(
        &self,
        client: ClientHandle,
        source: Option<String>,
    ) -> Result<Call<'_>, CallError> {
        let inner = &*self.inner;
        let places = inner.admit().await?;
        Ok(Call {
            store: inner.store_for(client, source),
            inner,
            _places: places,
        })
    }
}

/// One call. Dropping it before its end drops its instance.
struct Call<'a> {
    store: wasmtime::Store<UserAuthCtx>,
    inner: &'a Inner,
    _places: (SemaphorePermit<'a>, SemaphorePermit<'a>),
}

impl Call<'_> {
    fn wall_clock(&self) -> Duration {
        self.inner.host.limits().wall_clock_per_call
    }

    async fn instantiate(&mut self) -> wasmtime::Result<bindings::Plugin> {
        self.inner.pre.instantiate_async(&mut self.store).await
    }

    /// Separates a response from the failures to produce one.
    fn finish<T>(self, answer: Result<wasmtime::Result<T>, Elapsed>) -> Result<T, CallError> {
        let ctx = self.store.data();
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(trap)) => Err(ctx.failure(&trap)),
            Err(_) => Err(ctx.timed_out()),
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

impl PluginBuilder {
    /// Runs the component in this file.
    pub fn component(mut self, path: impl AsRef<Path>) -> Self {
        self.source = Some(Source::File(path.as_ref().to_owned()));
        self
    }

    /// Runs the component in these bytes.
    pub fn component_bytes(mut self, bytes: Vec<u8>) -> Self {
        self.source = Some(Source::Bytes(bytes));
        self
    }

    /// Sets the store.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.host = self.host.store(store);
        self
    }

    /// Sets the secret from which keys are derived.
    pub fn keys(mut self, keys: Keys) -> Self {
        self.host = self.host.keys(keys);
        self
    }

    /// Sets the delivery of messages to account owners. Without it all messages are
    /// refused: users cannot verify an address or reset a password.
    pub fn delivery(mut self, delivery: Arc<dyn Delivery>) -> Self {
        self.host = self.host.delivery(delivery);
        self
    }

    /// Sets the log to which a line is written for each operation. Without it there is
    /// no such log; the audit records in the store are always written.
    pub fn audit_log(mut self, log: Arc<AuditLog>) -> Self {
        self.host = self.host.audit_log(log);
        self
    }

    /// Replaces the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.host = self.host.limits(limits);
        self
    }

    /// Adds a setting for the component: see [`SETTINGS`](crate::settings::SETTINGS).
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.host = self.host.setting(name, value);
        self
    }

    /// Sets whether every message over HTTP needs a valid API key, whatever it asks
    /// for; messages over standard input never need one. The default is `false`.
    pub fn require_api_key(self, required: bool) -> Self {
        self.setting(REQUIRE_API_KEY, required.to_string())
    }

    /// Caches compiled code in this folder, which no other user may be able to write
    /// to, sealed under a key that is created there. Unsealed code is not run. Without
    /// a folder, or with one of another user, nothing is cached, and every start
    /// compiles.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// Describes the component, without the parts needed to run it. Unlike
    /// [`build`](Self::build) this accepts any component, and core modules as well.
    pub fn inspect(self) -> Result<Inspection, BuildError> {
        Ok(loader::inspect(self.source()?, &self.host.limits)?)
    }

    /// Compiles the component, or takes it from the cache, and links it.
    pub fn build(self) -> Result<Plugin, BuildError> {
        let engine = start_engine(&self.host.limits)?;
        let loaded = self.load(&engine)?;
        loaded.refuse_foreign_interfaces()?;
        let pre = link(&engine, &loaded)?;
        let host = self.host.build()?;
        let working = host.limits().concurrent_calls as usize;
        let waiting = host.limits().waiting_calls as usize;
        Ok(Plugin {
            inner: Arc::new(Inner {
                host,
                pre,
                inspection: loaded.inspection,
                working: Semaphore::new(working),
                admitted: Semaphore::new(working + waiting),
            }),
        })
    }

    fn source(&self) -> Result<&Source, BuildError> {
        let missing = BuildError::Missing("component");
        self.source.as_ref().ok_or(missing)
    }

    fn load(&self, engine: &wasmtime::Engine) -> Result<Loaded, BuildError> {
        let cache = self.cache.as_deref().and_then(open_cache);
        Ok(loader::load(
            engine,
            self.source()?,
            cache.as_ref(),
            &self.host.limits,
        )?)
    }
}

fn start_engine(limits: &Limits) -> Result<wasmtime::Engine, BuildError> {
    engine::start(limits).map_err(|error| BuildError::Engine(error.to_string()))
}

fn open_cache(folder: &Path) -> Option<Cache> {
    Cache::open(folder)
        .inspect_err(|error| {
            warn!(
                folder = %folder.display(),
                %error,
                "the cache for compiled code cannot be used; every start compiles"
            );
        })
        .ok()
}

fn link(engine: &wasmtime::Engine, loaded: &Loaded) -> Result<PluginPre<UserAuthCtx>, BuildError> {
    let mut linker = Linker::new(engine);
    add_to_linker(&mut linker).map_err(|error| BuildError::Engine(format!("{error:#}")))?;
    linker
        .instantiate_pre(&loaded.component)
        .and_then(PluginPre::new)
        .map_err(|error| {
            BuildError::Component(ComponentError::Mismatch {
                origin: loaded.origin.clone(),
                reason: format!("{error:#}"),
            })
        })
}

fn no_client() -> ClientHandle {
    Arc::new(NoClient)
}
