//! The texts of messages: plain text and short.
//!
//! User names appear in bodies only, contain no control characters, and go to verified
//! addresses alone. Anyone can have a message sent to an unverified address, and choose
//! a name that reads like a link, so such messages contain no text of theirs.

use zeroize::Zeroizing;

use super::{Message, MessageKind};

pub(super) fn subject(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::PasswordReset => "Reset your password",
        MessageKind::EmailVerification => "Verify your email address",
        MessageKind::EmailChange => "Verify your new email address",
        MessageKind::PasswordChanged => "Your password was changed",
        MessageKind::EmailChangeRequested => "A new email address was requested",
        MessageKind::EmailChanged => "Your email address was changed",
        MessageKind::SecondFactorChanged => "Your second factor was changed",
        MessageKind::LoginFromNewSource => "A login from somewhere new",
        MessageKind::ApiKeyCreated => "An API key was created for your account",
    }
}

pub(super) fn body(message: &Message) -> Zeroizing<String> {
    let username = &message.username;
    let (what, otherwise) = match message.kind {
        MessageKind::PasswordReset => (
            format!("This code resets the password of the account {username}."),
            "If you did not request it, do nothing, and do not share the code: anyone who has it can \
             take over the account.",
        ),
        MessageKind::EmailVerification | MessageKind::EmailChange => (
            "This code verifies that this address belongs to an account.".to_owned(),
            "If you did not request it, do nothing, and do not share the code.",
        ),
        MessageKind::PasswordChanged => (
            format!("The password of the account {username} was changed."),
            "If that was not you, reset the password now, and tell the operator of the service.",
        ),
        MessageKind::EmailChangeRequested => (
            format!(
                "A new email address was requested for the account {username}. Until it is \
                 verified, this address remains in use."
            ),
            "If that was not you, change the password now, and tell the operator of the service.",
        ),
        MessageKind::EmailChanged => (
            format!(
                "The account {username} has a new email address. This one is no longer in use."
            ),
            "If that was not you, tell the operator of the service.",
        ),
        MessageKind::SecondFactorChanged => (
            format!(
                "The second factor of the account {username}, or its recovery codes, were changed \
                 or removed."
            ),
            "If that was not you, change the password now, and tell the operator of the service.",
        ),
        MessageKind::LoginFromNewSource => (
            format!(
                "The password of the account {username} was used from an address that has not been \
                 used recently."
            ),
            "If that was not you, change the password now, and end all other sessions.",
        ),
        MessageKind::ApiKeyCreated => (
            format!(
                "An API key was created for the account {username}, or one of its keys was rotated. \
                 A program that has the key can act for the account."
            ),
            "If that was not you, change the password now, which also revokes such keys, and tell \
             the operator of the service.",
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
    if let Some(link) = &message.link {
        text.push_str("Enter the code on the page that asks for it, or open this link:\n\n    ");
        text.push_str(link);
        text.push_str("\n\n");
    }
    if let Some(expires_at) = &message.expires_at {
        text.push_str(&format!(
            "The code can be used once, until {expires_at}.\n\n"
        ));
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
            link: None,
        }
    }

    #[test]
    fn only_a_message_with_a_link_mentions_one() {
        let mut message = message(MessageKind::PasswordReset);
        assert!(!message.text().contains("link"));
        let link = "https://auth.example.com/new-password?code=uac_3";
        message.link = Some(Zeroizing::new(link.to_owned()));
        assert!(message.text().contains(&format!("\n    {link}\n")));
    }

    #[test]
    fn user_names_appear_only_in_messages_to_verified_addresses() {
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
