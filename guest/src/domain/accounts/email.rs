//! E-mail addresses.

use std::borrow::Cow;
use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// RFC 5321 section 4.5.3.1.3 leaves 254 characters for an address.
const MAX_BYTES: usize = 254;
/// RFC 5321 section 4.5.3.1.1.
const MAX_LOCAL_BYTES: usize = 64;
/// A domain of so many bytes has an A-label form that is longer than a domain may be,
/// so that there is no need to compute it.
const MAX_WRITTEN_BYTES: usize = 1024;
/// What may stand in the local part besides letters, digits and dots: `atext` of
/// RFC 5322 section 3.2.3.
const MARKS: &str = "!#$%&'*+-/=?^_`{|}~";
/// What mail programs take for something else than an address when it comes first: an
/// option, a file, a command.
const MISLEADING_FIRST: [char; 3] = ['-', '/', '|'];
/// The code points that UTS #46 drops without a trace (status `ignored`), as ranges.
/// Who sees the address does not see them, so they have no business in it.
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

/// The address of a mailbox, in the one form in which it is compared, stored, shown and
/// sent: the local part as it was written, and the domain in lower case, in A-labels
/// where it is an internationalised one (UTS #46, nontransitional). It is printable
/// ASCII, has one `@`, no quotes, no comments and no route, so that no mail program
/// reads two addresses, an option or a display name in it. Whether it is anybody's
/// mailbox, only a message that arrives can show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "email", "maxLength" = 254))]
pub struct Email(String);

/// Why a text is not taken for an [`Email`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailError {
    /// There is no `@`.
    NoAt,
    /// Nothing stands before the `@`.
    NoLocalPart,
    /// The local part has this character, which is not of ASCII.
    NotAscii(char),
    /// The local part is a quoted string.
    Quoted,
    /// There is a second `@`.
    TwoAts,
    /// The local part has this other character that mailboxes do not have.
    LocalCharacter(char),
    /// A dot is the first or the last character of the local part, or follows a dot.
    Dots,
    /// The address begins with this character.
    First(char),
    /// The local part has more than 64 characters.
    LongLocalPart,
    /// The domain has this character, which is not seen.
    Unseen(char),
    /// The domain is an IP address.
    IpAddress,
    /// The domain is none.
    Domain,
    /// The domain has one label only.
    OneLabel,
    /// The whole has more than 254 characters.
    Long,
}

impl Email {
    /// The part before the `@`, and the domain.
    pub fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('@').unwrap_or((&self.0, ""))
    }

    /// The domain as people read it, with the letters that its A-labels stand for.
    pub fn domain_as_read(&self) -> Cow<'_, str> {
        let (_, domain) = self.parts();
        let hyphens = Hyphens::CheckFirstLast;
        let (read, _) = Uts46::new().to_unicode(domain.as_bytes(), AsciiDenyList::STD3, hyphens);
        read
    }

    /// The address: where messages go.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is the same for two ways to write one address. RFC 5321 section 2.4
    /// lets a host tell the cases of a local part apart; next to none does, and
    /// messages go to the address as its owner wrote it in any case.
    pub fn canonical(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether messages may go there. Only a stored address that [`stored`] has kept
    /// as it was may be another.
    pub fn is_deliverable(&self) -> bool {
        parse(&self.0).is_ok_and(|parsed| parsed == self.0)
    }
}

/// Reads the address of a record. One that was accepted when less was asked of
/// addresses is kept as it is, so that its account goes on: it is shown, and no
/// message goes there.
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

/// The form of [`Email`], of a text that may have blanks around it.
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

/// A dot-atom of RFC 5322 section 3.2.3 is what passes: quoted strings are a second
/// way to write the same mailbox, and one that programs disagree about.
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

/// The domain in lower case, in A-labels.
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
    // No top-level domain is a number (RFC 3696 section 2): such a name is an IP
    // address, in one of its spellings.
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
        f.write_str("expected an e-mail address such as name@example.com: ")?;
        match self {
            EmailError::NoAt => f.write_str("this has no '@'"),
            EmailError::NoLocalPart => f.write_str("nothing stands before the '@'"),
            EmailError::NotAscii(c) => write!(
                f,
                "before the '@' stands {}, and few mail servers take other letters than those of \
                 ASCII there",
                Shown(*c)
            ),
            EmailError::Quoted => f.write_str("what stands before the '@' may have no quotes"),
            EmailError::TwoAts => f.write_str("it has more than one '@'; give one address alone"),
            EmailError::LocalCharacter(c) => write!(
                f,
                "before the '@' stands {}; letters, digits, dots and {MARKS} may stand there",
                Shown(*c)
            ),
            EmailError::Dots => {
                f.write_str("before the '@' no dot comes first, last or after another dot")
            }
            EmailError::First(c) => write!(f, "it may not begin with '{c}'"),
            EmailError::LongLocalPart => {
                write!(
                    f,
                    "at most {MAX_LOCAL_BYTES} characters may stand before the '@'"
                )
            }
            EmailError::Unseen(c) => {
                write!(
                    f,
                    "the domain has {}, which is not seen; leave it out",
                    Shown(*c)
                )
            }
            EmailError::IpAddress => {
                f.write_str("behind the '@' stands an IP address; give the name of a domain")
            }
            EmailError::Domain => f.write_str(
                "what stands behind the '@' is no domain: labels of letters, digits and inner \
                 hyphens, at most 63 characters each, with dots between them",
            ),
            EmailError::OneLabel => f.write_str("the domain has no dot"),
            EmailError::Long => write!(f, "it has more than {MAX_BYTES} characters"),
        }
    }
}

/// A character in a message: by its number as well, where it may not be seen.
struct Shown(char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ' ' => f.write_str("a blank"),
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
    fn the_ways_to_write_one_address_are_one() {
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
    fn an_address_is_shown_and_sent_in_one_form() {
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
    fn what_mailers_could_read_otherwise_is_refused_with_the_reason() {
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
    fn a_reason_shows_no_character_that_is_not_seen() {
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
    fn a_stored_address_that_is_not_taken_any_more_is_kept_and_not_sent_to() {
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
        /// What is accepted is in the form in which it is sent, whatever was written.
        #[test]
        fn the_form_is_its_own_form(
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
