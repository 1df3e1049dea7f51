//! What a request over HTTP shows to say who calls.

use super::protocol::Request;
use crate::domain::credentials::api_key;

/// The access token and the API key of a request, good or not.
pub struct Credentials<'a> {
    pub access_token: Option<&'a str>,
    pub api_key: Option<&'a str>,
}

/// Why a request does not say who calls. To go on without the part that is not
/// understood would be to act for another caller than the one who was meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Unclear {
    /// It shows two API keys that differ: another part of the way could take the other
    /// one.
    TwoKeys,
    /// `Authorization` is there, and is not the scheme `Bearer` with a token.
    NotBearer,
    /// This header is there more than once.
    Repeated(&'static str),
}

impl<'a> Credentials<'a> {
    /// Reads them. A key comes in the header of its own, or as a bearer token, which is
    /// all that many clients can send.
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

/// The token of a header, which is not empty. RFC 6750 section 2.1; the scheme's case
/// does not matter (RFC 9110 section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
