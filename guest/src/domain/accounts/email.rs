//! Email addresses.

use std::borrow::Cow;
use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// RFC 5321 section 4.5.3.1.3 leaves 254 characters for an address.
const MAX_BYTES: usize = 254;
/// RFC 5321 section 4.5.3.1.1.
const MAX_LOCAL_BYTES: usize = 64;
/// The A-label form of a domain with this many bytes is longer than a domain may be, so it
/// need not be computed.
const MAX_WRITTEN_BYTES: usize = 1024;
/// The characters that a local part may contain in addition to letters, digits and dots:
/// `atext` of RFC 5322 section 3.2.3.
const MARKS: &str = "!#$%&'*+-/=?^_`{|}~";
/// Characters at the beginning of an address that mail programs mistake for an option, a
/// file or a command.
const MISLEADING_FIRST: [char; 3] = ['-', '/', '|'];
/// The code points that UTS #46 silently drops (status `ignored`), as ranges. Readers do
/// not see them, so an address must not contain them.
const IGNORED: [(char, char); 11] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{180b}', '\u{180d}'),
    ('\u{180f}', '\u{180f}'),
    ('\u{200b}', '\u{200b}'),
    ('\u{2060}', '\u{2060}'),
    ('\u{2064}', '\u{2064}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{e0100}', '\u{e01ef}'),
];

/// The address of a mailbox in the one form in which it is compared, stored, shown and
/// sent: the local part as written, and the domain in lower case, with A-labels if it is
/// internationalised (UTS #46, nontransitional). The form is printable ASCII with exactly
/// one `@` and without quotes, comments or a route, so that no mail program reads two
/// addresses, an option or a display name in it. Only a delivered message can show whether
/// the mailbox exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "email", "maxLength" = 254))]
pub struct Email(String);

/// The reason why a text is not accepted as an [`Email`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailError {
    /// There is no `@`.
    NoAt,
    /// There is nothing before the `@`.
    NoLocalPart,
    /// The local part contains this character, which is not ASCII.
    NotAscii(char),
    /// The local part is a quoted string.
    Quoted,
    /// There is a second `@`.
    TwoAts,
    /// The local part contains this other character, which mailboxes do not have.
    LocalCharacter(char),
    /// A dot is the first or last character of the local part, or follows another dot.
    Dots,
    /// The address begins with this character.
    First(char),
    /// The local part has more than 64 characters.
    LongLocalPart,
    /// The domain contains this invisible character.
    Unseen(char),
    /// The domain is an IP address.
    IpAddress,
    /// The domain is not valid.
    Domain,
    /// The domain has only one label.
    OneLabel,
    /// The address has more than 254 characters.
    Long,
}

impl Email {
    /// Returns the local part and the domain.
    pub fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('@').unwrap_or((&self.0, ""))
    }

    /// Returns the domain for readers, with the letters that its A-labels encode.
    pub fn domain_as_read(&self) -> Cow<'_, str> {
        let (_, domain) = self.parts();
        let hyphens = Hyphens::CheckFirstLast;
        let (read, _) = Uts46::new().to_unicode(domain.as_bytes(), AsciiDenyList::STD3, hyphens);
        read
    }

    /// Returns the address that messages are sent to.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the same text for all spellings of an address. RFC 5321 section 2.4 lets a
    /// host distinguish the case of a local part, but hardly any host does, and messages
    /// are sent to the address as its owner wrote it in any case.
    pub fn canonical(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Reports whether messages may be sent to the address. Only an old address that
    /// [`stored`] kept unchanged may be undeliverable.
    pub fn is_deliverable(&self) -> bool {
        parse(&self.0).is_ok_and(|parsed| parsed == self.0)
    }
}

/// Deserialises the address of a record. An address that was accepted under earlier,
/// weaker rules is kept as it is, so that its account remains usable: it is shown, but no
/// messages are sent to it.
pub fn stored<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Email>, D::Error> {
    let text: Option<String> = Deserialize::deserialize(input)?;
    Ok(text.map(|text| Email(parse(&text).unwrap_or(text))))
}

impl TryFrom<String> for Email {
    type Error = EmailError;

