//! Assertions by which clients prove who they are with a key of their own (RFC 7523 section
//! 2.2, in the form of draft-ietf-oauth-rfc7523bis: the audience is the issuer and nothing
//! else).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::client_keys;
use crate::domain::call::Call;
use crate::domain::clients::client::Client;
use crate::domain::clients::key_set;
use crate::error::Result;
use crate::json::{self, Node};
use crate::ports::{Algorithm, Expect};
use crate::storage::batch::{Batch, Commit};
use crate::types::mac;

/// The value of `client_assertion_type`.
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Longer than any assertion.
const MAX_BYTES: usize = 8 << 10;
/// The longest life, in seconds.
const MAX_LIFE: u64 = 300;
/// How many keys of a client are tried for an assertion that does not name its key, since each
/// takes time.
const MAX_TRIED: usize = 4;
/// By how much the clocks of client and service may differ, in seconds.
const SKEW: u64 = 30;
/// Members by which a header would choose the key itself (RFC 8725 section 3.10), and
/// extensions that would have to be understood (RFC 7515 section 4.1.11).
const REFUSED: [&str; 5] = ["crit", "jku", "jwk", "x5c", "x5u"];
/// The types of assertions; it may be left out.
const TYPES: [&str; 2] = ["jwt", "client-authentication+jwt"];

/// An assertion. Until its signature is verified, anyone may have made it.
pub struct Assertion<'a> {
    signed: &'a str,
    header: Node<'static>,
    claims: Node<'static>,
    signature: Vec<u8>,
}

