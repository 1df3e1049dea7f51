//! Connects the component to its contract: the imports of `wit/` implement the ports,
//! and the exports of `wit/` call the operations and MCP.
//!
//! The features of the build select the ports (imports or built-in ones) and the
//! exports (the interfaces of `wit/` or HTTP).

#[cfg(feature = "inside")]
mod alone;
#[cfg(not(feature = "edge"))]
mod auth;
#[cfg(not(feature = "edge"))]
mod contract;
#[cfg(feature = "edge")]
mod edge;
#[cfg(not(feature = "inside"))]
mod host;
#[cfg(feature = "keyvalue")]
mod keyvalue;
mod wasi;

#[cfg(feature = "inside")]
use alone as ports;
#[cfg(not(feature = "inside"))]
use host as ports;

use std::env;
#[cfg(not(feature = "edge"))]
use std::rc::Rc;

use crate::domain::context::Principal;
#[cfg(not(feature = "edge"))]
use crate::domain::context::{Caller, Context, Source};
use crate::error::{AuthError, Kind};
use crate::json;
use crate::settings::Settings;

/// The settings in force. With one that cannot be used nothing runs: a guess
/// could be less safe than what was meant. Which one it is concerns the operator,
/// who reads the log, and nobody else.
fn settings(principal: &Principal) -> Result<Settings, AuthError> {
    Settings::from_variables(env::vars()).map_err(|invalid| misconfigured(&invalid.to_string(), principal))
}

fn misconfigured(problem: &str, principal: &Principal) -> AuthError {
    let fields = json::fields([("problem", problem.into())]);
    let telemetry = ports::all().telemetry;
    telemetry.log(
        crate::ports::Severity::Error,
        "a setting is invalid",
        &fields,
    );
    let error = AuthError::new(
        Kind::ResourceUnavailable,
        "The service is misconfigured; see its log",
    );
    match principal {
        Principal::Operator => error.detail("problem", problem),
        _ => error,
    }
}

#[cfg(not(feature = "edge"))]
fn context<'a>(settings: &'a Settings, caller: &'a Caller) -> Context<'a> {
    Context {
        ports: ports::all(),
        settings,
        caller,
        authority: Rc::default(),
        trail: Rc::default(),
        progress: None,
        log_level: None,
    }
}

#[cfg(not(feature = "edge"))]
fn operator() -> Caller {
    Caller {
        principal: Principal::Operator,
        source: Source::from_peer(None),
    }
}
