//! The host of UserAuth: runs the sandboxed authentication component, and does
//! for it what a sandbox cannot, which is sockets, files, databases and native
//! password hashing.
//!
//! The program `user-auth` is made of this library. To embed the component in a
//! program of your own, give it a store and a master key, and call it:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use user_auth_host::api::{Caller, LoginOutcome, Principal};
//! use user_auth_host::store::MemoryStore;
//! use user_auth_host::{Keys, Plugin};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::new());
//! let keys = Keys::ephemeral()?.claim(&*store).await?;
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
//!     Ok(LoginOutcome::Challenge(_)) => println!("the second factor, please"),
//!     Err(error) => println!("{} ({})", error.message, error.code),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every call runs in an instance of its own, which is gone afterwards, under
//! the [`Limits`] that the plugin was built with. [`Plugin::metrics`] tells how often
//! which operation was called, and how long it took.
//!
//! # With an engine of your own
//!
//! [`Plugin`] owns a wasmtime engine. A program that has one, and a linker and stores
//! with data of its own, takes what is beneath, which reads as wasmtime's own crates
//! for WASI do: a [`UserAuthHost`] for what all instances share, a [`UserAuthCtx`] in
//! the data of each store, [`UserAuthView`] to find it there, [`add_to_linker`], and
//! the typed exports of [`bindings`]. This crate's wasmtime and the program's must be
//! of the same version.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use user_auth_host::bindings::Plugin;
//! use user_auth_host::api::{Caller, Principal};
//! use user_auth_host::store::MemoryStore;
//! use user_auth_host::{Keys, UserAuthCtx, UserAuthHost, UserAuthView};
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
//!     .keys(Keys::ephemeral()?)
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
//! An engine of this kind is as safe as it is configured: processor time is limited
//! where it has epoch interruption and a clock ([`limit_store`], [`start_clock`]), and
//! time on the wall where the call is wrapped in a timeout. `host/examples/linker.rs`
//! does all of it.

#![deny(missing_docs)]
#![deny(unsafe_code)]

mod answer;
mod audit_log;
pub mod backup;
pub mod bindings;
mod cache;
mod call;
mod claim;
pub mod client;
mod component;
mod ctx;
pub mod delivery;
pub mod discovery;
mod engine;
pub mod files;
mod hasher;
mod host;
mod http_client;
mod inspection;
mod keys;
mod limits;
mod linker;
mod metrics;
mod ports;
pub mod printable;
mod sandbox;
pub mod settings;
mod source;
pub mod store;
mod time;
pub mod trace;
pub mod transport;

pub use audit_log::AuditLog;
pub use call::CallError;
pub use claim::ClaimError;
pub use component::{ComponentError, Origin, default_component_path};
pub use ctx::UserAuthCtx;
pub use host::{UserAuthHost, UserAuthHostBuilder};
pub use inspection::{Inspection, Interface, Kind, Metadata};
pub use keys::{Keys, KeysError, MIN_SECRET_BYTES};
pub use limits::{Limit, Limits};
pub use linker::{
    UserAuth, UserAuthView, add_only_user_auth_to_linker, add_to_linker, limit_store, start_clock,
};
pub use sandbox::{BuildError, Plugin, PluginBuilder};

/// What goes into the component and comes out of it: the records of `wit/`.
pub mod api {
    pub use crate::bindings::exports::user_auth::plugin::auth::{
        Account, Caller, Challenge, Claims, LoginOutcome, Principal, Registration, Tokens,
    };
    pub use crate::bindings::exports::user_auth::plugin::maintenance::Swept;
    pub use crate::bindings::exports::user_auth::plugin::mcp::{
        Field, Request as McpRequest, Response as McpResponse, Transport,
    };
    pub use crate::bindings::user_auth::plugin::telemetry::{
        DeliveryMetrics, HashMetrics, InstanceMetrics, Metrics, OperationMetrics, StoreMetrics,
    };
    pub use crate::bindings::user_auth::plugin::types::{Error as OperationError, Unavailable};
}