impl<'a> Assertion<'a> {
    /// Returns the parts of a JWS in the compact form (RFC 7515 section 3.1).
    pub fn parse(text: &'a str) -> Option<Assertion<'a>> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Assertion {
            signed,
            header: part(header)?,
            claims: part(claims)?,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Returns the client that the assertion is about.
    pub fn client_id(&self) -> Option<&str> {
        self.claim("sub")
    }

    /// Reports whether this client has made it, for this service and for now, and shows it
    /// for the first time.
    ///
    /// Fails if that cannot be found out now.
    pub fn is_by(&self, client: &Client, call: &Call) -> Result<bool> {
        let expected = self.algorithm().zip(self.id_and_expiry(client, call));
        let Some((algorithm, (id, expires_at))) = expected else {
            return Ok(false);
        };
        let kid = self.header.get("kid").and_then(Node::as_str);
        let keys = client_keys::find(client, algorithm, kid, call)?;
        let mut signature = self.signature.clone();
        if algorithm == Algorithm::Es256 {
            lower_s(&mut signature);
        }
        for key in keys.iter().take(MAX_TRIED) {
            let (signing, message) = (call.ports.signing, self.signed.as_bytes());
            if signing.verify(algorithm, key, message, &signature)? {
                // Now only: a forged assertion must not use up the id of a good one.
                return is_first(id, expires_at, client, call);
            }
        }
        Ok(false)
    }

    fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// Returns a claim that is a NumericDate, in whole seconds. Returns `None` if it is none,
    /// and `Some(None)` if it is left out.
    fn seconds(&self, name: &str) -> Option<Option<u64>> {
        match self.claims.get(name) {
            None => Some(None),
            Some(Node::Number(number)) => Some(Some(number.as_f64()? as u64)),
            Some(_) => None,
        }
    }

    /// Returns the algorithm, if the header asks for nothing else.
    fn algorithm(&self) -> Option<Algorithm> {
        if REFUSED.iter().any(|name| self.header.get(name).is_some()) {
            return None;
        }
        if let Some(typ) = self.header.get("typ") {
            let typ = typ.as_str()?.to_ascii_lowercase();
            if !TYPES.contains(&typ.as_str()) {
                return None;
            }
        }
        key_set::algorithm(self.header.get("alg")?.as_str()?)
    }

    /// Returns the id and the expiry, if the claims are those of this client for this service
    /// and for now (RFC 7523 section 3).
    fn id_and_expiry(&self, client: &Client, call: &Call) -> Option<(&str, u64)> {
        let client_id = client.client_id.to_string();
        // A list of audiences could name another service, which could then show the assertion
        // here as if it were the client.
        let is = |name: &str, expected: &str| self.claim(name) == Some(expected);
        // `sub` is the id by which the client was found.
        if !is("iss", &client_id) || !is("aud", &call.settings.issuer) {
            return None;
        }
        let now = call.now().seconds();
        let expires_at = self.seconds("exp")??;
        let is_over = now >= expires_at.saturating_add(SKEW);
        let begins_at = self.seconds("iat")?.max(self.seconds("nbf")?);
        let is_too_early = begins_at.is_some_and(|at| at > now + SKEW);
        if is_over || is_too_early || expires_at > now + MAX_LIFE + SKEW {
            return None;
        }
        let id = self.claim("jti").filter(|id| !id.is_empty())?;
        Some((id, expires_at))
    }
}

/// Decodes and parses a part of a JWS.
fn part(text: &str) -> Option<Node<'static>> {
    let json = URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(json::parse(&json).ok()?.into_owned())
}

/// Reports whether an assertion with this id is shown for the first time. The store decides
/// between two that are shown at the same time.
fn is_first(id: &str, expires_at: u64, client: &Client, call: &Call) -> Result<bool> {
    let client_id = client.client_id.to_string();
    let name = mac::pseudonym(&["client-assertion", &client_id, id], &call.ports)?;
    let key = format!("client-assertion/{}", mac::to_hex(&name));
    // Longer than it is good, for other processes whose clocks are slower.
    let left = (expires_at + 2 * SKEW).saturating_sub(call.now().seconds());
    let mut batch = Batch::new();
    batch.put(key, Expect::Absent, &(), Some(left * 1000));
    Ok(call.commit(batch)? == Commit::Done)
}

/// The order of P-256 (FIPS 186-4 appendix D.1.2.3), in two halves.
const ORDER: [u128; 2] = [
    0xffffffff_00000000_ffffffff_ffffffff,
    0xbce6faad_a7179e84_f3b9cac2_fc632551,
];

/// Brings an ECDSA signature into the one of its two forms that is verified here, with S in
/// the lower half of its range. Clients make both. That others can change one form into the
/// other is harmless: an assertion is known by its id, not by its signature.
fn lower_s(signature: &mut [u8]) {
    let Some((_, s)) = signature.split_at_mut_checked(32) else {
        return;
    };
    let (halves, []) = s.as_chunks_mut::<16>() else {
        return;
    };
    let [high, low] = halves else {
        return;
    };
    let s = [u128::from_be_bytes(*high), u128::from_be_bytes(*low)];
    let (negated_low, borrow) = ORDER[1].overflowing_sub(s[1]);
    let negated_high = ORDER[0].checked_sub(s[0]);
    let negated_high = negated_high.and_then(|half| half.checked_sub(borrow.into()));
    if let Some(negated_high) = negated_high
        && [negated_high, negated_low] < s
    {
        *high = negated_high.to_be_bytes();
        *low = negated_low.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_two_forms_of_a_signature_the_one_with_low_s_remains() {
        let with_s = |s: [u8; 32]| [[7; 32], s].concat();
        let lowered = |mut signature: Vec<u8>| {
            lower_s(&mut signature);
            signature
        };
        let mut one = [0; 32];
        one[31] = 1;
        let minus_one = [ORDER[0].to_be_bytes(), (ORDER[1] - 1).to_be_bytes()];
        let minus_one = minus_one.concat().try_into().unwrap();
        assert_eq!(lowered(with_s(minus_one)), with_s(one));
        assert_eq!(lowered(with_s(one)), with_s(one));
        // Out of range, or of another length: as it was.
        for other in [
            with_s([0xff; 32]),
            vec![0xff; 63],
            vec![0xff; 65],
            Vec::new(),
        ] {
            assert_eq!(lowered(other.clone()), other);
        }
    }
}
