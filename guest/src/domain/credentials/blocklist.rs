//! Guessable passwords: common ones, and those that an attacker would try who knows the
//! name of the owner or of the service.
//!
//! NIST SP 800-63B-4 section 3.1.1.2 requires comparing whole passwords, not their parts:
//! a common word in a sentence does no harm. So a password is rejected only if it consists
//! of one such word, repeated or surrounded by digits and punctuation, or of runs of
//! adjacent keys and repetitions.

use zeroize::Zeroizing;

use crate::assets::{Packed, packed};
use crate::domain::accounts::email::Email;
use crate::domain::accounts::username::Username;
use crate::settings::Settings;
use crate::unicode::nfkc;

/// Common passwords in lower case and NFKC, sorted by bytes, one per line: the most
/// frequent ones with at least 8 characters of the list in zxcvbn (MIT, see
/// `blocklist/common-passwords.LICENSE`), and the most frequent words of 5 to 7 letters,
/// which are as bad when repeated.
static COMMON: Packed = packed!("common-passwords.txt");

/// Sequences of adjacent keys and of the alphabet. A run may continue from the end of a
/// row at its beginning.
const ROWS: [&str; 8] = [
    "abcdefghijklmnopqrstuvwxyz",
    "1234567890",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "qwertyuiop[]asdfghjkl;'zxcvbnm,./",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "!@#$%^&*()",
];
/// A shorter run of adjacent keys may be part of a word.
const SHORTEST_RUN: usize = 4;
/// A shorter word is not characteristic of its owner or the service.
const SHORTEST_WORD: usize = 3;

/// The owner of a password, whose names must not be used as the password.
pub struct Owner<'a> {
    /// The user name.
    pub username: &'a Username,
    /// The owner's email address.
    pub email: Option<&'a Email>,
}

/// Returns why the password is guessable, or `None` if it is acceptable.
pub fn find(password: &str, owner: &Owner, settings: &Settings) -> Option<&'static str> {
    let password = canonical(password);
    if is_rows_of_keys(&password) || is_common_repeated(&password) {
        return Some(
            "a password must not be one of the most common ones, a row of keys or a repetition",
        );
    }
    let words = context_words(owner, settings);
    if words.iter().any(|word| is_nothing_but(word, &password)) {
        return Some("a password must not consist of the name of its owner or of this service");
    }
    None
}

fn canonical(text: &str) -> Zeroizing<String> {
    // One letter may become two in the other case, which may compose again.
    let lower = Zeroizing::new(nfkc(text).to_lowercase());
    nfkc(&lower)
}

/// Reports whether the password consists of runs of one key or along a row, apart from
/// remaining digits and punctuation.
fn is_rows_of_keys(password: &str) -> bool {
    let keys: Vec<char> = password.chars().collect();
    let mut rest = &keys[..];
    while rest.len() >= SHORTEST_RUN {
        let run = longest_run(rest);
        if run < SHORTEST_RUN {
            break;
        }
        rest = &rest[run..];
    }
    let has_run = rest.len() < keys.len();
    (has_run && !rest.iter().any(|key| key.is_alphabetic())) || has_short_period(&keys)
}

/// Returns the length of the longest prefix that repeats one key or follows a row.
fn longest_run(keys: &[char]) -> usize {
    let first = keys[0];
    let same = keys.iter().take_while(|key| **key == first).count();
    let in_row = |row: &str| {
        let row: Vec<char> = row.chars().collect();
        let Some(start) = row.iter().position(|key| *key == first) else {
            return 0;
        };
        let forth = (0..).map(|step| row[(start + step) % row.len()]);
        let back = (0..).map(|step| row[(start + row.len() - step % row.len()) % row.len()]);
        common_prefix(keys, forth).max(common_prefix(keys, back))
    };
    ROWS.into_iter().map(in_row).fold(same, usize::max)
}

fn common_prefix(keys: &[char], row: impl Iterator<Item = char>) -> usize {
    let pairs = keys.iter().zip(row);
    pairs
        .take_while(|(key, expected)| **key == *expected)
        .count()
}

/// Reports whether the password repeats a few keys over and over.
fn has_short_period(keys: &[char]) -> bool {
    let longest = SHORTEST_RUN.min(keys.len() / 3);
    (1..=longest).any(|period| keys[period..] == keys[..keys.len() - period])
}

/// Reports whether the password is a common one, possibly repeated, and possibly
/// surrounded by digits and punctuation.
fn is_common_repeated(password: &str) -> bool {
    let stem = password.trim_matches(|c: char| !c.is_alphabetic());
    if is_common(password) || is_common(unit(password)) || is_common(unit(stem)) {
        return true;
    }
    let mut words = password.split(|c: char| !c.is_alphabetic());
    let mut words = words.by_ref().filter(|word| !word.is_empty());
    let Some(first) = words.next() else {
        return false;
    };
    is_common(first) && words.all(|word| word == first)
}

/// Returns the shortest text that this one is a repetition of, which may be the text
/// itself.
fn unit(text: &str) -> &str {
    let lengths = (1..=text.len() / 2).filter(|length| text.len().is_multiple_of(*length));
    for length in lengths {
        if let Some(unit) = text.get(..length)
            && unit.repeat(text.len() / length) == text
        {
            return unit;
        }
    }
    text
}

