//! The options for messages to account owners.

use std::env;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use tracing::warn;
use url::{Host, Url};
use user_auth_host::delivery::{
    Delivery, LogDelivery, SmtpDelivery, SmtpOptions, SmtpSecurity, WebhookDelivery,
};
use user_auth_host::files::{Guard, read_text};
use zeroize::Zeroizing;

use super::config::{self, Flags};
use crate::failure::Failure;

const EXPECTED: &str = "`--delivery` must be `log`, `none`, https://… (or http:// on this machine), \
    smtp://USER@HOST:PORT or smtps://USER@HOST:PORT";

/// The delivery of messages. Secrets are not arguments, which every user of the machine
/// can read.
#[derive(Args)]
pub(super) struct DeliveryOptions {
    /// How codes and notices reach account owners: `log`, `none`, the https:// URL of a
    /// webhook (or http:// on this machine), smtp://USER@HOST:PORT (with STARTTLS, or
    /// unencrypted on this machine) or smtps://USER@HOST:PORT [default: log, including
    /// codes, or none on an address that other machines can reach]
    #[arg(long, value_name = "DELIVERY")]
    delivery: Option<String>,

    /// The sender of mail, such as `Accounts <accounts@example.com>`
    #[arg(long, value_name = "ADDRESS")]
    mail_from: Option<String>,

    /// The file with the password for the mail server; ignored if
    /// USER_AUTH_SMTP_PASSWORD is set
    #[arg(long, value_name = "FILE")]
    smtp_password_file: Option<String>,

    /// The file with the secret that signs webhook requests; ignored if
    /// USER_AUTH_WEBHOOK_SECRET is set
    #[arg(long, value_name = "FILE")]
    webhook_secret_file: Option<String>,
}

/// The callers that can reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The user who started the program and reads its log.
    Operator,
    /// Users of this machine.
    Machine,
    /// Other machines.
    Network,
}

impl Reach {
    /// Returns the reach of a server that listens on this address.
    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_loopback() {
            Self::Machine
        } else {
            Self::Network
        }
    }
}

impl DeliveryOptions {
    pub(super) fn add_to(&self, flags: &mut Flags) {
        flags.text("delivery", self.delivery.as_deref());
        flags.text("mail-from", self.mail_from.as_deref());
        flags.text("smtp-password-file", self.smtp_password_file.as_deref());
        flags.text("webhook-secret-file", self.webhook_secret_file.as_deref());
    }
}

impl config::Delivery {
    /// Opens the configured delivery, or the default one for this reach.
    pub(super) fn open(&self, reach: Reach) -> Result<Option<Arc<dyn Delivery>>, Failure> {
        match self.method.as_deref() {
            Some("none") => Ok(None),
            Some("log") => Ok(Some(to_log(reach))),
            None if reach != Reach::Network => Ok(Some(to_log(reach))),
            None => {
                warn!(
                    "no delivery: users cannot verify an address or reset a password; choose one \
                     with --delivery"
                );
                Ok(None)
            }
            Some(url) => self.by_url(url).map(Some),
        }
    }

    // The URL may contain a secret, and is not shown.
    fn by_url(&self, text: &str) -> Result<Arc<dyn Delivery>, Failure> {
        let url: Url = text.parse().map_err(|_| Failure::usage(EXPECTED))?;
        if url.password().is_some() {
            return Err(Failure::usage(
                "the URL of `--delivery` holds a password, which every user of this machine could \
                 read: give it as USER_AUTH_SMTP_PASSWORD or in a file",
            ));
        }
        match url.scheme() {
            "https" | "http" => self.webhook(&url),
            "smtp" | "smtps" => self.smtp(&url),
            _ => Err(Failure::usage(EXPECTED)),
        }
    }

    fn webhook(&self, url: &Url) -> Result<Arc<dyn Delivery>, Failure> {
        let secret = secret(
            "USER_AUTH_WEBHOOK_SECRET",
            self.webhook_secret_file.as_deref(),
        )?;
        let secret = secret.as_ref().map(|secret| secret.as_str());
        let webhook = WebhookDelivery::new(url, secret).map_err(Failure::usage)?;
        Ok(Arc::new(webhook))
    }

