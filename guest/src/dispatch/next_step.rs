//! The next step after an error, for models that otherwise guess: a tool and its arguments.

use serde_json::{Map, Value};

use super::operation::tool_name;
use crate::domain::access::toolset::Offer;
use crate::error::{AuthError, Cause};
use crate::json;
use crate::operations::{self, BeginSignIn, Missing, Operation, Withheld};
use crate::ports::Credential;

/// Returns `{tool, arguments}` for an error of this operation, to a caller with this kind of
/// credential, or `None` if no single step follows from it. The arguments are a beginning:
/// they contain no secret, and the caller adds what the tool requires.
pub fn after(
    error: &AuthError,
    operation: &str,
    credential: Credential,
    offer: Offer,
    has_pages: bool,
) -> Option<Value> {
    let (next, argument) = match error.cause? {
        Cause::InvalidToken if operation == "refresh_token" => ("login", None),
        Cause::InvalidToken => ("refresh_token", None),
        Cause::NoSession | Cause::WeakSession | Cause::InvalidChallenge => ("login", None),
        // It explains what users may do, and so needs one.
        Cause::NotPermitted if credential != Credential::AccessToken => return None,
        Cause::NotPermitted => ("explain_permissions", permission(error)),
        // Its action names the page; the next call is the same one.
        Cause::NotApproved => return None,
        Cause::UnknownOperation => ("get_capabilities", None),
        Cause::UnknownUser => ("list_users", detail(error, "username", "search")),
        Cause::UnknownRole => ("list_roles", None),
        Cause::UnknownSession => ("list_sessions", None),
        Cause::UnknownApiKey => ("list_api_keys", None),
        Cause::UnknownGrant => ("list_grants", None),
        Cause::UnknownClient => ("list_clients", None),
        Cause::UnknownResource => ("list_resources", None),
        Cause::NoSecondFactor => ("enroll_totp", None),
    };
    // Without tools that take a password, the sign-in page is the next step.
    let next = match operations::offered(next, offer) {
        Err(Missing::Withheld(Withheld::Password)) if has_pages => BeginSignIn::NAME,
        _ => next,
    };
    // The caller cannot call what is not offered.
    operations::offered(next, offer).ok()?;
    let mut arguments = Map::new();
    if let Some((name, value)) = argument {
        arguments.insert(name, value);
    }
    let next = [
        ("tool", tool_name(next).into()),
        ("arguments", arguments.into()),
    ];
    Some(json::fields(next).into())
}

/// Returns the permission that the caller lacks, unless it is a grant of several.
fn permission(error: &AuthError) -> Option<(String, Value)> {
    detail(error, "permission", "permission")
        .filter(|(_, value)| value.as_str().is_some_and(|name| !name.contains('*')))
}

/// Returns a detail of the error as an argument with this name.
fn detail(error: &AuthError, name: &str, argument: &str) -> Option<(String, Value)> {
    let value = error.details().remove(name)?;
    Some((argument.to_owned(), value))
}