/// Looks up a word by binary search.
fn is_common(word: &str) -> bool {
    let common = COMMON.text();
    let (mut low, mut high) = (0, common.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let before = common.as_bytes()[low..middle]
            .iter()
            .rposition(|byte| *byte == b'\n');
        let start = before.map_or(low, |newline| low + newline + 1);
        let Some(line) = common.get(start..).and_then(|rest| rest.lines().next()) else {
            return false;
        };
        match word.cmp(line) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => high = start,
            std::cmp::Ordering::Greater => low = start + line.len() + 1,
        }
    }
    false
}

/// Returns the words that an attacker would try who knows the owner and the service.
fn context_words(owner: &Owner, settings: &Settings) -> Vec<Zeroizing<String>> {
    let mut texts = vec![
        owner.username.as_str(),
        "user-auth",
        "userauth",
        "user auth",
    ];
    let domain = owner.email.map(Email::domain_as_read);
    if let (Some(email), Some(domain)) = (owner.email, &domain) {
        texts.extend([email.parts().0, &**domain]);
        texts.extend(names(domain));
    }
    let issuer = host(&settings.issuer);
    texts.push(issuer);
    texts.extend(names(issuer));
    let parts = texts
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let words = texts.iter().copied().chain(parts).map(canonical);
    words
        .filter(|word| word.chars().count() >= SHORTEST_WORD)
        .collect()
}

/// Returns the labels of a domain name except the last, which is not characteristic.
fn names(domain: &str) -> impl Iterator<Item = &str> {
    domain.rsplit('.').skip(1)
}

/// Returns the host of a URL, or the whole text if it is not a URL.
fn host(issuer: &str) -> &str {
    let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    rest.split_once(['/', ':', '?', '#'])
        .map_or(rest, |(host, _)| host)
}

/// Reports whether a password consists of one word, any number of times, and otherwise of
/// digits and punctuation.
fn is_nothing_but(word: &str, password: &str) -> bool {
    let mut rest = password;
    let mut found = false;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(word) {
            found = true;
            rest = after;
            continue;
        }
        let mut characters = rest.chars();
        if characters.next().is_some_and(char::is_alphabetic) {
            return false;
        }
        rest = characters.as_str();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(password: &str) -> Option<&'static str> {
        let username = Username::try_from("kevin.flynn".to_owned()).unwrap();
        let email = Email::try_from("kflynn82@mail.encom-games.example".to_owned()).unwrap();
        let owner = Owner {
            username: &username,
            email: Some(&email),
        };
        let settings = Settings {
            issuer: "https://login.Grid.example/tenant".to_owned(),
            ..Settings::default()
        };
        find(password, &owner, &settings)
    }

    #[test]
    fn the_list_of_common_passwords_is_sorted_and_canonical() {
        let words: Vec<&str> = COMMON.text().lines().collect();
        assert!(words.is_sorted() && words.len() > 4_000);
        for word in &words {
            assert!(word.chars().count() >= 5, "{word}");
            assert_eq!(canonical(word).as_str(), *word);
            assert!(is_common(word), "{word}");
        }
        for word in [
            "",
            "a",
            "zzzzzzzzzzzz",
            "passwordx",
            "passwordd",
            "correct horse",
        ] {
            assert!(!is_common(word), "{word}");
        }
    }

    #[test]
    fn common_passwords_are_rejected_in_any_spelling() {
        for password in [
            "Password",
            "ＰＡＳＳＷＯＲＤ",
            "passwordpassword",
            "PasswordPasswordPassword",
            "password-password!",
            "password1234567",
            "sunshine!!!!!!!",
            "dragondragondragon",
            "!!!baseball2024",
        ] {
            let reason = reason(password);
            assert!(
                reason.is_some_and(|it| it.contains("most common")),
                "{password}"
            );
        }
    }

    #[test]
    fn keyboard_rows_and_repetitions_are_rejected() {
        for password in [
            "aaaaaaaaaaaaaaa",
            "ababababababababa",
            "xyz!xyz!xyz!xyz!",
            "üüüüüüüüüüüüüüü",
            "123456789012345",
            "abcdefghijklmnopq",
            "zyxwvutsrqponml",
            "qwertyuiopasdfg",
            "QwertyQwertyQwerty",
            "1qaz2wsx3edc4rfv",
            "qwertzuiop12345!",
            "aaaa1111bbbb2222",
            "0987654321098765",
        ] {
            let reason = reason(password);
            assert!(
                reason.is_some_and(|it| it.contains("row of keys")),
                "{password}"
            );
        }
    }

    #[test]
    fn passwords_made_of_names_of_the_owner_or_the_service_are_rejected() {
        for password in [
            "kevin.flynn12345",
            "flynnflynnflynn",
            "kevin-kevin-kevin",
            "kflynn82kflynn82",
            "encom-games!!!!",
            "Games1Games2Games3",
            "mail.encom-games.example",
            "user-auth-user-auth",
            "userauthuserauth",
            "UserAuth12345678",
            "Grid-2024-grid-2024",
            "login.grid.example",
        ] {
            let reason = reason(password);
            assert!(reason.is_some_and(|it| it.contains("owner")), "{password}");
        }
    }

    #[test]
    fn sentences_that_contain_common_words_and_names_are_accepted() {
        for password in [
            "correct horse battery staple",
            "kevin likes his password",
            "another good long password",
            "süße grüße ört!",
            "7391 6048 2275 9163",
            "the grid, a digital frontier",
            "password of the dragon",
            "",
            "x",
        ] {
            assert_eq!(reason(password), None, "{password}");
        }
    }
}
