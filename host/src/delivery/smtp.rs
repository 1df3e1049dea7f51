//! Delivery by e-mail (RFC 5321).

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

/// How the connection to the server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Not at all: for a server on this machine.
    Plain,
    /// It begins in the clear and goes on with TLS, or not at all (RFC 3207).
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
}

impl SmtpSecurity {
    /// The port that is used unless another is named.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Plain => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

/// Which server sends messages, and in whose name.
pub struct SmtpOptions {
    /// The server's name, which its certificate must have, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub security: SmtpSecurity,
    /// User name and password, if it asks for them.
    pub credentials: Option<(String, Zeroizing<String>)>,
    /// The sender: `name@example.com`, or `A name <name@example.com>`.
    pub from: String,
}

/// Hands each message to a mail server, on a connection of its own.
pub struct SmtpDelivery {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl SmtpDelivery {
    /// By this server.
    ///
    /// Fails with a text for people, which holds no password.
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
                // The outbox has the time of a try.
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

    /// The address is in the form that the component makes of what it was given, and is
    /// handed on as it is.
    fn mail(&self, message: &Message) -> Result<Mail, DeliveryError> {
        let permanent = |what: &str| DeliveryError::Permanent(what.to_owned());
        let to: Address = message
            .to
            .parse()
            .map_err(|_| permanent("the address is none that mail can be sent to"))?;
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
            .map_err(|_| permanent("the message cannot be written"))
    }
}

/// The sender, with the domain in A-labels: otherwise each mail would take a server
/// with SMTPUTF8 (RFC 6531).
fn sender(text: &str) -> Result<Mailbox, String> {
    let given: Mailbox = text
        .parse()
        .map_err(|_| "the sender is no e-mail address".to_owned())?;
    let address = &given.email;
    if !address.user().is_ascii() {
        return Err("the sender has other letters than those of ASCII before the `@`".to_owned());
    }
    if address.domain().is_ascii() {
        return Ok(given);
    }
    let domain = Host::parse(address.domain())
        .map_err(|error| format!("the domain of the sender cannot be used: {error}"))?;
    let address = Address::new(address.user(), domain.to_string())
        .map_err(|_| "the sender is no e-mail address".to_owned())?;
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

/// What a server says may hold the address; its code tells enough.
fn judge(error: &SmtpError) -> DeliveryError {
    if let Some(status) = error.status() {
        let reason = format!("the mail server answered {status}");
        return match error.is_permanent() {
            true => DeliveryError::Permanent(reason),
            false => DeliveryError::Temporary(reason),
        };
    }
    let reason = match error {
        error if error.is_tls() => "the mail server does not offer the TLS that is asked for",
        // The server lacks something, as SMTPUTF8 for an address that is not ASCII.
        error if error.is_client() => {
            let reason = "the mail server does not take what there is to send";
            return DeliveryError::Permanent(reason.to_owned());
        }
        _ => "the mail server cannot be reached",
    };
    DeliveryError::Temporary(reason.to_owned())
}

/// RFC 3834 section 5: nobody is to answer, least of all a program.
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
    fn a_sender_in_an_internationalised_domain_takes_no_smtputf8() {
        let sent = sender("Accounts <a@m\u{fc}ller.example>").unwrap();
        assert_eq!(sent.email.to_string(), "a@xn--mller-kva.example");
        assert_eq!(sent.name.as_deref(), Some("Accounts"));
        assert!(sender("\u{fc}@example.com").is_err());
        assert!(sender("no address").is_err());
    }

    #[test]
    fn an_address_goes_into_the_envelope_as_it_is() {
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
