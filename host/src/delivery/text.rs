//! What messages say: plain text and short. User names go into bodies only, and
//! have no control characters.

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
            format!("This code verifies that this address belongs to the account {username}."),
            "If you do not know that account, do nothing, and give the code to nobody.",
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
