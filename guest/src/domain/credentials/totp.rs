//! Time-based one-time passwords (RFC 6238, that is RFC 4226 with a counter driven by the
//! clock): HMAC-SHA1, six digits, steps of 30 seconds. The RFC allows other choices, but
//! many apps support only these and silently show wrong codes for others.

use base32ct::{Base32UpperUnpadded, Encoding as _};
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::Deserialize;
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::ports::Ports;
use crate::types::id::Id;
use crate::types::mac;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;
use crate::unicode::without_separators;

/// How long an app shows a code.
pub const STEP_SECONDS: u64 = 30;
/// The number of digits of a code.
pub const DIGITS: usize = 6;
/// The length of a secret: RFC 4226 section 4 recommends 160 bits.
const SECRET_BYTES: usize = 20;

/// A one-time password: the six digits that the app shows.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(try_from = "Zeroizing<String>")]
#[schemars(with = "String", extend("format" = "password", "writeOnly" = true))]
pub struct TotpCode(u32);

impl TryFrom<Zeroizing<String>> for TotpCode {
    type Error = &'static str;

    fn try_from(text: Zeroizing<String>) -> std::result::Result<TotpCode, Self::Error> {
        TotpCode::parse(&text).ok_or("expected the six digits that the app shows")
    }
}

impl TotpCode {
    /// Parses what a user typed. Apps show the digits in two groups, and users type or
    /// copy the separators too.
    pub fn parse(text: &str) -> Option<TotpCode> {
        let digits: Zeroizing<String> = Zeroizing::new(without_separators(text).collect());
        // `parse` alone would accept a sign.
        let is_code = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then(|| digits.parse().ok().map(TotpCode))?
    }
}

/// The secret that the app and this service share.
pub struct TotpSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl TotpSecret {
    /// Derives the secret of an enrolment. It is not stored: it follows from a key of
    /// the host, the account, and the nonce of the enrolment.
    pub fn derive(user_id: Id, nonce: Id, ports: &Ports) -> Result<TotpSecret> {
        let message = [*user_id.as_bytes(), *nonce.as_bytes()].concat();
        let derived = Zeroizing::new(mac::of("totp-secret", &message, ports)?);
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        secret.copy_from_slice(&derived[..SECRET_BYTES]);
        Ok(TotpSecret(secret))
    }

    /// Encodes the secret for apps: base32 (RFC 4648 section 6) without padding.
    pub fn to_base32(&self) -> Secret {
        Secret::new(Base32UpperUnpadded::encode_string(self.0.as_slice()))
    }

    /// Returns the step that the code belongs to, or `None` if the code is wrong. Only the
    /// current, the previous and the next step are accepted, because the clocks of phones
    /// are slow or fast (RFC 6238 section 6), and only steps after the last accepted one,
    /// because a code is valid once.
    pub fn step_of(&self, code: &TotpCode, last: Option<u64>, now: Timestamp) -> Option<u64> {
        let current = step_at(now);
        let steps = [
            current.saturating_sub(1),
            current,
            current.saturating_add(1),
        ];
        // All three are always compared, so that the time taken does not reveal which one
        // was close.
        let right = steps.map(|step| {
            let expected = truncated(self.0.as_slice(), step)? % 1_000_000;
            bool::from(expected.ct_eq(&code.0)).then_some(step)
        });
        let mut accepted = right.into_iter().flatten();
        accepted.find(|step| last.is_none_or(|last| *step > last))
    }
}

/// Returns the number of whole steps since 1970.
pub fn step_at(now: Timestamp) -> u64 {
    now.seconds() / STEP_SECONDS
}

