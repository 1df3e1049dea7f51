//! Delivery by email (RFC 5321).

use async_trait::async_trait;
use lettre::address::Address;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::{Error as SmtpError, extension::ClientId};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use url::Host;
use zeroize::Zeroizing;

use super::{Delivery, DeliveryError, Message};

/// The security of the connection to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// No encryption: for a server on this machine.
    Plain,
    /// Starts in plain text and requires an upgrade to TLS (RFC 3207).
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
}

impl SmtpSecurity {
    /// Returns the default port.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Plain => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

/// The mail server and the sender.
pub struct SmtpOptions {
    /// The server's name, which its certificate must have, or its address.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// The security of the connection.
    pub security: SmtpSecurity,
    /// User name and password, if the server requires them.
    pub credentials: Option<(String, Zeroizing<String>)>,
    /// The sender: `name@example.com`, or `A name <name@example.com>`.
    pub from: String,
}

/// Sends each message to a mail server, on a connection of its own.
pub struct SmtpDelivery {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl SmtpDelivery {
    /// Returns a delivery through this server.
    ///
    /// The error is a message for users, which does not contain the password.
    pub fn new(options: SmtpOptions) -> Result<Self, String> {
        let from = sender(&options.from)?;
        let tls = || {
            TlsParameters::new(options.host.clone())
                .map_err(|error| format!("TLS cannot be set up: {error}"))
        };
        let tls = match options.security {
            SmtpSecurity::Plain => Tls::None,
            SmtpSecurity::StartTls => Tls::Required(tls()?),
            SmtpSecurity::Tls => Tls::Wrapper(tls()?),
        };
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(options.host.as_str())
                .port(options.port)
                .tls(tls)
                // The outbox limits the time of an attempt.
                .timeout(None)
                .hello_name(ClientId::Domain(from.email.domain().to_owned()));
        if let Some((user, password)) = options.credentials {
            builder = builder.credentials(Credentials::new(user, password.to_string()));
        }
        Ok(Self {
            transport: builder.build(),
            from,
        })
    }

    /// Builds the mail. The address is in the canonical form of the component and is
    /// used unchanged.
    fn mail(&self, message: &Message) -> Result<Mail, DeliveryError> {
        let permanent = |what: &str| DeliveryError::Permanent(what.to_owned());
        let to: Address = message
            .to
            .parse()
            .map_err(|_| permanent("mail cannot be sent to the address"))?;
        Mail::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(message.subject())
            .date_now()
            .message_id(Some(format!(
                "<{}@{}>",
                message.id,
                self.from.email.domain()
            )))
            .header(ContentType::TEXT_PLAIN)
            .header(AutoSubmitted)
            .body(message.text().to_string())
            .map_err(|_| permanent("the message cannot be composed"))
    }
}

/// Parses the sender and converts its domain to A-labels: otherwise each mail would
/// need a server with SMTPUTF8 (RFC 6531).
fn sender(text: &str) -> Result<Mailbox, String> {
    let given: Mailbox = text
        .parse()
        .map_err(|_| "the sender is not an email address".to_owned())?;
    let address = &given.email;
    if !address.user().is_ascii() {
        return Err("the sender may contain only ASCII before the `@`".to_owned());
    }
    if address.domain().is_ascii() {
        return Ok(given);
    }
    let domain = Host::parse(address.domain())
        .map_err(|error| format!("the domain of the sender cannot be used: {error}"))?;
    let address = Address::new(address.user(), domain.to_string())
        .map_err(|_| "the sender is not an email address".to_owned())?;
    Ok(Mailbox::new(given.name, address))
}

#[async_trait]
impl Delivery for SmtpDelivery {
    fn kind(&self) -> &'static str {
        "smtp"
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let mail = self.mail(message)?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) => Err(judge(&error)),
        }
    }
}

/// Converts an error. A server's text may contain the address; its code is enough.
fn judge(error: &SmtpError) -> DeliveryError {
    if let Some(status) = error.status() {
        let reason = format!("the mail server responded with {status}");
        return if error.is_permanent() {
            DeliveryError::Permanent(reason)
        } else {
            DeliveryError::Temporary(reason)
        };
    }
    let reason = match error {
        error if error.is_tls() => "the mail server does not offer the required TLS",
        // The server lacks a feature, such as SMTPUTF8 for an address that is not
        // ASCII.
        error if error.is_client() => {
            let reason = "the mail server cannot accept this message";
            return DeliveryError::Permanent(reason.to_owned());
        }
        _ => "the mail server cannot be reached",
    };
    DeliveryError::Temporary(reason.to_owned())
}

/// The header of RFC 3834 section 5, which asks programs not to reply.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::MessageKind;
    use super::*;

    #[test]
    fn a_sender_in_an_internationalised_domain_needs_no_smtputf8() {
        let sent = sender("Accounts <a@m\u{fc}ller.example>").unwrap();
        assert_eq!(sent.email.to_string(), "a@xn--mller-kva.example");
        assert_eq!(sent.name.as_deref(), Some("Accounts"));
        assert!(sender("\u{fc}@example.com").is_err());
        assert!(sender("no address").is_err());
    }

    #[test]
    fn an_address_is_used_unchanged_in_the_envelope() {
        let smtp = SmtpDelivery::new(SmtpOptions {
            host: "127.0.0.1".to_owned(),
            port: 25,
            security: SmtpSecurity::Plain,
            credentials: None,
            from: "accounts@example.com".to_owned(),
        })
        .unwrap();
        let longest = format!(
            "{}@{}.{}.{}.ab",
            "a".repeat(64),
            "b".repeat(61),
            "b".repeat(61),
            "b".repeat(61)
        );
        for to in [
            "Alice@example.com",
            "info@xn--mller-kva.example",
            "a.!#$%&'*+-/=?^_`{|}~b@1.example",
            "a@r3---sn-x.example",
            &longest,
        ] {
            let message = Message {
                id: "1".to_owned(),
                kind: MessageKind::PasswordReset,
                to: to.to_owned(),
                username: "alice".to_owned(),
                user_id: "2".to_owned(),
                code: None,
                expires_at: None,
                link: None,
            };
            let mail = smtp.mail(&message).expect(to);
            let sent: Vec<String> = mail
                .envelope()
                .to()
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(sent, [to]);
        }
    }
}
