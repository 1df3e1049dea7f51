//! Who a client is (RFC 6749 section 2.3): by its secret in the form or as `Basic`, or by its
//! id alone if it is public.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::{OAuthError, Result};
use super::parameters::{Parameters, decode};
use crate::domain::clients::client::{Client, TokenEndpointAuthMethod};
use crate::domain::clients::client_id::ClientId;
use crate::domain::env::Env;
use crate::storage::record::{self, Stored};
use crate::types::secret::Secret;

/// Returns the client that has sent a form, with this `Authorization` header if it has one.
///
/// Fails with `invalid_client` unless the client is known and has proved who it is.
pub fn authenticate(
    form: &Parameters,
    authorization: Option<&str>,
    env: &Env,
) -> Result<Stored<Client>> {
    let (client_id, secret) = shown(form, authorization)?;
    let Ok(client_id) = ClientId::try_from(client_id) else {
        return Err(OAuthError::invalid_client());
    };
    let client = record::read::<Client>(Client::key(&client_id), &env.ports)?;
    let Some(client) = client else {
        return Err(OAuthError::invalid_client());
    };
    let is_authenticated = match secret {
        None => client.value.token_endpoint_auth_method() == TokenEndpointAuthMethod::None,
        Some(secret) => client.value.has_secret(secret.expose(), &env.ports)?,
    };
    match is_authenticated {
        true => Ok(client),
        false => Err(OAuthError::invalid_client()),
    }
}

/// Returns the id and the secret that a client shows.
fn shown(form: &Parameters, authorization: Option<&str>) -> Result<(String, Option<Secret>)> {
    let id = form.only("client_id")?.map(str::to_owned);
    let secret = form.only("client_secret")?;
    let secret = secret.map(|secret| Secret::new(secret.to_owned()));
    let Some(header) = authorization else {
        let missing = || OAuthError::invalid_request("the parameter 'client_id' is missing");
        return Ok((id.ok_or_else(missing)?, secret));
    };
    let (basic_id, basic_secret) = basic(header).ok_or_else(OAuthError::invalid_client)?;
    let is_other = id.is_some_and(|id| id != basic_id);
    if is_other || secret.is_some() {
        // Section 2.3: not more than one method in each request.
        let problem = "the client shows who it is in two ways; use one";
        return Err(OAuthError::invalid_request(problem));
    }
    Ok((basic_id, Some(basic_secret)))
}

/// Returns id and secret of `Basic`, both encoded as in forms. Ids and secrets consist of
/// characters that this encoding does not change, so clients that leave it out are read as
/// well.
fn basic(header: &str) -> Option<(String, Secret)> {
    let (scheme, coded) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = Secret::new(String::from_utf8(STANDARD.decode(coded.trim_start()).ok()?).ok()?);
    let (id, secret) = text.expose().split_once(':')?;
    Some((decode(id)?, Secret::new(decode(secret)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        form: &str,
        header: Option<&str>,
    ) -> std::result::Result<(String, String), &'static str> {
        let form = Parameters::parse(form.as_bytes()).unwrap();
        let (id, secret) = shown(&form, header).map_err(|error| error.code)?;
        Ok((
            id,
            secret.map_or_else(String::new, |it| it.expose().to_owned()),
        ))
    }

    /// A10.
    #[test]
    fn a_client_shows_who_it_is_in_one_way() {
        // "a:b%2Dc" in base64.
        let basic = Some("basic YTpiJTJEYw==");
        let pair = |id: &str, secret: &str| Ok((id.to_owned(), secret.to_owned()));
        assert_eq!(read("client_id=a", None), pair("a", ""));
        assert_eq!(read("client_id=a&client_secret=", None), pair("a", ""));
        assert_eq!(read("client_id=a&client_secret=b", None), pair("a", "b"));
        assert_eq!(read("", basic), pair("a", "b-c"));
        assert_eq!(read("client_id=a", basic), pair("a", "b-c"));
        for (form, header, code) in [
            ("", None, "invalid_request"),
            ("client_id=a&client_id=a", None, "invalid_request"),
            (
                "client_id=a&client_secret=b&client_secret=b",
                None,
                "invalid_request",
            ),
            ("client_id=x", basic, "invalid_request"),
            ("client_id=a&client_secret=b-c", basic, "invalid_request"),
            ("client_id=a", Some("Bearer x"), "invalid_client"),
            ("client_id=a", Some("Basic !"), "invalid_client"),
        ] {
            assert_eq!(read(form, header), Err(code), "{form} {header:?}");
        }
    }
}