/// Returns 31 bits for a counter: the dynamic truncation of RFC 4226 section 5.3.
fn truncated(secret: &[u8], counter: u64) -> Option<u32> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).ok()?;
    mac.update(&counter.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let offset = usize::from(hash.last()? & 0x0f);
    let bytes = hash.get(offset..offset + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes) & 0x7fff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    const RFC_SECRET: &[u8] = b"12345678901234567890";

    fn secret() -> TotpSecret {
        TotpSecret(Zeroizing::new(RFC_SECRET.try_into().unwrap()))
    }

    fn code(secret: &TotpSecret, step: u64) -> TotpCode {
        TotpCode(truncated(secret.0.as_slice(), step).unwrap() % 1_000_000)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_ms(seconds * 1000)
    }

    #[test]
    fn counters_produce_the_codes_of_rfc_4226_appendix_d() {
        let truncations = [
            1_284_755_224,
            1_094_287_082,
            137_359_152,
            1_726_969_429,
            1_640_338_314,
            868_254_676,
            1_918_287_922,
            82_162_583,
            673_399_871,
            645_520_489,
        ];
        let codes = [
            755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871,
            520_489,
        ];
        for (counter, (whole, shown)) in truncations.into_iter().zip(codes).enumerate() {
            let found = truncated(RFC_SECRET, counter as u64).unwrap();
            assert_eq!(found, whole, "{counter}");
            assert_eq!(found % 1_000_000, shown, "{counter}");
        }
    }

    #[test]
    fn times_produce_the_codes_of_rfc_6238_appendix_b() {
        for (seconds, eight_digits) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            let found = truncated(RFC_SECRET, step_at(at(seconds))).unwrap();
            assert_eq!(found % 100_000_000, eight_digits, "{seconds}");
            let six_digits = TotpCode(eight_digits % 1_000_000);
            let step = secret().step_of(&six_digits, None, at(seconds));
            assert_eq!(step, Some(seconds / 30));
        }
    }

    #[test]
    fn codes_are_accepted_only_in_their_own_and_the_adjacent_time_steps() {
        let secret = secret();
        let code = code(&secret, 100);
        assert_eq!(secret.step_of(&code, None, at(99 * 30 - 1)), None, "early");
        assert_eq!(secret.step_of(&code, None, at(99 * 30)), Some(100));
        assert_eq!(secret.step_of(&code, None, at(100 * 30)), Some(100));
        assert_eq!(secret.step_of(&code, None, at(102 * 30 - 1)), Some(100));
        assert_eq!(secret.step_of(&code, None, at(102 * 30)), None, "late");
    }

    #[test]
    fn codes_of_steps_up_to_the_last_accepted_one_are_rejected() {
        let secret = secret();
        let (earlier, current, next) = (code(&secret, 99), code(&secret, 100), code(&secret, 101));
        let now = at(100 * 30);
        assert_eq!(secret.step_of(&earlier, Some(98), now), Some(99));
        assert_eq!(secret.step_of(&earlier, Some(99), now), None, "replayed");
        assert_eq!(secret.step_of(&earlier, Some(100), now), None, "earlier");
        assert_eq!(secret.step_of(&current, Some(100), now), None, "replayed");
        assert_eq!(secret.step_of(&current, Some(99), now), Some(100));
        assert_eq!(secret.step_of(&next, Some(100), now), Some(101), "ahead");
        assert_eq!(secret.step_of(&next, Some(101), now), None, "replayed");
        for one in [earlier, current] {
            assert_eq!(secret.step_of(&one, Some(101), now), None, "going back");
        }
    }

    #[test]
    fn codes_other_than_six_digits_are_rejected() {
        for good in [
            "012345",
            "012 345",
            " 012345 ",
            "012\u{a0}345",
            "012-345",
            "012\u{2011}345",
            "012\n345\r\n",
            "0-1 2\t3\u{2009}4\u{2013}5",
        ] {
            assert_eq!(TotpCode::parse(good).unwrap().0, 12_345, "{good}");
        }
        for bad in [
            "",
            "12345",
            "1234567",
            "+12345",
            "-12345",
            "12345a",
            "012.345",
            "012_345",
            "-",
            "١٢٣٤٥٦",
        ] {
            assert!(TotpCode::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn every_account_and_every_enrolment_has_its_own_secret() {
        let world = World::new();
        let secret = |user: u8, nonce: u8| {
            let id = |byte| Id::from_bytes([byte; 16]);
            let secret = TotpSecret::derive(id(user), id(nonce), &world.ports());
            secret.unwrap().to_base32().expose().to_owned()
        };
        assert_eq!(secret(1, 1), secret(1, 1));
        assert_ne!(secret(1, 1), secret(1, 2));
        assert_ne!(secret(1, 1), secret(2, 1));
        assert_eq!(secret(1, 1).len(), 32);
    }
}
