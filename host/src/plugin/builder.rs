//! Builds a plugin: loads its component, and links it.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;
use tracing::warn;
use wasmtime::ProfilingStrategy;
use wasmtime::component::{InstancePre, Linker};

use super::cache::Cache;
use super::inspect::Inspection;
use super::loader::{self, Binary, ComponentError, Loaded, Source};
use super::{Exports, Inner, Plugin, REQUIRE_API_KEY, engine};
use crate::audit_log::AuditLog;
use crate::delivery::Delivery;
use crate::embed::ctx::UserAuthCtx;
use crate::embed::host::UserAuthHostBuilder;
use crate::embed::linker::add_to_linker;
use crate::error::BuildError;
use crate::keys::store_keys::StoreKeys;
use crate::limits::Limits;
use crate::logo::Logo;
use crate::store::Store;

/// Builder of a [`Plugin`]. `component`, `store` and `keys` are required; everything
/// else has a default.
#[derive(Default)]
pub struct PluginBuilder {
    source: Option<Source>,
    host: UserAuthHostBuilder,
    cache: Option<PathBuf>,
    perf_map: bool,
    /// What [`PluginBuilder::load`] has loaded.
    linked: Option<Linked>,
}

/// A component that was loaded and linked.
struct Linked {
    pre: InstancePre<UserAuthCtx>,
    exports: Exports,
    inspection: Inspection,
}

impl Plugin {
    /// Returns a new builder.
    pub fn builder() -> PluginBuilder {
        PluginBuilder::default()
    }
}

impl PluginBuilder {
    /// Runs the component in this file.
    pub fn component(mut self, path: impl AsRef<Path>) -> Self {
        self.source = Some(Source::File(path.as_ref().to_owned()));
        self.linked = None;
        self
    }

    /// Runs the component in these bytes.
    pub fn component_bytes(mut self, bytes: Vec<u8>) -> Self {
        self.source = Some(Source::Bytes(bytes));
        self.linked = None;
        self
    }

    /// Sets the store.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.host = self.host.store(store);
        self
    }

    /// Sets the keys of the store: see [`MasterKey::unlock`](crate::MasterKey::unlock).
    pub fn keys(mut self, keys: StoreKeys) -> Self {
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

    /// Sets the logo on the pages of the authorization server. The server of this library
    /// answers `/logo` with it; a program with a server of its own does so itself: see
    /// [`Plugin::logo`].
    pub fn logo(mut self, logo: Logo) -> Self {
        self.host = self.host.logo(logo);
        self
    }

    /// Replaces the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.host = self.host.limits(limits);
        self.linked = None;
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

    /// Sets whether the names of the component's functions are written to
    /// `/tmp/perf-PID.map`, where the profiler `perf` looks for them; other users of the
    /// machine could plant a link at that path. The default is `false`.
    pub fn perf_map(mut self, written: bool) -> Self {
        self.perf_map = written;
        self.linked = None;
        self
    }

    /// Describes the component, without the parts needed to run it. Unlike
    /// [`build`](Self::build) this accepts any component, and core modules as well.
    pub fn inspect(self) -> Result<Inspection, BuildError> {
        Ok(loader::inspect(self.source()?, &self.host.limits)?)
    }

    /// Compiles the component, or takes it from the cache, and links it. Otherwise
    /// [`build`](Self::build) does so: a program that loads the component on a thread of its
    /// own can open its store meanwhile. It is loaded again if the component, the limits or
    /// the perf map are set afterwards.
    pub fn load(mut self) -> Result<Self, BuildError> {
        self.linked = Some(self.linked()?);
        Ok(self)
    }

    /// Builds the plugin, and loads the component unless [`load`](Self::load) has done so.
    pub fn build(mut self) -> Result<Plugin, BuildError> {
        let Linked {
            pre,
            exports,
            inspection,
        } = match self.linked.take() {
            Some(linked) => linked,
            None => self.linked()?,
        };
        let host = self.host.build()?;
        let working = host.limits().concurrent_calls as usize;
        let waiting = host.limits().waiting_calls as usize;
        Ok(Plugin {
            inner: Arc::new(Inner {
                host,
                pre,
                exports,
                inspection,
                working: Semaphore::new(working),
                admitted: Semaphore::new(working + waiting),
            }),
        })
    }

    fn start_engine(&self) -> Result<wasmtime::Engine, BuildError> {
        let profiling = if self.perf_map {
            ProfilingStrategy::PerfMap
        } else {
            ProfilingStrategy::None
        };
        engine::start(&self.host.limits, profiling)
            .map_err(|error| BuildError::Engine(error.to_string()))
    }

    fn source(&self) -> Result<&Source, BuildError> {
        let missing = BuildError::Missing("component");
        self.source.as_ref().ok_or(missing)
    }

    fn linked(&self) -> Result<Linked, BuildError> {
        let (source, limits) = (self.source()?, &self.host.limits);
        // The engine reserves memory for its instances meanwhile.
        let (engine, binary) = thread::scope(|scope| {
            let reader = thread::Builder::new().name("component".into());
            let reader = reader.spawn_scoped(scope, || Binary::read(source, limits));
            (self.start_engine(), reader.map(|reader| reader.join()))
        });
        let engine = engine?;
        let binary = binary.map_err(|error| {
            BuildError::Engine(format!("a thread could not be started: {error}"))
        })?;
        let binary = binary.unwrap_or_else(|panic| resume_unwind(panic))?;
        let cache = self.cache.as_deref().and_then(open_cache);
        let loaded = binary.load(&engine, cache.as_ref())?;
        loaded.refuse_foreign_interfaces()?;
        let (pre, exports) = link(&engine, &loaded)?;
        Ok(Linked {
            pre,
            exports,
            inspection: loaded.inspection,
        })
    }
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

fn link(
    engine: &wasmtime::Engine,
    loaded: &Loaded,
) -> Result<(InstancePre<UserAuthCtx>, Exports), BuildError> {
    let mut linker = Linker::new(engine);
    add_to_linker(&mut linker).map_err(|error| BuildError::Engine(format!("{error:#}")))?;
    let linked = linker.instantiate_pre(&loaded.component);
    linked
        .and_then(|pre| Exports::of(&pre).map(|exports| (pre, exports)))
        .map_err(|error| {
            BuildError::Component(ComponentError::Mismatch {
                origin: loaded.origin.clone(),
                reason: format!("{error:#}"),
            })
        })
}
