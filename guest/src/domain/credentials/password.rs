//! Passwords: which are acceptable, and how they are stored.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::blocklist::{self, Owner};
use super::foreign_hash::{Cost, ForeignHash};
use crate::error::{AuthError, FieldError, Result};
use crate::ports::{Function, HashParameters, Ports};
use crate::settings::Settings;
use crate::storage::record;
use crate::types::mac;
use crate::unicode::{Unfit, opaque_string};

/// Longer passwords are not hashed at all.
pub const MAX_BYTES: usize = 1024;
const TOO_LONG: &str = "a password has at most 1,024 bytes";
const EMPTY: &str = "a password must not be empty";
const SALT_BYTES: usize = 16;
/// The length of hashes that this service creates.
pub const HASH_BYTES: u32 = 32;

/// A new password in its canonical form: RFC 8265 section 4.2 (OpaqueString), so that the
/// two ways to type `é` are the same password. At most 1,024 bytes.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(try_from = "Zeroizing<String>")]
#[schemars(with = "String", extend("format" = "password", "writeOnly" = true, "minLength" = 1))]
pub struct Password(Zeroizing<String>);

impl TryFrom<Zeroizing<String>> for Password {
    type Error = String;

    fn try_from(text: Zeroizing<String>) -> std::result::Result<Password, Self::Error> {
        if text.len() > MAX_BYTES {
            return Err(TOO_LONG.to_owned());
        }
        opaque_string(&text)
            .map(Password)
            .map_err(|unfit| match unfit {
                Unfit::Empty => EMPTY.to_owned(),
                unfit => format!(
                    "{unfit}; expected a text without control characters, line breaks and \
                 invisible characters"
                ),
            })
    }
}

impl TryFrom<String> for Password {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Password, Self::Error> {
        Password::try_from(Zeroizing::new(text))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A password as typed by the user of an account. It may be one that would not be accepted
/// as a new password: other systems have hashed tabs and line breaks.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(try_from = "Zeroizing<String>")]
#[schemars(with = "String", extend("format" = "password", "writeOnly" = true, "minLength" = 1))]
pub struct TypedPassword {
    typed: Zeroizing<String>,
    canonical: Option<Password>,
}

impl TypedPassword {
    /// Returns the form that this service hashes: the canonical form. A text without a
    /// canonical form is hashed as it was typed, which is not the canonical form of any
    /// other text.
    fn own_form(&self) -> &[u8] {
        let canonical = self.canonical.as_ref().map(|password| &password.0);
        canonical.unwrap_or(&self.typed).as_bytes()
    }

    /// Returns the forms that another system may have hashed: as typed, and the canonical
    /// form if it differs.
    pub(super) fn foreign_forms(&self) -> impl Iterator<Item = &[u8]> {
        let typed = self.typed.as_bytes();
        let canonical = Some(self.own_form()).filter(|canonical| *canonical != typed);
        std::iter::once(typed).chain(canonical)
    }
}

impl TryFrom<Zeroizing<String>> for TypedPassword {
    type Error = &'static str;

    fn try_from(typed: Zeroizing<String>) -> std::result::Result<TypedPassword, Self::Error> {
        if typed.len() > MAX_BYTES {
            return Err(TOO_LONG);
        }
        if typed.is_empty() {
            return Err(EMPTY);
        }
        // bcrypt terminates a password with a zero byte, so two passwords with one inside
        // could be equal.
        if typed.contains('\0') {
            return Err("a password must not contain U+0000");
        }
        let canonical = Password::try_from(typed.clone()).ok();
        Ok(TypedPassword { typed, canonical })
    }
}

impl TryFrom<String> for TypedPassword {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<TypedPassword, Self::Error> {
        TypedPassword::try_from(Zeroizing::new(text))
    }
}

impl fmt::Debug for TypedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedPassword(…)")
    }
}

