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
//! the [`Limits`] that the plugin was built with.

#![deny(missing_docs)]
#![deny(unsafe_code)]

mod answer;
mod audit_log;
pub mod backup;
mod bindings;
mod cache;
mod call;
mod claim;
pub mod client;
mod component;
pub mod delivery;
pub mod discovery;
mod engine;
mod hasher;
mod http_client;
mod instance;
mod keys;
mod limits;
mod metrics;
mod ports;
mod sandbox;
pub mod settings;
pub mod store;
mod time;
pub mod trace;
pub mod transport;

pub use audit_log::AuditLog;
pub use call::CallError;
pub use claim::ClaimError;
pub use component::{ComponentError, Inspection, Interface, Origin, default_component_path};
pub use keys::{Keys, KeysError, MIN_SECRET_BYTES};
pub use limits::{Limit, Limits};
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
    pub use crate::bindings::user_auth::plugin::types::{Error as OperationError, Unavailable};
}