    fn try_from(text: String) -> Result<Email, EmailError> {
        parse(&text).map(Email)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> String {
        email.0
    }
}

/// Parses a text into the form of [`Email`], ignoring surrounding spaces.
fn parse(text: &str) -> Result<String, EmailError> {
    let text = text.trim();
    if text.len() > MAX_WRITTEN_BYTES {
        return Err(EmailError::Long);
    }
    let (local, domain) = text.rsplit_once('@').ok_or(EmailError::NoAt)?;
    check_local_part(local)?;
    let address = format!("{local}@{}", ascii_domain(domain)?);
    match address.len() > MAX_BYTES {
        true => Err(EmailError::Long),
        false => Ok(address),
    }
}

/// Accepts a dot-atom of RFC 5322 section 3.2.3. Quoted strings are rejected because they
/// are a second spelling of the same mailbox that programs disagree about.
fn check_local_part(local: &str) -> Result<(), EmailError> {
    let first = local.chars().next().ok_or(EmailError::NoLocalPart)?;
    if first == '"' {
        return Err(EmailError::Quoted);
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || MARKS.contains(c);
    match local.chars().find(|c| !is_allowed(*c)) {
        Some('@') => return Err(EmailError::TwoAts),
        Some(c) if !c.is_ascii() => return Err(EmailError::NotAscii(c)),
        Some(c) => return Err(EmailError::LocalCharacter(c)),
        None => {}
    }
    if MISLEADING_FIRST.contains(&first) {
        return Err(EmailError::First(first));
    }
    if local.split('.').any(str::is_empty) {
        return Err(EmailError::Dots);
    }
    match local.len() > MAX_LOCAL_BYTES {
        true => Err(EmailError::LongLocalPart),
        false => Ok(()),
    }
}

/// Returns the domain in lower case, with A-labels.
fn ascii_domain(domain: &str) -> Result<String, EmailError> {
    if domain.starts_with('[') {
        return Err(EmailError::IpAddress);
    }
    let is_ignored = |c: char| IGNORED.iter().any(|(from, to)| (*from..=*to).contains(&c));
    if let Some(c) = domain.chars().find(|c| is_ignored(*c)) {
        return Err(EmailError::Unseen(c));
    }
    let hyphens = Hyphens::CheckFirstLast;
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            hyphens,
            DnsLength::Verify,
        )
        .map_err(|_| EmailError::Domain)?;
    // No top-level domain is a number (RFC 3696 section 2): such a name is an IP address
    // in one of its spellings.
    match ascii.rsplit_once('.') {
        None => Err(EmailError::OneLabel),
        Some((_, top)) if top.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(EmailError::IpAddress)
        }
        Some(_) => Ok(ascii.into_owned()),
    }
}

impl fmt::Display for EmailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an email address such as name@example.com: ")?;
        match self {
            EmailError::NoAt => f.write_str("it has no '@'"),
            EmailError::NoLocalPart => f.write_str("there is nothing before the '@'"),
            EmailError::NotAscii(c) => write!(
                f,
                "it contains {} before the '@', where few mail servers accept anything but \
                 ASCII",
                Shown(*c)
            ),
            EmailError::Quoted => f.write_str("the part before the '@' must not contain quotes"),
            EmailError::TwoAts => f.write_str("it has more than one '@'; enter a single address"),
            EmailError::LocalCharacter(c) => write!(
                f,
                "it contains {} before the '@', where only letters, digits, dots and {MARKS} are allowed",
                Shown(*c)
            ),
            EmailError::Dots => {
                f.write_str("before the '@' a dot must not come first, last or after another dot")
            }
            EmailError::First(c) => write!(f, "it must not begin with '{c}'"),
            EmailError::LongLocalPart => {
                write!(
                    f,
                    "at most {MAX_LOCAL_BYTES} characters are allowed before the '@'"
                )
            }
            EmailError::Unseen(c) => {
                write!(
                    f,
                    "the domain contains {}, which is invisible; remove it",
                    Shown(*c)
                )
            }
            EmailError::IpAddress => {
                f.write_str("there is an IP address after the '@'; use a domain name")
            }
            EmailError::Domain => f.write_str(
                "the part after the '@' is not a domain name: labels of letters, digits and inner \
                 hyphens, at most 63 characters each, with dots between them",
            ),
            EmailError::OneLabel => f.write_str("the domain has no dot"),
            EmailError::Long => write!(f, "it has more than {MAX_BYTES} characters"),
        }
    }
}

