//! What messages say: plain text and short.
//!
//! User names go into bodies only, have no control characters, and go to verified
//! addresses alone. Anybody can have a message sent to an address that is not
//! verified, and choose a name that reads as a link: no word there is theirs.

use zeroize::Zeroizing;

use super::{Message, MessageKind};

pub(super) fn subject(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::PasswordReset => "Reset your password",
        MessageKind::EmailVerification => "Verify your e-mail address",
        MessageKind::EmailChange => "Verify your new e-mail address",
        MessageKind::PasswordChanged => "Your password was changed",
        MessageKind::EmailChangeRequested => "A new e-mail address was asked for",
        MessageKind::EmailChanged => "Your e-mail address was changed",
        MessageKind::SecondFactorChanged => "Your second factor was changed",
        MessageKind::LoginFromNewSource => "A login from somewhere new",
        MessageKind::ApiKeyCreated => "An API key was made for your account",
    }
}

pub(super) fn body(message: &Message) -> Zeroizing<String> {
    let username = &message.username;
    let (what, otherwise) = match message.kind {
        MessageKind::PasswordReset => (
            format!("This code resets the password of the account {username}."),
            "If you did not ask for it, do nothing, and give the code to nobody: whoever has it \
             can take over the account.",
        ),
        MessageKind::EmailVerification | MessageKind::EmailChange => (
            "This code verifies that this address belongs to an account.".to_owned(),
            "If you did not ask for it, do nothing, and give the code to nobody.",
        ),
        MessageKind::PasswordChanged => (
            format!("The password of the account {username} was changed."),
            "If that was not you, reset the password now, and tell whoever runs the service.",
        ),
        MessageKind::EmailChangeRequested => (
            format!(
                "Another e-mail address was asked for the account {username}. Until that is \
                 verified, this address remains in use."
            ),
            "If that was not you, change the password now, and tell whoever runs the service.",
        ),
        MessageKind::EmailChanged => (
            format!(
                "The account {username} has another e-mail address. This one is not in use any \
                 more."
            ),
            "If that was not you, tell whoever runs the service.",
        ),
        MessageKind::SecondFactorChanged => (
            format!(
                "The second factor of the account {username}, or its recovery codes, were changed \
                 or removed."
            ),
            "If that was not you, change the password now, and tell whoever runs the service.",
        ),
        MessageKind::LoginFromNewSource => (
            format!(
                "Somebody used the password of the account {username} from an address that it has \
                 not been used from lately."
            ),
            "If that was not you, change the password now, and end all other sessions.",
        ),
        MessageKind::ApiKeyCreated => (
            format!(
                "An API key was made for the account {username}, or one of its keys was rotated. \
                 A program that has the key can act for the account."
            ),
            "If that was not you, change the password now, which ends such keys as well, and tell \
             whoever runs the service.",
        ),
    };
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str(&what);
    text.push_str("\n\n");
    if let Some(code) = &message.code {
        text.push_str("    ");
        text.push_str(code);
        text.push_str("\n\n");
    }
    if let Some(expires_at) = &message.expires_at {
        text.push_str(&format!("It is good once, until {expires_at}.\n\n"));
    }
    text.push_str(otherwise);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://evil.example/r?";

    fn message(kind: MessageKind) -> Message {
        Message {
            id: "1".to_owned(),
            kind,
            to: "victim@example.com".to_owned(),
            username: LINK.to_owned(),
            user_id: "2".to_owned(),
            code: Some(Zeroizing::new("uac_3".to_owned())),
            expires_at: Some("2026-01-01T00:10:00.000Z".to_owned()),
        }
    }

    #[test]
    fn only_who_owns_an_address_is_shown_a_name_that_somebody_chose() {
        use MessageKind::*;
        for (kind, shows_name) in [
            (PasswordReset, true),
            (EmailVerification, false),
            (EmailChange, false),
            (PasswordChanged, true),
            (EmailChangeRequested, true),
            (EmailChanged, true),
            (SecondFactorChanged, true),
            (LoginFromNewSource, true),
            (ApiKeyCreated, true),
        ] {
            let message = message(kind);
            assert!(!message.subject().contains(LINK), "{kind:?}");
            assert_eq!(message.text().contains(LINK), shows_name, "{kind:?}");
            assert!(message.text().contains("uac_3"), "{kind:?}");
        }
    }
}
