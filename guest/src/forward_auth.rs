//! Forward authentication: reports to a reverse proxy who sent a request.
//!
//! The operations `verify_token`, `introspect_token` and `check_permission` make all
//! decisions.

use serde_json::json;

use crate::domain::accounts::permission::Permission;
use crate::domain::call::Call;
use crate::domain::caller::Principal;
use crate::domain::env::Env;
use crate::domain::reporter::Silent;
use crate::error::{AuthError, ErrorKind, FieldError, Result};
use crate::mcp::{self, Refusal, Request, Response};
use crate::operations::{self, CheckPermission, Verification, VerifyToken};
use crate::ports::Ports;
use crate::settings::Settings;
use crate::types::secret::Secret;

/// The owner of a request's credential, and its scopes.
struct Subject {
    id: String,
    scopes: String,
}

/// Verifies the credential in a request's header fields. The status is 200 with
/// `x-auth-subject` and `x-auth-scopes`, 401 with `www-authenticate` (RFC 6750 section 3),
/// or 403 if the owner lacks the `permission`.
///
/// A valid credential suffices even where `/mcp` requires an API key: a proxy that had to
/// add a key of its own would lend it to every request without a credential.
pub fn verify(
    request: &Request,
    permission: Option<String>,
    settings: &Settings,
    ports: Ports,
) -> std::result::Result<Response, Refusal> {
    mcp::credentials(request, ports)?;
    let caller = mcp::caller(request);
    let call = Call::new(Env { ports, settings }, &caller, &Silent);
    match subject(permission, &call) {
        Ok(subject) => Ok(Response {
            status: 200,
            headers: vec![
                ("x-auth-subject".to_owned(), subject.id),
                ("x-auth-scopes".to_owned(), subject.scopes),
            ],
            body: None,
        }),
        Err(error) => Err(refusal(&error, &call)),
    }
}

fn subject(permission: Option<String>, call: &Call) -> Result<Subject> {
    let permission = permission.map(Permission::try_from).transpose();
    let permission = permission
        .map_err(|problem| AuthError::invalid(vec![FieldError::new("permission", problem)]))?;
    let subject = match &call.caller.principal {
        Principal::AccessToken(token) => of_access_token(token, call)?,
        Principal::ApiKey(key) => of_api_key(key, call)?,
        Principal::Anonymous | Principal::Operator => {
            return Err(AuthError::new(
                ErrorKind::Authentication,
                "An access token or an API key is required",
            )
            .detail(
                "expected",
                "the header Authorization: Bearer, or the header X-API-Key",
            ));
        }
    };
    let Some(subject) = subject else {
        return Err(AuthError::invalid_token());
    };
    if let Some(permission) = permission {
        require(permission, call)?;
    }
    Ok(subject)
}

fn of_access_token(token: &Secret, call: &Call) -> Result<Option<Subject>> {
    let operation = VerifyToken {
        token: Some(token.clone()),
        sign_in_id: None,
        audience: None,
    };
    Ok(match operations::call(operation, &json!({}), call)? {
        Verification::Active(claims) => Some(Subject {
            id: claims.sub.to_string(),
            scopes: claims.scope,
        }),
        Verification::Inactive => None,
    })
}

fn of_api_key(key: &Secret, call: &Call) -> Result<Option<Subject>> {
    let key = operations::introspect_own_key(key, call)?;
    Ok(key.map(|key| Subject {
        id: key.user_id.to_string(),
        scopes: key.scope,
    }))
}

fn require(permission: Permission, call: &Call) -> Result<()> {
    let asked = permission.as_str().to_owned();
    let input = json!({"permission": asked});
    let operation = CheckPermission {
        permission,
        token: None,
        sign_in_id: None,
        audience: None,
    };
    match operations::call(operation, &input, call)?.allowed {
        true => Ok(()),
        false => {
            let error = AuthError::new(ErrorKind::Authorization, "Not permitted");
            Err(error.detail("permission", asked))
        }
    }
}

fn refusal(error: &AuthError, call: &Call) -> Refusal {
    let is_shown = !matches!(call.caller.principal, Principal::Anonymous);
    let reason = match &error.kind {
        ErrorKind::Authentication if is_shown => Some(", error=\"invalid_token\""),
        ErrorKind::Authentication => Some(""),
        ErrorKind::Authorization => Some(", error=\"insufficient_scope\""),
        _ => None,
    };
    let mut refusal = Refusal::of(error, call.now());
    if let Some(reason) = reason {
        let challenge = format!("Bearer realm=\"user-auth\"{reason}");
        refusal.headers = vec![("www-authenticate".to_owned(), challenge)];
    }
    refusal
}