/// A character in an error message, with its number unless it is plain ASCII.
struct Shown(char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ' ' => f.write_str("a space"),
            c if c.is_ascii_graphic() => write!(f, "'{c}'"),
            c if c.is_alphanumeric() => write!(f, "'{c}' (U+{:04X})", u32::from(c)),
            c => write!(f, "U+{:04X}", u32::from(c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Email, EmailError};

    fn parsed(text: &str) -> Result<String, EmailError> {
        Email::try_from(text.to_owned()).map(String::from)
    }

    fn canonical(text: &str) -> String {
        Email::try_from(text.to_owned()).unwrap().canonical()
    }

    #[test]
    fn spellings_of_the_same_address_are_equal() {
        assert_eq!(
            canonical("Alice@Example.COM"),
            canonical("alice@example.com")
        );
        for spelling in [
            "info@müller.example",
            "info@mu\u{308}ller.example",
            "info@MÜLLER.Example",
            "info@xn--mller-kva.example",
            "INFO@XN--MLLER-KVA.EXAMPLE",
            "info@müller。example",
            " info@müller.example\r\n",
        ] {
            assert_eq!(
                canonical(spelling),
                "info@xn--mller-kva.example",
                "{spelling}"
            );
        }
        // Nontransitional: ß is a letter of its own.
        assert_eq!(canonical("a@faß.de"), "a@xn--fa-hia.de");
    }

    #[test]
    fn addresses_are_displayed_and_sent_in_the_same_form() {
        for (written, form) in [
            ("Alice@Example.COM", "Alice@example.com"),
            ("Info@Müller.example", "Info@xn--mller-kva.example"),
            (
                "o'brien+tag=1@sub.example.org",
                "o'brien+tag=1@sub.example.org",
            ),
            ("a@r3---sn-x.example", "a@r3---sn-x.example"),
            ("a@例え.テスト", "a@xn--r8jz45g.xn--zckzah"),
            ("_@1.example", "_@1.example"),
        ] {
            assert_eq!(parsed(written).as_deref(), Ok(form), "{written}");
        }
        let email = Email::try_from("a@xn--mller-kva.example".to_owned()).unwrap();
        assert_eq!(email.domain_as_read(), "müller.example");
    }

    #[test]
    fn addresses_that_mailers_could_misread_are_rejected_with_the_reason() {
        use EmailError::*;
        let label = |length| format!("a@{}.example", "b".repeat(length));
        for (text, reason) in [
            ("", NoAt),
            ("a", NoAt),
            ("@example.com", NoLocalPart),
            ("a@b", OneLabel),
            ("a@b@c.example", TwoAts),
            ("a,b@example.com", LocalCharacter(',')),
            ("victim,attacker@example.com", LocalCharacter(',')),
            ("a@x.example,b@example.com", TwoAts),
            ("a<b@example.com", LocalCharacter('<')),
            ("A <a@example.com", LocalCharacter(' ')),
            ("a@example.com>", Domain),
            ("a(c)@example.com", LocalCharacter('(')),
            ("a@example.com(c)", Domain),
            ("mailto:a@example.com", LocalCharacter(':')),
            ("a;b@example.com", LocalCharacter(';')),
            ("a\\b@example.com", LocalCharacter('\\')),
            ("\"a,b\"@example.com", Quoted),
            ("\"bob\"@example.com", Quoted),
            ("b\"o\"b@example.com", LocalCharacter('"')),
            ("a b@example.com", LocalCharacter(' ')),
            ("a@c.example\r\nX: y", Domain),
            ("a\n@example.com", LocalCharacter('\n')),
            ("a..b@example.com", Dots),
            (".a@example.com", Dots),
            ("a.@example.com", Dots),
            ("-oQ/tmp@example.com", First('-')),
            ("/etc/passwd@example.com", First('/')),
            ("|id@example.com", First('|')),
            ("ü@example.com", NotAscii('ü')),
            ("\u{212a}@example.com", NotAscii('\u{212a}')),
            ("a\u{202e}@example.com", NotAscii('\u{202e}')),
            ("a\u{e0041}@example.com", NotAscii('\u{e0041}')),
            ("a\u{feff}@example.com", NotAscii('\u{feff}')),
            ("a@b.c\u{202e}moc", Domain),
            ("a@b\u{2028}.example", Domain),
            ("a@b\u{85}.example", Domain),
            ("a@b\u{e0041}.example", Domain),
            ("a@exam\u{ad}ple.com", Unseen('\u{ad}')),
            ("a@exam\u{200b}ple.com", Unseen('\u{200b}')),
            ("a@example.com\u{feff}", Unseen('\u{feff}')),
            ("a@[127.0.0.1]", IpAddress),
            ("a@[IPv6:::1]", IpAddress),
            ("a@127.0.0.1", IpAddress),
            ("a@１２７.0.0.1", IpAddress),
            ("a@example.1", IpAddress),
            ("a@.example", Domain),
            ("a@example..com", Domain),
            ("a@example.com.", Domain),
            ("a@-example.com", Domain),
            ("a@example-.com", Domain),
            ("a@exa_mple.com", Domain),
            ("a@exa mple.com", Domain),
            ("a@xn--a.example", Domain),
            ("a@℀.example", Domain),
            (&label(64), Domain),
            (&format!("{}@example.com", "a".repeat(65)), LongLocalPart),
            (
                &format!(
                    "{}@{}.{}.{}.example",
                    "a".repeat(64),
                    "b".repeat(60),
                    "b".repeat(60),
                    "b".repeat(60)
                ),
                Long,
            ),
            (&format!("a@{}.example", "b.".repeat(10_000)), Long),
        ] {
            assert_eq!(parsed(text), Err(reason), "{text:?}");
        }
        assert!(parsed(&label(63)).is_ok());
        assert!(parsed(&format!("{}@example.com", "a".repeat(64))).is_ok());
    }

    #[test]
    fn rejection_reasons_contain_no_invisible_characters() {
        for text in [
            "a\u{202e}@example.com",
            "a@exam\u{ad}ple.com",
            "a\u{7}@example.com",
        ] {
            let reason = parsed(text).unwrap_err().to_string();
            let seen = |c: char| c == ' ' || c.is_ascii_graphic();
            assert!(reason.chars().all(seen), "{reason:?}");
            assert!(reason.contains("U+"), "{reason}");
        }
    }

    #[test]
    fn stored_addresses_that_are_no_longer_accepted_are_kept_but_not_deliverable() {
        #[derive(serde::Deserialize)]
        struct Record {
            #[serde(default, deserialize_with = "super::stored")]
            email: Option<Email>,
        }
        let read = |text: &str| serde_json::from_str::<Record>(text).unwrap().email;
        for (text, shown, is_deliverable) in [
            (r#"{"email":"a..b@example.com"}"#, "a..b@example.com", false),
            (
                r#"{"email":"info@müller.example"}"#,
                "info@xn--mller-kva.example",
                true,
            ),
            (
                r#"{"email":"Alice@example.com"}"#,
                "Alice@example.com",
                true,
            ),
        ] {
            let email = read(text).unwrap();
            assert_eq!(email.as_str(), shown);
            assert_eq!(email.is_deliverable(), is_deliverable, "{text}");
        }
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"email":null}"#), None);
    }

    proptest! {
        /// An accepted address is already in the form in which it is sent, however it was
        /// written.
        #[test]
        fn parsing_a_parsed_address_returns_it_unchanged(
            text in "[a-zA-Z0-9.!#'+/=?^_`{|}~\"@ ,-]{1,12}@\\PC{0,12}\\.[\\PC]{1,4}",
        ) {
            if let Ok(form) = parsed(&text) {
                prop_assert_eq!(parsed(&form), Ok(form.clone()));
                prop_assert!(form.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", form);
                prop_assert_eq!(form.matches('@').count(), 1);
                prop_assert!(!form.contains(['"', ',', ';', ':', '<', '>', '(', ')', '[', ']', '\\']));
                prop_assert!(form.len() <= 254);
            }
        }
    }
}
