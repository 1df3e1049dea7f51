//! Where the component meets its contract: the imports of `wit/` behind the
//! ports, and the exports of `wit/` in front of the operations and of MCP.
//!
//! What it is built with decides which: imports or what is inside, the interfaces of
//! `wit/` or HTTP.

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
fn settings(asking: &Principal) -> Result<Settings, AuthError> {
    Settings::from_variables(env::vars()).map_err(|invalid| {
        let fields = json::fields([("problem", invalid.to_string().into())]);
        let telemetry = ports::all().telemetry;
        telemetry.log(
            crate::ports::Severity::Error,
            "a setting cannot be used",
            &fields,
        );
        let error = AuthError::new(
            Kind::ResourceUnavailable,
            "The service is not configured rightly; its log says how",
        );
        match asking {
            Principal::Operator => error.detail("problem", invalid.to_string()),
            _ => error,
        }
    })
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
