//! Step-up: a client whose token has too few scopes for an operation is told which to ask its
//! user for (RFC 6750 section 3.1, `insufficient_scope`).

use super::api_key_gate::protected_resource_url;
use crate::domain::accounts::permission::Permission;
use crate::domain::call::Call;
use crate::domain::caller::Principal;
use crate::domain::delegations::delegation;
use crate::domain::resources::resource;
use crate::domain::sessions::bearer;
use crate::error::{AuthError, ErrorKind, Result};

/// Returns the challenge for a call that has failed with this error, or `None` unless the
/// caller is a client that lacks a permission which its user can give to it. Other clients
/// would ask in vain.
pub fn challenge(error: &AuthError, call: &Call) -> Result<Option<String>> {
    let Some(scope) = scope(error, call)? else {
        return Ok(None);
    };
    let oauth = call.settings.oauth.as_ref();
    Ok(oauth.map(|oauth| {
        let metadata = protected_resource_url(&oauth.public_url);
        format!(
            "Bearer realm=\"user-auth\", error=\"insufficient_scope\", scope=\"{scope}\", \
             resource_metadata=\"{metadata}\""
        )
    }))
}

/// Returns the scope that the client needs: that of its token and the missing permission.
fn scope(error: &AuthError, call: &Call) -> Result<Option<String>> {
    let (Some(own), Principal::AccessToken(token)) =
        (resource::own_url(call.settings), &call.caller.principal)
    else {
        return Ok(None);
    };
    let details = error.details();
    let missing = details.get("permission").and_then(|name| name.as_str());
    let missing = missing.filter(|_| error.kind == ErrorKind::Authorization);
    let Some(missing) = missing.and_then(|name| Permission::try_from(name.to_owned()).ok()) else {
        return Ok(None);
    };
    let Some(live) = bearer::live(own.as_str(), token.expose(), call)? else {
        return Ok(None);
    };
    let Some(parties) = &live.parties else {
        return Ok(None);
    };
    let (client, resource) = (&parties.client, &parties.resource);
    let available = delegation::available(client, resource, &live.account.value, &call.ports)?;
    let scope = &live.claims.scope;
    let is_held = scope.split(' ').any(|held| held == missing.as_str());
    let can_be_given = available.iter().any(|it| it.scope == missing);
    Ok((can_be_given && !is_held)
        .then(|| format!("{scope} {}", missing.as_str()).trim().to_owned()))
}
