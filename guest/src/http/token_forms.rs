//! `POST /introspect` (RFC 7662) and `POST /revoke` (RFC 7009): two operations in the form
//! that OAuth libraries speak.
//!
//! Callers show their API key in its own header, as a bearer token, or as the password of
//! `Basic` (RFC 6749 section 2.3.1), the only scheme that many of these libraries have.
//! Clients of the authorization server show who they are as at the token endpoint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::dispatch::input::shortened;
use crate::domain::call::Call;
use crate::domain::clients::client_id::ClientId;
use crate::domain::credentials::api_key;
use crate::mcp::{Refusal, Response};
use crate::oauth::parameters::{Parameters, decode};
use crate::oauth::token_management;
use crate::operations::{Definition, IntrospectToken, Operation as _, RevokeToken};

/// Another scheme for a client that is not authenticated, beside those of MCP.
const BASIC: &str = "Basic realm=\"user-auth\"";

/// Names the scheme `Basic` beside the others that a client may use.
pub fn also_basic(mut refusal: Refusal) -> Refusal {
    for (name, value) in &mut refusal.headers {
        if name == "www-authenticate" {
            *value = format!("{value}, {BASIC}");
        }
    }
    refusal
}

/// What a request shows in its header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A client with its secret.
    Client,
    /// Nothing.
    Nothing,
    /// An API key or an access token.
    Other,
}

/// Returns what a request shows. The name of `Basic` tells clients from services, which show
/// their API key under any name.
pub fn shown(headers: &[(String, String)]) -> Shown {
    let value = |name: &str| {
        let mut fields = headers.iter().filter(|(known, _)| known == name);
        let first = fields.next().map(|(_, value)| value.as_str());
        (first, fields.next().is_some())
    };
    match (value("x-api-key"), value("authorization")) {
        ((None, _), (None, _)) => Shown::Nothing,
        ((None, _), (Some(authorization), false)) if is_of_client(authorization) => Shown::Client,
        _ => Shown::Other,
    }
}

fn is_of_client(authorization: &str) -> bool {
    let is_basic = authorization.split(' ').next();
    is_basic.is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"))
        && basic(authorization).is_some_and(|(name, password)| {
            ClientId::try_from(name).is_ok() && !api_key::is_key(&password)
        })
}

/// Answers a form that a client has sent, or returns `None` if the request names no client:
/// then a service has sent it.
pub fn of_client(
    operation: &Definition,
    headers: &[(String, String)],
    form: &[u8],
    call: &Call,
) -> Option<Response> {
    let form = Parameters::parse(form)?;
    let named = form.first("client_id").or(form.first("client_assertion"));
    if shown(headers) != Shown::Client && named.is_none() {
        return None;
    }
    let authorization = headers.iter().find(|(name, _)| name == "authorization");
    let authorization = authorization.map(|(_, value)| value.as_str());
    match operation.name {
        RevokeToken::NAME => Some(token_management::revoke(&form, authorization, call)),
        IntrospectToken::NAME => Some(token_management::introspect(&form, authorization, call)),
        _ => None,
    }
}

/// Puts an API key that is the password of `Basic` where the other ones are.
pub fn accept_basic(headers: &mut Vec<(String, String)>) -> Result<(), Refusal> {
    let is_basic = |(name, value): &(String, String)| {
        let scheme = value.trim_start().split(' ').next();
        name == "authorization" && scheme.is_some_and(|it| it.eq_ignore_ascii_case("basic"))
    };
    let Some(at) = headers.iter().position(is_basic) else {
        return Ok(());
    };
    let (_, value) = headers.remove(at);
    let key = password(&value).ok_or_else(|| {
        refused(
            "the header Authorization must be Basic with a name, a colon and an API key, in base64",
        )
    })?;
    match headers.iter().find(|(name, _)| name == "x-api-key") {
        Some((_, own)) if *own != key => Err(refused(
            "there are two API keys that differ, one of them as Basic; send one",
        )),
        Some(_) => Ok(()),
        None => {
            headers.push(("x-api-key".to_owned(), key));
            Ok(())
        }
    }
}