/// Checks a new password against the policy: NIST SP 800-63B-4 section 3.1.1.2 requires a
/// minimum length, counted in code points, and a list of common and guessable passwords,
/// and forbids composition rules. `field` is the name of the input field.
///
/// Fails with -32000 and the reason.
pub fn check_policy(
    field: &str,
    password: &Password,
    owner: &Owner,
    settings: &Settings,
) -> Result<()> {
    let problem = if password.0.chars().count() < settings.password_min_length {
        format!(
            "a password has at least {} characters; a sentence is easy to remember",
            settings.password_min_length
        )
    } else if let Some(reason) = blocklist::find(&password.0, owner, settings) {
        format!("{reason}; a sentence of your own is easy to remember")
    } else {
        return Ok(());
    };
    Err(AuthError::invalid(vec![FieldError::new(field, problem)]))
}

/// A password as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordRecord(StoredHash);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum StoredHash {
    /// An Argon2id string in PHC form (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`), hashed
    /// with the derived pepper.
    Own(String),
    /// A hash of another system, until the first login.
    Imported(Imported),
}

/// A foreign hash. It is stored as a MAC over the hash under a key of the host, so that a
/// thief of the database cannot test passwords against it either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Imported {
    imported: Cost,
    /// The salt in base64.
    salt: String,
    /// The MAC in base64.
    seal: String,
}

// Not derived: a derived implementation would buffer the input, and try it on each
// variant.
impl<'de> Deserialize<'de> for StoredHash {
    fn deserialize<D: Deserializer<'de>>(input: D) -> std::result::Result<StoredHash, D::Error> {
        input.deserialize_any(StoredHashVisitor)
    }
}

struct StoredHashVisitor;

