//! What the build selects: the ports that are imported or built in, and with them the
//! settings and the context that an export begins with.

#[cfg(all(feature = "store-memory", feature = "store-keyvalue"))]
compile_error!("a build has one store: enable store-memory or store-keyvalue");
#[cfg(all(
    any(feature = "store-memory", feature = "store-keyvalue"),
    not(feature = "ports-builtin")
))]
compile_error!("the host has the store: enable ports-builtin, or neither of the stores");
#[cfg(all(feature = "export-http", not(feature = "ports-builtin")))]
compile_error!("hosts of wasi:http offer no ports: enable ports-builtin with export-http");

#[cfg(not(feature = "ports-builtin"))]
pub(super) use super::host as ports;
#[cfg(feature = "ports-builtin")]
pub(super) use super::standalone as ports;

#[cfg(all(
    feature = "ports-builtin",
    not(any(feature = "store-memory", feature = "store-keyvalue"))
))]
pub(super) use super::builtin::{NoStore as State, Unsupported as PasswordHashes};
#[cfg(any(feature = "store-memory", feature = "store-keyvalue"))]
pub(super) use super::standalone::hash::LoggedHash as PasswordHashes;
#[cfg(feature = "store-memory")]
pub(super) use super::standalone::memory::Memory as State;
#[cfg(feature = "store-keyvalue")]
pub(super) use super::wasi_keyvalue::Keyvalue as State;

use std::env;
#[cfg(not(feature = "export-http"))]
use std::rc::Rc;

use crate::domain::context::Principal;
#[cfg(not(feature = "export-http"))]
use crate::domain::context::{Caller, Context, Source};
use crate::error::{AuthError, ErrorKind};
use crate::json;
use crate::settings::Settings;

/// Returns the settings in force, or an error if one of them is invalid: a guess
/// could be less safe than the intended value. Only the operator, who reads the log,
/// needs to learn which one it is.
pub fn settings(asking: &Principal) -> Result<Settings, AuthError> {
    Settings::from_variables(env::vars())
        .map_err(|invalid| misconfigured(&invalid.to_string(), asking))
}

pub fn misconfigured(problem: &str, asking: &Principal) -> AuthError {
    let fields = json::fields([("problem", problem.into())]);
    let telemetry = ports::all().telemetry;
    telemetry.log(
        crate::ports::Severity::Error,
        "a setting cannot be used",
        &fields,
    );
    let error = AuthError::new(
        ErrorKind::ResourceUnavailable { retry_after: None },
        "The service is not configured rightly; its log says how",
    );
    match asking {
        Principal::Operator => error.detail("problem", problem),
        _ => error,
    }
}

#[cfg(not(feature = "export-http"))]
pub fn context<'a>(settings: &'a Settings, caller: &'a Caller) -> Context<'a> {
    Context {
        ports: ports::all(),
        settings,
        caller,
        standing: None,
        trail: Rc::default(),
        progress: None,
        log_level: None,
    }
}

#[cfg(not(feature = "export-http"))]
pub fn operator() -> Caller {
    Caller {
        principal: Principal::Operator,
        source: Source::from_peer(None),
    }
}
