//! Delivery by HTTP to a webhook, which sends the messages on.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use serde_json::json;
use sha2::Sha256;
use url::Url;
use zeroize::Zeroizing;

use super::{Delivery, DeliveryError, Message};
use crate::http_client::HttpClient;

/// The prefix of a secret in the form of Standard Webhooks.
const SECRET_PREFIX: &str = "whsec_";
const MIN_SECRET_BYTES: usize = 24;

/// Sends each message as JSON by POST: `kind`, `to`, `username`, `user_id`, `code`,
/// `expires_at`, and the text of the message as `subject` and `text`; and `link`, if the
/// service has a page that takes the code. A 2xx status
/// means that the message was accepted; 408, 429 and 5xx that it has to be sent again.
///
/// With a secret, requests are signed as Standard Webhooks specifies: `webhook-id`,
/// which is the same for every attempt at one message, `webhook-timestamp`, and
/// `webhook-signature`, which is `v1,` and the base64 of an HMAC-SHA256 over the three
/// parts `id.timestamp.body`.
pub struct WebhookDelivery {
    client: HttpClient,
    uri: Uri,
    secret: Option<Zeroizing<Vec<u8>>>,
}

impl WebhookDelivery {
    /// Returns a delivery to this URL: `https`, or `http` to this machine, since a code
    /// must not cross a network in plain text. The secret is text, or `whsec_` and
    /// base64.
    ///
    /// The error is a message for users, which contains neither of them.
    pub fn new(url: &Url, secret: Option<&str>) -> Result<Self, String> {
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(url) => {}
            "http" => return Err("a webhook on another machine needs an https:// URL".to_owned()),
            _ => return Err("a webhook needs an https:// URL".to_owned()),
        }
        let client = HttpClient::for_url(url)?;
        Ok(Self {
            client,
            uri: url
                .as_str()
                .parse()
                .map_err(|_| "the URL of the webhook cannot be used".to_owned())?,
            secret: secret.map(parse_secret).transpose()?,
        })
    }

    fn request(&self, message: &Message) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut body = json!({
            "kind": message.kind.name(),
            "to": message.to,
            "username": message.username,
            "user_id": message.user_id,
            "code": message.code.as_ref().map(|code| code.as_str()),
            "expires_at": message.expires_at,
            "subject": message.subject(),
            "text": message.text().as_str(),
        });
        if let Some(link) = &message.link {
            body["link"] = link.as_str().into();
        }
        let body = body.to_string();
        let mut request = Request::post(&self.uri)
            .header("content-type", "application/json")
            .header(
                "user-agent",
                concat!("user-auth/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(secret) = &self.secret {
            let id = format!("msg_{}", message.id);
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let timestamp = since.map_or(0, |since| since.as_secs()).to_string();
            let signature = sign(secret, &[&id, &timestamp, &body]);
            request = request
                .header("webhook-id", id)
                .header("webhook-timestamp", timestamp)
                .header("webhook-signature", signature);
        }
        request.body(Full::from(body))
    }
}

#[async_trait]
impl Delivery for WebhookDelivery {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let request = self
            .request(message)
            .map_err(|error| DeliveryError::Permanent(error.to_string()))?;
        let response = self.client.request(request).await;
        // The error's text may contain the URL, and that a secret.
        let response = response.map_err(|error| {
            let what = if error.is_connect() {
                "the webhook cannot be reached"
            } else {
                "the connection to the webhook failed"
            };
            DeliveryError::Temporary(what.to_owned())
        })?;
        judge(response.status())
    }
}

fn judge(status: StatusCode) -> Result<(), DeliveryError> {
    if status.is_success() {
        return Ok(());
    }
    let reason = format!("the webhook responded with {}", status.as_u16());
    let may_pass = status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    Err(if may_pass {
        DeliveryError::Temporary(reason)
    } else {
        DeliveryError::Permanent(reason)
    })
}

/// Returns whether a URL leads to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn parse_secret(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let secret = match text.strip_prefix(SECRET_PREFIX) {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|_| format!("after {SECRET_PREFIX} the webhook secret must be base64"))?,
        None => text.as_bytes().to_vec(),
    };
    let secret = Zeroizing::new(secret);
    if secret.len() < MIN_SECRET_BYTES {
        Err(format!(
            "the webhook secret needs at least {MIN_SECRET_BYTES} bytes"
        ))
    } else {
        Ok(secret)
    }
}

fn sign(secret: &[u8], parts: &[&str; 3]) -> String {
    // HMAC accepts keys of any length; the type does not express that.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(parts.join(".").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_standard_webhooks_example_has_its_signature() {
        let secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = sign(
            &secret,
            &[
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                "1614265330",
                r#"{"test": 2432232314}"#,
            ],
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn codes_are_never_sent_unencrypted_over_a_network() {
        for good in ["http://127.0.0.1:9/x", "http://[::1]/", "http://localhost/"] {
            assert!(WebhookDelivery::new(&url(good), None).is_ok(), "{good}");
        }
        for bad in [
            "http://example.com/",
            "http://localhost.example.com/",
            "ftp://localhost/",
        ] {
            assert!(WebhookDelivery::new(&url(bad), None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_short_or_malformed_secret_is_rejected() {
        for bad in ["too short", "whsec_MfKQ9r8GKYq", "whsec_&&&&"] {
            let refused = parse_secret(bad).unwrap_err();
            assert!(!refused.contains(bad), "{refused}");
        }
    }

    #[test]
    fn only_temporary_failures_are_retried() {
        let judged = |status: u16| judge(StatusCode::from_u16(status).unwrap());
        assert_eq!(judged(204), Ok(()));
        for status in [408, 429, 500, 503] {
            assert!(
                matches!(judged(status), Err(DeliveryError::Temporary(_))),
                "{status}"
            );
        }
        for status in [301, 400, 401, 404, 410] {
            assert!(
                matches!(judged(status), Err(DeliveryError::Permanent(_))),
                "{status}"
            );
        }
    }
}