impl<'de> Visitor<'de> for StoredHashVisitor {
    type Value = StoredHash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stored password")
    }

    fn visit_str<E>(self, phc: &str) -> std::result::Result<StoredHash, E> {
        Ok(StoredHash::Own(phc.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> std::result::Result<StoredHash, A::Error> {
        Imported::deserialize(MapAccessDeserializer::new(fields)).map(StoredHash::Imported)
    }
}

impl PasswordRecord {
    /// Hashes a new password with a new salt.
    pub fn create(password: &Password, settings: &Settings, ports: &Ports) -> Result<Self> {
        PasswordRecord::hashed(password.0.as_bytes(), settings, ports)
    }

    /// Hashes a password that was verified again, with the parameters now in force.
    pub fn renew(password: &TypedPassword, settings: &Settings, ports: &Ports) -> Result<Self> {
        PasswordRecord::hashed(password.own_form(), settings, ports)
    }

    fn hashed(password: &[u8], settings: &Settings, ports: &Ports) -> Result<Self> {
        let mut salt = [0; SALT_BYTES];
        ports.random.fill(&mut salt)?;
        let parameters = settings.argon2_parameters(HASH_BYTES);
        let hash = argon2id(password, &salt, parameters, ports)?;
        Ok(PasswordRecord::of(parameters, &salt, &hash))
    }

    fn of(parameters: HashParameters, salt: &[u8], hash: &[u8]) -> PasswordRecord {
        PasswordRecord(StoredHash::Own(format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            parameters.memory_kib,
            parameters.iterations,
            parameters.parallelism,
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(hash),
        )))
    }

    /// Stores a hash of another system. It is never current, so the first login hashes the
    /// password again.
    pub fn import(foreign: &ForeignHash, ports: &Ports) -> Result<Self> {
        Ok(PasswordRecord(StoredHash::Imported(Imported {
            imported: foreign.cost,
            salt: STANDARD_NO_PAD.encode(&foreign.salt),
            seal: STANDARD_NO_PAD.encode(seal(&foreign.hash, ports)?),
        })))
    }

    /// Creates the record of an account that never logs in with a password, such as a
    /// service account: 256 random bits in place of a hash, which match no password.
    /// Verifying it takes the same work as any other record, and fails in the same way as
    /// a wrong password.
    pub fn unusable(settings: &Settings, ports: &Ports) -> Result<Self> {
        let mut salt = [0; SALT_BYTES];
        ports.random.fill(&mut salt)?;
        let mut hash = [0; HASH_BYTES as usize];
        ports.random.fill(&mut hash)?;
        let parameters = settings.argon2_parameters(HASH_BYTES);
        Ok(PasswordRecord::of(parameters, &salt, &hash))
    }

    /// Reports whether this is the correct password. It takes the same time for a correct
    /// and a wrong password of the same spelling, since a foreign hash may need two
    /// attempts.
    pub fn verify(&self, password: &TypedPassword, ports: &Ports) -> Result<bool> {
        let unreadable = || record::unreadable("a stored password", ports);
        match &self.0 {
            StoredHash::Own(text) => {
                let phc = Phc::parse(text).ok_or_else(unreadable)?;
                let hash = argon2id(password.own_form(), &phc.salt, phc.parameters, ports)?;
                Ok(hash.ct_eq(&phc.hash).into())
            }
            StoredHash::Imported(imported) => {
                let decode = |text| STANDARD_NO_PAD.decode(text).map_err(|_| unreadable());
                let (salt, expected) = (decode(&imported.salt)?, decode(&imported.seal)?);
                let mut is_right = Choice::from(0);
                // Every form is tried, even after a match: until the caller has counted
                // the attempt, nothing may distinguish a correct password from a wrong
                // one.
                for form in password.foreign_forms() {
                    let hash = Zeroizing::new(imported.imported.hash(form, &salt, ports)?);
                    is_right |= seal(&hash, ports)?.ct_eq(&expected);
                }
                Ok(is_right.into())
            }
        }
    }

    /// Returns the cost of verifying the password if another system hashed it.
    pub fn imported_cost(&self) -> Option<Cost> {
        match &self.0 {
            StoredHash::Own(_) => None,
            StoredHash::Imported(imported) => Some(imported.imported),
        }
    }

    /// Reports whether this service hashed the password with the parameters now in force.
    pub fn is_current(&self, settings: &Settings) -> bool {
        let StoredHash::Own(text) = &self.0 else {
            return false;
        };
        Phc::parse(text).is_some_and(|phc| phc.parameters == settings.argon2_parameters(HASH_BYTES))
    }

    /// Does the work of `verify` for an account that does not exist, so that the time does
    /// not reveal it: that of a foreign hash of this cost, or of this service's own.
    pub fn verify_decoy(
        password: &TypedPassword,
        cost: Option<Cost>,
        settings: &Settings,
        ports: &Ports,
    ) -> Result<()> {
        match cost {
            Some(cost) => {
                for form in password.foreign_forms() {
                    let hash = cost.hash(form, &[0; SALT_BYTES], ports)?;
                    seal(&Zeroizing::new(hash), ports)?;
                }
            }
            None => {
                let parameters = settings.argon2_parameters(HASH_BYTES);
                argon2id(password.own_form(), &[0; SALT_BYTES], parameters, ports)?;
            }
        }
        Ok(())
    }
}

fn seal(hash: &[u8], ports: &Ports) -> Result<[u8; 32]> {
    mac::of("imported-password-hash", hash, ports)
}

fn argon2id(
    password: &[u8],
    salt: &[u8],
    parameters: HashParameters,
    ports: &Ports,
) -> Result<Vec<u8>> {
    let function = Function::Argon2id {
        parameters,
        pepper: Some("password-pepper"),
    };
    Ok(ports.password_hash.hash(function, password, salt)?)
}

struct Phc {
    parameters: HashParameters,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Phc {
    fn parse(text: &str) -> Option<Phc> {
        let rest = text.strip_prefix("$argon2id$v=19$m=")?;
        let (memory_kib, rest) = rest.split_once(",t=")?;
        let (iterations, rest) = rest.split_once(",p=")?;
        let (parallelism, rest) = rest.split_once('$')?;
        let (salt, hash) = rest.split_once('$')?;
        let hash = STANDARD_NO_PAD.decode(hash).ok()?;
        Some(Phc {
            parameters: HashParameters {
                memory_kib: memory_kib.parse().ok()?,
                iterations: iterations.parse().ok()?,
                parallelism: parallelism.parse().ok()?,
                output_length: u32::try_from(hash.len()).ok()?,
            },
            salt: STANDARD_NO_PAD.decode(salt).ok()?,
            hash,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::accounts::username::Username;
    use crate::testing::World;

    fn password(text: &str) -> Password {
        Password::try_from(text.to_owned()).unwrap()
    }

    fn typed(text: &str) -> TypedPassword {
        TypedPassword::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn spellings_of_the_same_password_are_equal() {
        let world = World::new();
        let record = PasswordRecord::create(
            &password("cafe\u{301} au lait"),
            &world.settings,
            &world.ports(),
        )
        .unwrap();
        assert!(
            record
                .verify(&typed("caf\u{e9} au lait"), &world.ports())
                .unwrap()
        );
        assert!(
            !record
                .verify(&typed("cafe au lait"), &world.ports())
                .unwrap()
        );
    }

    #[test]
    fn passwords_longer_than_72_bytes_are_compared_in_full() {
        let world = World::new();
        let long = "x".repeat(100);
        let record =
            PasswordRecord::create(&password(&long), &world.settings, &world.ports()).unwrap();
        assert!(
            !record
                .verify(&typed(&format!("{}y", &long[..99])), &world.ports())
                .unwrap()
        );
    }

    #[test]
    fn the_length_is_checked_before_hashing() {
        assert!(Password::try_from("x".repeat(1024)).is_ok());
        assert!(Password::try_from("x".repeat(1025)).is_err());
        assert!(Password::try_from("x".repeat(1_000_000)).is_err());
        assert!(Password::try_from("with a \0 inside it".to_owned()).is_err());
    }

    #[test]
    fn password_errors_contain_the_rejected_character_but_not_the_password() {
        for (text, problem) in [
            ("", "a password must not be empty"),
            (
                "a secret \u{7} text",
                "U+0007 at position 10 is a control character; expected",
            ),
            (
                "a secrét\ttext",
                "U+0009 at position 9 is a control character",
            ),
            ("a secret\u{2028}", "U+2028 at position 9 is a line break"),
            (
                "\u{202e}a secret",
                "U+202E at position 1 is an invisible character",
            ),
            ("\u{fe0f}a secret", "U+FE0F at position 1 is a mark"),
            (
                "a secret\u{378}",
                "U+0378 at position 9 is not a character of Unicode 18.0",
            ),
            (
                "a secret\u{fffe}",
                "U+FFFE at position 9 is not a character of Unicode",
            ),
        ] {
            let error = Password::try_from(text.to_owned()).unwrap_err();
            assert!(error.starts_with(problem), "{text:?}: {error}");
            assert!(!error.contains("secr"), "{error}");
        }
    }

    #[test]
    fn stored_passwords_that_break_the_rules_for_new_passwords_still_verify() {
        let world = World::new();
        let ports = world.ports();
        let of_tab = PasswordRecord::renew(&typed("an old\tpassword"), &world.settings, &ports);
        let of_tab = of_tab.unwrap();
        assert!(of_tab.verify(&typed("an old\tpassword"), &ports).unwrap());
        assert!(!of_tab.verify(&typed("an old password"), &ports).unwrap());
        assert!(TypedPassword::try_from("an old\0password".to_owned()).is_err());
        assert!(TypedPassword::try_from(String::new()).is_err());
        assert!(TypedPassword::try_from("x".repeat(1025)).is_err());
    }

    #[test]
    fn password_length_is_counted_in_characters_not_bytes() {
        let settings = Settings::default();
        let name = Username::try_from("a-name".to_owned()).unwrap();
        let owner = Owner {
            username: &name,
            email: None,
        };
        let check = |text| check_policy("password", &password(text), &owner, &settings);
        assert!(check("süße grüße ört").is_err());
        assert!(check("süße grüße ört!").is_ok());
    }
}
