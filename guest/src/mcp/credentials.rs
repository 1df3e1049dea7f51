//! The credentials of a request over HTTP.

use super::protocol::Request;
use crate::domain::credentials::api_key;

/// The access token and the API key of a request, valid or not.
pub struct Credentials<'a> {
    pub access_token: Option<&'a str>,
    pub api_key: Option<&'a str>,
}

/// Why the credentials of a request are unclear. Ignoring the part that is not understood
/// could mean acting for another caller than the intended one.
#[derive(Debug, PartialEq, Eq)]
pub enum Unclear {
    /// The request has two different API keys: an intermediary could use the other one.
    TwoKeys,
    /// `Authorization` is present, but is not the scheme `Bearer` with a token.
    NotBearer,
    /// This header occurs more than once.
    Repeated(&'static str),
}

impl<'a> Credentials<'a> {
    /// Reads the credentials. A key comes in its own header or as a bearer token, the only
    /// credential that many clients can send.
    pub fn of(request: &'a Request) -> Result<Credentials<'a>, Unclear> {
        let token = match only(request, "authorization")? {
            Some(value) => Some(bearer(value).ok_or(Unclear::NotBearer)?),
            None => None,
        };
        let (bearer_key, access_token) = match token {
            Some(token) if api_key::is_key(token) => (Some(token), None),
            token => (None, token),
        };
        let api_key = match (only(request, "x-api-key")?, bearer_key) {
            (Some(own), Some(bearer)) if own != bearer => return Err(Unclear::TwoKeys),
            (own, bearer) => own.or(bearer),
        };
        Ok(Credentials {
            access_token,
            api_key,
        })
    }
}

fn only<'a>(request: &'a Request, name: &'static str) -> Result<Option<&'a str>, Unclear> {
    let mut fields = request.headers.iter().filter(|(field, _)| field == name);
    let value = fields
        .next()
        .map(|(_, value)| value.trim_matches([' ', '\t']));
    match fields.next() {
        None => Ok(value),
        Some(_) => Err(Unclear::Repeated(name)),
    }
}

/// Returns the token of the header, unless it is empty (RFC 6750 section 2.1). The case
/// of the scheme does not matter (RFC 9110 section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
