//! Recovery codes, which the owner of an account keeps in a safe place in case the phone
//! is lost. They are look-up secrets in the terms of NIST SP 800-63B-4 section 3.1.2; each
//! is valid for one login.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::error::Result;
use crate::ports::Ports;
use crate::types::id::Id;
use crate::types::mac;
use crate::types::secret::Secret;
use crate::unicode::without_separators;

/// The number of codes in a set.
pub const SET: usize = 10;
/// Crockford's base32, which omits symbols that are easily confused.
const SYMBOLS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// The number of symbols, of five bits each: 140 bits, which cannot be guessed at any
/// rate.
const LENGTH: usize = 28;
const GROUP: usize = 4;

/// A recovery code in its canonical form: symbols only.
#[derive(Clone)]
pub struct RecoveryCode(Zeroizing<String>);

/// The stored form of a recovery code: a keyed hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecoveryCodeHash(String);

impl RecoveryCode {
    fn random(ports: &Ports) -> Result<RecoveryCode> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        ports.random.fill(bytes.as_mut_slice())?;
        // 32 divides 256, so all symbols are equally likely.
        let symbols = bytes.iter().map(|byte| symbol(byte & 31));
        Ok(RecoveryCode(Zeroizing::new(symbols.collect())))
    }

    /// Parses what a user typed: in either case, with hyphens and spaces anywhere, and
    /// with the letters o, i and l in place of similar digits.
    pub fn parse(text: &str) -> Option<RecoveryCode> {
        let mut canonical = Zeroizing::new(String::with_capacity(LENGTH));
        for character in without_separators(text) {
            let character = match character.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            };
            let is_symbol = u8::try_from(character).is_ok_and(|byte| SYMBOLS.contains(&byte));
            if !is_symbol || canonical.len() == LENGTH {
                return None;
            }
            canonical.push(character);
        }
        (canonical.len() == LENGTH).then_some(RecoveryCode(canonical))
    }

    /// Formats the code in groups of four, as its owner receives it.
    fn to_secret(&self) -> Secret {
        let mut text = String::with_capacity(LENGTH + LENGTH / GROUP);
        for (index, character) in self.0.chars().enumerate() {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(character);
        }
        Secret::new(text)
    }

    fn hash(&self, user_id: Id, ports: &Ports) -> Result<RecoveryCodeHash> {
        let message = Zeroizing::new([user_id.as_bytes(), self.0.as_bytes()].concat());
        let hash = mac::of("recovery-code", &message, ports)?;
        Ok(RecoveryCodeHash(URL_SAFE_NO_PAD.encode(hash)))
    }
}

fn symbol(bits: u8) -> char {
    char::from(SYMBOLS[usize::from(bits) % SYMBOLS.len()])
}

/// Creates a set: the codes, which their owner sees once, and the hashes to store.
pub fn new_set(user_id: Id, ports: &Ports) -> Result<(Vec<Secret>, Vec<RecoveryCodeHash>)> {
    let (mut codes, mut hashes) = (Vec::new(), Vec::new());
    for _ in 0..SET {
        let code = RecoveryCode::random(ports)?;
        codes.push(code.to_secret());
        hashes.push(code.hash(user_id, ports)?);
    }
    Ok((codes, hashes))
}

/// Returns the rest of a set after this code was used, or `None` if the code is not in the
/// set.
pub fn without(
    code: &RecoveryCode,
    set: &[RecoveryCodeHash],
    user_id: Id,
    ports: &Ports,
) -> Result<Option<Vec<RecoveryCodeHash>>> {
    let hash = code.hash(user_id, ports)?;
    // All are compared, so that the time taken does not reveal which one matched.
    let matches: Vec<Choice> = set
        .iter()
        .map(|stored| stored.0.as_bytes().ct_eq(hash.0.as_bytes()))
        .collect();
    let rest: Vec<RecoveryCodeHash> = set
        .iter()
        .zip(matches)
        .filter(|(_, is_it)| !bool::from(*is_it))
        .map(|(stored, _)| stored.clone())
        .collect();
    Ok((rest.len() < set.len()).then_some(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    const OWNER: Id = Id::from_bytes([1; 16]);

    fn left(typed: &str, set: &[RecoveryCodeHash], owner: Id, world: &World) -> Option<usize> {
        let code = RecoveryCode::parse(typed)?;
        let rest = without(&code, set, owner, &world.ports()).unwrap();
        rest.map(|rest| rest.len())
    }

    #[test]
    fn a_set_has_ten_different_codes_of_seven_groups() {
        let (codes, hashes) = new_set(OWNER, &World::new().ports()).unwrap();
        assert_eq!((codes.len(), hashes.len()), (10, 10));
        let mut texts: Vec<&str> = codes.iter().map(Secret::expose).collect();
        for text in &texts {
            assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [4; 7]);
        }
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), 10);
    }

    #[test]
    fn recovery_codes_are_accepted_as_people_type_them() {
        let world = World::new();
        let canonical = "0123456789abcdefghjkmnpqrst1";
        let code = RecoveryCode::parse(canonical).unwrap();
        let set = [code.hash(OWNER, &world.ports()).unwrap()];
        for typed in [
            "0123-4567-89ab-cdef-ghjk-mnpq-rst1",
            "0123 4567 89AB CDEF GHJK MNPQ RST1",
            " O123-4567-89ab-cdef-ghjk-mnpq-rstl\n",
            "oi23456789abcdefghjkmnpqrstI",
            "0123\u{2011}4567\u{2013}89ab\u{a0}cdef\r\nghjk\tmnpq rst1",
        ] {
            assert_eq!(left(typed, &set, OWNER, &world), Some(0), "{typed:?}");
        }
        for other in [
            "0123-4567-89ab-cdef-ghjk-mnpq-rst",
            "0123-4567-89ab-cdef-ghjk-mnpq-rst11",
            "u123-4567-89ab-cdef-ghjk-mnpq-rst1",
            "0123-4567-89ab-cdef-ghjk-mnpq-rst2",
            "",
        ] {
            assert_eq!(left(other, &set, OWNER, &world), None, "{other:?}");
        }
    }

    #[test]
    fn only_the_used_code_is_removed_and_only_for_its_owner() {
        let world = World::new();
        let (codes, set) = new_set(OWNER, &world.ports()).unwrap();
        let third = codes[2].expose();
        let code = RecoveryCode::parse(third).unwrap();
        let rest = without(&code, &set, OWNER, &world.ports())
            .unwrap()
            .unwrap();
        assert_eq!(left(third, &rest, OWNER, &world), None);
        assert_eq!(left(codes[3].expose(), &rest, OWNER, &world), Some(8));
        let another = Id::from_bytes([2; 16]);
        assert_eq!(left(third, &set, another, &world), None);
    }
}