fn refused(problem: &str) -> Refusal {
    let mut refusal = Refusal::new(401, problem);
    let challenge = ("www-authenticate".to_owned(), BASIC.to_owned());
    refusal.headers.push(challenge);
    refusal
}

/// Returns the password of `Basic`.
fn password(value: &str) -> Option<String> {
    basic(value).map(|(_, password)| password)
}

/// Returns the name and the password of `Basic`, which OAuth encodes as in forms.
fn basic(value: &str) -> Option<(String, String)> {
    let (_, coded) = value.trim().split_once(' ')?;
    let text = String::from_utf8(STANDARD.decode(coded.trim_start()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((decode(name)?, decode(password)?))
}

/// Parses a form with these parameters, of which a `token` is required. A `token_type_hint`
/// is ignored, as both RFCs permit: what a token is, it shows by itself. Any other
/// parameter is rejected: the caller may have meant to ask for more than was read.
pub fn input(form: &[u8], parameters: &[&str]) -> Result<Map<String, Value>, String> {
    let form = str::from_utf8(form).map_err(|_| "the form is not UTF-8".to_owned())?;
    let mut input = Map::new();
    for field in form.split('&').filter(|_| !form.is_empty()) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let decoded = decode(name).zip(decode(value));
        let (name, value) = decoded.ok_or("the form has an escape that is not UTF-8")?;
        if name != HINT && !parameters.contains(&name.as_str()) {
            return Err(format!(
                "the parameter '{}' is unknown; there are {HINT} and {}",
                shortened(&name),
                parameters.join(", "),
            ));
        }
        if input.insert(name.clone(), value.into()).is_some() {
            return Err(format!("the parameter '{name}' occurs more than once"));
        }
    }
    input.remove(HINT);
    if let Some((name, _)) = input.iter().find(|(_, value)| *value == "") {
        return Err(format!("the parameter '{name}' is empty"));
    }
    match input.contains_key(TOKEN) {
        true => Ok(input),
        false => Err("the parameter 'token' is missing".to_owned()),
    }
}

const TOKEN: &str = "token";
const HINT: &str = "token_type_hint";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_has_one_token_and_nothing_unknown() {
        for (form, expected) in [
            ("token=a", json!({"token": "a"})),
            (
                "token=a%2Eb+c&token_type_hint=access_token",
                json!({"token": "a.b c"}),
            ),
            ("token_type_hint=&%74oken=a=b", json!({"token": "a=b"})),
            ("audience=x&token=a", json!({"token": "a", "audience": "x"})),
        ] {
            let read = input(form.as_bytes(), &["token", "audience"]).unwrap();
            assert_eq!(Value::from(read), expected, "{form}");
        }
        for form in [
            &b""[..],
            b"token",
            b"token=",
            b"token=a&token=a",
            b"token=a&%74oken=b",
            b"token=a&audience=b",
            b"token=a&client_secret=b",
            b"token=a&",
            b"token=%ff",
            b"token=a&token_type_hint=b&token_type_hint=b",
            b"token=\xff",
        ] {
            assert!(input(form, &["token"]).is_err(), "{form:?}");
        }
    }

    #[test]
    fn the_password_of_basic_counts_as_the_api_key() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let key = |fields: &[(String, String)]| {
            let mut fields = fields.to_vec();
            accept_basic(&mut fields).ok().map(|()| fields)
        };
        // "me:uak_x" in base64.
        let basic = field("authorization", "basic bWU6dWFrX3g=");
        let own = field("x-api-key", "uak_x");
        assert_eq!(key(std::slice::from_ref(&basic)), Some(vec![own.clone()]));
        assert_eq!(key(&[basic.clone(), own.clone()]), Some(vec![own]));
        assert!(key(&[basic, field("x-api-key", "uak_y")]).is_none());
        let bearer = field("authorization", "Bearer x");
        assert_eq!(key(std::slice::from_ref(&bearer)), Some(vec![bearer]));
        for value in ["Basic", "Basic ", "Basic bWU=", "Basic !", "basic /w=="] {
            assert!(key(&[field("authorization", value)]).is_none(), "{value}");
        }
    }
}