    fn smtp(&self, url: &Url) -> Result<Arc<dyn Delivery>, Failure> {
        let security = match url.scheme() {
            "smtps" => SmtpSecurity::Tls,
            _ if is_loopback(url) => SmtpSecurity::Plain,
            _ => SmtpSecurity::StartTls,
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| Failure::usage(EXPECTED))?;
        let from = self.mail_from.clone().ok_or_else(|| {
            Failure::usage("mail needs a sender: name it with `--mail-from ADDRESS`")
        })?;
        let password = secret(
            "USER_AUTH_SMTP_PASSWORD",
            self.smtp_password_file.as_deref(),
        )?;
        let user = percent_encoding::percent_decode_str(url.username()).decode_utf8_lossy();
        let credentials = match (user.as_ref(), password) {
            ("", _) => None,
            (user, Some(password)) => Some((user.to_owned(), password)),
            (_, None) => {
                return Err(Failure::usage(
                    "the mail server needs a password: give it as USER_AUTH_SMTP_PASSWORD or \
                     with `--smtp-password-file FILE`",
                ));
            }
        };
        let smtp = SmtpDelivery::new(SmtpOptions {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(security.default_port()),
            security,
            credentials,
            from,
        });
        Ok(Arc::new(smtp.map_err(Failure::usage)?))
    }
}

fn to_log(reach: Reach) -> Arc<dyn Delivery> {
    if reach != Reach::Operator {
        warn!(
            "codes for password resets go to this log, where any reader can use them; choose \
             another way with --delivery"
        );
    }
    Arc::new(LogDelivery)
}

/// Returns whether the URL leads to this machine. Names other than `localhost` may lead
/// anywhere. The parser does not normalise the hosts of schemes other than those of the
/// web.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain("localhost")) => true,
        Some(Host::Domain(name)) => name
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

fn secret(variable: &str, file: Option<&Path>) -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(secret) = env::var(variable).ok().filter(|value| !value.is_empty()) {
        return Ok(Some(Zeroizing::new(secret)));
    }
    let Some(file) = file else {
        return Ok(None);
    };
    let text = read_text(file, Guard::Secret)
        .map_err(|error| Failure::start(format!("the file {error}")))?;
    Ok(Some(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(delivery: Option<&str>, mail_from: Option<&str>) -> config::Delivery {
        config::Delivery {
            method: delivery.map(str::to_owned),
            mail_from: mail_from.map(str::to_owned),
            smtp_password_file: None,
            webhook_secret_file: None,
        }
    }

    fn kind(delivery: Option<&str>, reach: Reach) -> Option<&'static str> {
        let from = Some("Accounts <accounts@example.com>");
        let opened = options(delivery, from).open(reach).unwrap();
        opened.map(|delivery| delivery.kind())
    }

    #[test]
    fn codes_go_to_the_log_by_default_only_on_this_machine() {
        use Reach::{Machine, Network, Operator};
        assert_eq!(kind(None, Machine), Some("log"));
        assert_eq!(kind(None, Operator), Some("log"));
        assert_eq!(kind(None, Network), None);
        assert_eq!(kind(Some("log"), Network), Some("log"));
        assert_eq!(kind(Some("none"), Machine), None);
        let webhook = kind(Some("http://127.0.0.1:9/hook"), Network);
        assert_eq!(webhook, Some("webhook"));
        assert_eq!(kind(Some("smtp://127.0.0.1:2525"), Network), Some("smtp"));
    }

    #[test]
    fn errors_do_not_show_the_value() {
        let from = Some("accounts@example.com");
        for (delivery, from, says) in [
            ("carrier-pigeon", from, "must be `log`"),
            ("ftp://hunter2.example.com/", from, "must be `log`"),
            ("smtp://u:hunter2@mail.example.com", from, "password"),
            ("smtp://hunter2@127.0.0.1", from, "needs a password"),
            ("smtp://127.0.0.1", None, "--mail-from"),
            (
                "smtp://127.0.0.1",
                Some("no address"),
                "not an email address",
            ),
            ("http://hunter2.example.com/", from, "https://"),
        ] {
            let error = options(Some(delivery), from)
                .open(Reach::Machine)
                .err()
                .unwrap();
            let error = error.to_string();
            assert!(error.contains(says), "{delivery}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn mail_is_never_sent_unencrypted_over_a_network() {
        let is_local = |text: &str| is_loopback(&text.parse().unwrap());
        for local in ["smtp://127.0.0.1", "smtp://localhost:25", "smtp://[::1]"] {
            assert!(is_local(local), "{local}");
        }
        for other in ["smtp://192.0.2.1", "smtp://localhost.example.com"] {
            assert!(!is_local(other), "{other}");
        }
    }
}
