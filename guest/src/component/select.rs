//! Selects the ports that are imported or built in, according to the features of the build,
//! and with them the settings and the call that an export begins with.

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
pub(super) use super::builtin::{
    NoStore as State, Unsupported as PasswordHashes, Unsupported as Signatures,
};
#[cfg(feature = "store-memory")]
pub(super) use super::standalone::memory::Memory as State;
#[cfg(any(feature = "store-memory", feature = "store-keyvalue"))]
pub(super) use super::standalone::with_state::{
    LoggedHash as PasswordHashes, LoggedSignatures as Signatures,
};
#[cfg(feature = "store-keyvalue")]
pub(super) use super::wasi_keyvalue::Keyvalue as State;

use std::env;

#[cfg(not(feature = "export-http"))]
use crate::domain::call::Call;
use crate::domain::caller::Principal;
#[cfg(not(feature = "export-http"))]
use crate::domain::caller::{Caller, Source};
#[cfg(not(feature = "export-http"))]
use crate::domain::env::Env;
#[cfg(not(feature = "export-http"))]
use crate::domain::reporter::Silent;
use crate::error::{AuthError, ErrorKind};
use crate::json;
use crate::settings::Settings;

/// Returns the settings in force, or an error if some of them are invalid: a guess
/// could be less safe than the intended value. Only the operator, who reads the log,
/// needs to learn which ones these are.
pub fn settings(asking: &Principal) -> Result<Settings, AuthError> {
    let settings = Settings::from_variables(env::vars());
    let settings = settings.map_err(|invalid| {
        let problems: Vec<String> = invalid.iter().map(ToString::to_string).collect();
        misconfigured(&problems, asking)
    })?;
    match ports::unsupported(&settings) {
        Some(problem) => Err(misconfigured(&[problem.to_owned()], asking)),
        None => Ok(settings),
    }
}

/// Logs the problems, and returns the error that tells them to the operator alone.
pub fn misconfigured(problems: &[String], asking: &Principal) -> AuthError {
    let telemetry = ports::all().telemetry;
    for problem in problems {
        telemetry.log(
            crate::ports::Severity::Error,
            "a setting cannot be used",
            &json::fields([("problem", problem.as_str().into())]),
        );
    }
    let error = AuthError::new(
        ErrorKind::ResourceUnavailable { retry_after: None },
        "The service is not configured rightly; its log says how",
    );
    match asking {
        Principal::Operator => error.detail("problems", problems),
        _ => error,
    }
}

#[cfg(not(feature = "export-http"))]
pub fn call<'a>(settings: &'a Settings, caller: &'a Caller) -> Call<'a> {
    let ports = ports::all();
    Call::new(Env { ports, settings }, caller, &Silent)
}

#[cfg(not(feature = "export-http"))]
pub fn operator() -> Caller {
    Caller {
        principal: Principal::Operator,
        source: Source::from_peer(None),
    }
}
