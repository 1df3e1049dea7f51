//! The host of UserAuth: runs the sandboxed authentication component, and does for it
//! what a sandbox cannot: sockets, files, databases and native password hashing.
//!
//! The program `user-auth` is built on this library. To embed the component in your own
//! program, provide a store and a master key, and call it:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use user_auth_host::api::{Caller, LoginOutcome, Principal};
//! use user_auth_host::store::SqliteStore;
//! use user_auth_host::{MasterKey, Plugin};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(SqliteStore::open("users.db".as_ref())?);
//! let master_key = MasterKey::load_or_create("master.key".as_ref())?;
//! let keys = master_key.unlock(&*store).await?;
//! let plugin = Plugin::builder()
//!     .component("user-auth.wasm")
//!     .store(store)
//!     .keys(keys)
//!     .setting("USER_AUTH_ISSUER", "https://auth.example.com")
//!     .build()?;
//!
//! let caller = Caller {
//!     principal: Principal::Anonymous,
//!     source: Some("203.0.113.7".into()),
//! };
//! match plugin.login(caller, "alice", "correct horse battery").await? {
//!     Ok(LoginOutcome::Tokens(tokens)) => println!("session {}", tokens.session_id),
//!     Ok(LoginOutcome::Challenge(_)) => println!("a second factor is required"),
//!     Err(error) => println!("{} ({})", error.message, error.code),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every call runs in a fresh instance, which is discarded afterwards, under the
//! [`Limits`] that the plugin was built with. [`Plugin::metrics`] reports how often
//! each operation was called, and how long it took.
//!
//! # With your own engine
//!
//! [`Plugin`] owns a wasmtime engine. A program with its own engine, linker and stores
//! uses the layer below, which works like wasmtime's own crates for WASI: a
//! [`UserAuthHost`] holds the state that all instances share, a [`UserAuthCtx`] goes
//! into the data of each store, [`UserAuthView`] finds it there, [`add_to_linker`]
//! links the imports, and [`bindings`] has the typed exports. This crate and the
//! program must use the same version of wasmtime.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use user_auth_host::bindings::Plugin;
//! use user_auth_host::api::{Caller, Principal};
//! use user_auth_host::store::MemoryStore;
//! use user_auth_host::{StoreKeys, UserAuthCtx, UserAuthHost, UserAuthView};
//! use wasmtime::component::{Component, Linker};
//! use wasmtime::{Engine, Store};
//!
//! struct MyState {
//!     user_auth: UserAuthCtx,
//! }
//!
//! impl UserAuthView for MyState {
//!     fn user_auth(&mut self) -> &mut UserAuthCtx {
//!         &mut self.user_auth
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::default();
//! let component = Component::from_file(&engine, "user-auth.wasm")?;
//! let mut linker: Linker<MyState> = Linker::new(&engine);
//! user_auth_host::add_to_linker(&mut linker)?;
//!
//! let host = UserAuthHost::builder()
//!     .store(Arc::new(MemoryStore::new()))
//!     .keys(StoreKeys::ephemeral()?)
//!     .build()?;
//!
//! let state = MyState { user_auth: host.ctx() };
//! let mut store = Store::new(&engine, state);
//! user_auth_host::limit_store(&mut store);
//! let plugin = Plugin::instantiate_async(&mut store, &component, &linker).await?;
//! let caller = Caller { principal: Principal::Anonymous, source: None };
//! let login = plugin
//!     .user_auth_plugin_auth()
//!     .call_login(&mut store, &caller, "alice", "correct horse battery")
//!     .await?;
//! # let _ = login;
//! # Ok(())
//! # }
//! ```
//!
//! Such an engine is as safe as its configuration: processor time is limited only with
//! epoch interruption and a clock ([`limit_store`], [`start_clock`]), and elapsed time
//! only if the call is wrapped in a timeout. `host/examples/linker.rs` does all of it.

#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod api;
mod audit_log;
pub mod backup;
pub mod delivery;
pub mod discovery;
mod documents;
mod embed;
pub mod encoding;
mod error;
pub mod files;
mod hasher;
pub mod http;
mod http_client;
mod keys;
mod limits;
mod logo;
mod metrics;
mod outcome;
mod outline;
mod plugin;
pub mod printable;
pub mod settings;
mod signing;
mod source;
pub mod stdio;
pub mod store;
mod time;
pub mod trace;

pub use audit_log::AuditLog;
pub use embed::ctx::{UserAuthCtx, UserAuthView};
pub use embed::host::{UserAuthHost, UserAuthHostBuilder};
pub use embed::linker::{
    UserAuth, add_only_user_auth_to_linker, add_to_linker, limit_store, start_clock,
};
pub use embed::{bindings, client};
pub use error::{BuildError, CallError};
pub use keys::error::UnlockError;
pub use keys::master_key::{KeyError, MasterKey};
pub use keys::secret::MIN_SECRET_BYTES;
pub use keys::store_keys::StoreKeys;
pub use limits::{Limit, Limits};
pub use logo::{Logo, LogoError};
pub use outcome::ErrorCode;
pub use plugin::Plugin;
pub use plugin::builder::PluginBuilder;
pub use plugin::inspect::{Inspection, Interface, Kind, Metadata};
pub use plugin::loader::{ComponentError, Origin, default_component_path};
