//! What a request over HTTP shows to say who calls.

use super::Request;
use crate::domain::api_key;

/// The access token and the API key of a request, good or not.
pub struct Credentials<'a> {
    pub access_token: Option<&'a str>,
    pub api_key: Option<&'a str>,
}

/// A request shows two API keys that differ: another part of the way could take the
/// other one.
#[derive(Debug)]
pub struct TwoKeys;

impl<'a> Credentials<'a> {
    /// Reads them. A key comes in the header of its own, or as a bearer token, which is
    /// all that many clients can send; of a header that is there more than once nothing
    /// is taken.
    pub fn of(request: &'a Request) -> Result<Credentials<'a>, TwoKeys> {
        let token = only(request, "authorization").and_then(bearer);
        let (bearer_key, access_token) = match token {
            Some(token) if api_key::is_key(token) => (Some(token), None),
            token => (None, token),
        };
        let api_key = match (only(request, "x-api-key"), bearer_key) {
            (Some(own), Some(bearer)) if own != bearer => return Err(TwoKeys),
            (own, bearer) => own.or(bearer),
        };
        Ok(Credentials {
            access_token,
            api_key,
        })
    }
}

fn only<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut fields = request.headers.iter().filter(|(field, _)| field == name);
    let (Some((_, value)), None) = (fields.next(), fields.next()) else {
        return None;
    };
    Some(value.trim_matches([' ', '\t']))
}

/// RFC 6750 section 2.1; the scheme's case does not matter (RFC 9110 section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' '))
}
