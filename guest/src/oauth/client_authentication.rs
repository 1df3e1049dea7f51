//! Who a client is (RFC 6749 section 2.3): by its secret in the form or as `Basic`, by an
//! assertion that it has signed, or by its id alone if it is public.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::client_assertion::{self, Assertion};
use super::error::{OAuthError, Result};
use super::parameters::{Parameters, decode};
use crate::domain::call::Call;
use crate::domain::clients::client::{Client, TokenEndpointAuthMethod};
use crate::domain::clients::client_id::ClientId;
use crate::storage::record::{self, Stored};
use crate::types::secret::Secret;

/// Returns the client that has sent a form, with this `Authorization` header if it has one.
///
/// Fails with `invalid_client` unless the client is known and has proved who it is.
pub fn authenticate(
    form: &Parameters,
    authorization: Option<&str>,
    call: &Call,
) -> Result<Stored<Client>> {
    let (client_id, proof) = shown(form, authorization)?;
    let Ok(client_id) = ClientId::try_from(client_id) else {
        return Err(OAuthError::invalid_client());
    };
    let client = record::read::<Client>(Client::key(&client_id), &call.ports)?;
    let Some(client) = client else {
        return Err(OAuthError::invalid_client());
    };
    let is_authenticated = match proof {
        Proof::None => client.value.token_endpoint_auth_method() == TokenEndpointAuthMethod::None,
        Proof::Secret(secret) => client.value.has_secret(secret.expose(), &call.ports)?,
        Proof::Assertion(assertion) => assertion.is_by(&client.value, call)?,
    };
    match is_authenticated {
        true => Ok(client),
        false => Err(OAuthError::invalid_client()),
    }
}

/// What a client shows to prove who it is.
enum Proof<'a> {
    None,
    Secret(Secret),
    Assertion(Assertion<'a>),
}

/// The parameters by which a client can show who it is.
const PARAMETERS: [&str; 4] = [
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

/// Returns the id that a client shows, and its proof.
fn shown<'a>(form: &'a Parameters, authorization: Option<&str>) -> Result<(String, Proof<'a>)> {
    let mut given = [None; 4];
    for (value, name) in given.iter_mut().zip(PARAMETERS) {
        *value = form.only(name)?;
    }
    let problem = match (given, authorization) {
        ([Some(id), None, None, None], None) => return Ok((id.to_owned(), Proof::None)),
        ([Some(id), Some(secret), None, None], None) => {
            let secret = Secret::new(secret.to_owned());
            return Ok((id.to_owned(), Proof::Secret(secret)));
        }
        ([_, None, None, None], Some(header)) => {
            let (id, secret) = basic(header).ok_or_else(OAuthError::invalid_client)?;
            if given[0].is_none_or(|given| given == id) {
                return Ok((id, Proof::Secret(secret)));
            }
            TWO_WAYS
        }
        // RFC 7521 section 4.2: the assertion names the client.
        ([id, None, Some(text), Some(client_assertion::TYPE)], None) => {
            let assertion = Assertion::parse(text).ok_or_else(OAuthError::invalid_client)?;
            let subject = assertion.client_id().unwrap_or_default();
            return match id.is_none_or(|id| id == subject) {
                true => Ok((subject.to_owned(), Proof::Assertion(assertion))),
                false => Err(OAuthError::invalid_client()),
            };
        }
        ([_, _, None, None], None) => "the parameter 'client_id' is missing",
        ([_, None, ..], None) => "'client_assertion' needs the 'client_assertion_type' of a JWT",
        _ => TWO_WAYS,
    };
    Err(OAuthError::invalid_request(problem))
}

/// RFC 6749 section 2.3: not more than one method in each request.
const TWO_WAYS: &str = "the client shows who it is in two ways; use one";

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
        let (id, proof) = shown(&form, header).map_err(|error| error.code)?;
        let secret = match proof {
            Proof::Secret(secret) => secret.expose().to_owned(),
            Proof::None | Proof::Assertion(_) => String::new(),
        };
        Ok((id, secret))
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
