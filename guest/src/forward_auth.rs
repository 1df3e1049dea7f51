//! Forward authentication: reports to a reverse proxy who sent a request.
//!
//! The operations `verify_token`, `introspect_token` and `check_permission` make all
//! decisions.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::domain::accounts::permission::Permission;
use crate::domain::context::{Context, Principal};
use crate::error::{AuthError, ErrorKind, FieldError, Result};
use crate::mcp::{self, Request, Response};
use crate::operations::{self, CheckPermission, Verification, VerifyToken};
use crate::ports::Ports;
use crate::settings::Settings;
use crate::types::secret::Secret;

/// The owner of a request's credential, and its scopes.
struct Subject {
    id: String,
    scopes: String,
}

/// Verifies the credential in a request's header fields, whose names are in lower case.
/// The status is 200 with `x-auth-subject` and `x-auth-scopes`, 401 with
/// `www-authenticate` (RFC 6750 section 3), or 403 if the owner lacks the `permission`.
///
/// A valid credential suffices even where `/mcp` requires an API key: a proxy that had to
/// add a key of its own would lend it to every request without a credential.
pub fn verify(
    headers: Vec<(String, String)>,
    peer: Option<String>,
    permission: Option<String>,
    settings: &Settings,
    ports: Ports,
) -> Response {
    let request = Request {
        transport: mcp::Transport::Http,
        headers,
        peer,
        body: Vec::new(),
    };
    if let Err(refusal) = mcp::check_credentials(&request, ports) {
        return refusal;
    }
    let caller = mcp::caller(&request);
    let context = Context {
        ports,
        settings,
        caller: &caller,
        standing: None,
        trail: Rc::default(),
        progress: None,
        log_level: None,
    };
    match subject(permission, &context) {
        Ok(subject) => Response {
            status: 200,
            headers: vec![
                ("x-auth-subject".to_owned(), subject.id),
                ("x-auth-scopes".to_owned(), subject.scopes),
            ],
            body: None,
        },
        Err(error) => refusal(&error, &context),
    }
}

fn subject(permission: Option<String>, context: &Context) -> Result<Subject> {
    let permission = permission.map(Permission::try_from).transpose();
    let permission = permission
        .map_err(|problem| AuthError::invalid(vec![FieldError::new("permission", problem)]))?;
    let subject = match &context.caller.principal {
        Principal::AccessToken(token) => of_access_token(token, context)?,
        Principal::ApiKey(key) => of_api_key(key, context)?,
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
        require(permission, context)?;
    }
    Ok(subject)
}

fn of_access_token(token: &Secret, context: &Context) -> Result<Option<Subject>> {
    let operation = VerifyToken {
        token: token.clone(),
        audience: None,
    };
    Ok(match operations::call(operation, &json!({}), context)? {
        Verification::Active(claims) => Some(Subject {
            id: claims.sub.to_string(),
            scopes: claims.scope,
        }),
        Verification::Inactive => None,
    })
}

fn of_api_key(key: &Secret, context: &Context) -> Result<Option<Subject>> {
    let key = operations::introspect_own_key(key, context)?;
    Ok(key.map(|key| Subject {
        id: key.user_id.to_string(),
        scopes: key.scope,
    }))
}

fn require(permission: Permission, context: &Context) -> Result<()> {
    let asked = permission.as_str().to_owned();
    let input = json!({"permission": asked});
    let operation = CheckPermission {
        permission,
        token: None,
        audience: None,
    };
    match operations::call(operation, &input, context)?.allowed {
        true => Ok(()),
        false => {
            let error = AuthError::new(ErrorKind::Authorization, "Not permitted");
            Err(error.detail("permission", asked))
        }
    }
}

fn refusal(error: &AuthError, context: &Context) -> Response {
    let is_shown = !matches!(context.caller.principal, Principal::Anonymous);
    let reason = match &error.kind {
        ErrorKind::Authentication if is_shown => Some(", error=\"invalid_token\""),
        ErrorKind::Authentication => Some(""),
        ErrorKind::Authorization => Some(", error=\"insufficient_scope\""),
        _ => None,
    };
    let mut headers = mcp::retry_after(error);
    if let Some(reason) = reason {
        let challenge = format!("Bearer realm=\"user-auth\"{reason}");
        headers.push(("www-authenticate".to_owned(), challenge));
    }
    let status = match &error.kind {
        // The proxy's question is wrong, not what its client sent.
        ErrorKind::Invalid(_) | ErrorKind::Application => 400,
        kind => kind.status(),
    };
    let object = error.to_object(context.now());
    let body = mcp::response(Value::Null, "error", object);
    mcp::json_response(status, headers, &body)
}
