//! Recovery codes: what the owner of an account keeps in a drawer for the day
//! that the phone is lost. Look-up secrets, as NIST SP 800-63B-4 section 3.1.2
//! calls them; each is good for one login.

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

/// How many there are in a set.
pub const SET: usize = 10;
/// Crockford's base32, which leaves out what is mistaken for something else.
const SYMBOLS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Of five bits each: 140 bits, which nobody guesses, however fast.
const LENGTH: usize = 28;
const GROUP: usize = 4;

/// A recovery code in its canonical form: symbols only.
#[derive(Clone)]
pub struct RecoveryCode(Zeroizing<String>);

/// What is stored of a recovery code.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecoveryCodeHash(String);

impl RecoveryCode {
    fn random(ports: &Ports) -> Result<RecoveryCode> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        ports.random.fill(bytes.as_mut_slice())?;
        // 32 divides 256: every symbol is as likely as any other.
        let symbols = bytes.iter().map(|byte| symbol(byte & 31));
        Ok(RecoveryCode(Zeroizing::new(symbols.collect())))
    }

    /// What somebody typed: in either case, with hyphens and blanks wherever they
    /// like, and with the letters o, i and l for the digits that they look like.
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

    /// In groups of four, as its owner gets it.
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

/// A new set: the codes, for their owner to see once, and what to store of them.
pub fn new_set(user_id: Id, ports: &Ports) -> Result<(Vec<Secret>, Vec<RecoveryCodeHash>)> {
    let (mut codes, mut hashes) = (Vec::new(), Vec::new());
    for _ in 0..SET {
        let code = RecoveryCode::random(ports)?;
        codes.push(code.to_secret());
        hashes.push(code.hash(user_id, ports)?);
    }
    Ok((codes, hashes))
}

/// What is left of a set once this code of it has been used; `None`: it is none
/// of them.
pub fn without(
    code: &RecoveryCode,
    set: &[RecoveryCodeHash],
    user_id: Id,
    ports: &Ports,
) -> Result<Option<Vec<RecoveryCodeHash>>> {
    let hash = code.hash(user_id, ports)?;
    // All are compared, so that time does not tell which one it was.
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
    fn a_set_has_ten_codes_of_seven_groups_no_two_alike() {
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
    fn a_code_is_taken_as_people_type_it() {
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
    fn only_the_code_that_was_used_goes_and_only_for_its_owner() {
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
