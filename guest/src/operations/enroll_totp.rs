use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::otpauth;
use crate::domain::credentials::second_factor::Enrolment;
use crate::domain::credentials::totp::TotpSecret;
use crate::domain::sessions::session::CurrentLogin;
use crate::error::Result;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::secret::Secret;

/// Creates a secret for an authenticator app, as the first step to a second factor:
/// `confirm_totp` takes a code of the app. Returns the secret as text and as a URI.
/// Requires a recent login.
///
/// Nothing changes until `confirm_totp` has confirmed a code. On request, the URI is also
/// drawn as a QR code. If the account has a second factor, the login must have used it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollTotp {
    /// Whether to draw the URI as a QR code as well: as a picture (`svg`), in block
    /// characters (`text`), or not (`none`, the default).
    ///
    /// The block characters are for light text on a dark background. Either form takes
    /// kilobytes, so clients that can should draw it themselves.
    #[serde(default)]
    pub qr: QrForm,
}

/// Form of a QR code.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(with = "String", extend("enum" = ["none", "text", "svg"]))]
pub enum QrForm {
    /// No QR code.
    #[default]
    None,
    /// Block characters.
    Text,
    /// A picture.
    Svg,
}

/// The secret for the app, in the forms that apps accept. It is shown only once; keep
/// every form secret.
#[derive(Serialize, JsonSchema)]
pub struct TotpEnrolment {
    /// The secret for typing: base32 (RFC 4648 section 6) without padding.
    pub secret: Secret,
    /// The link to open on the phone itself.
    pub otpauth_uri: Secret,
    /// The QR code to scan, in the requested form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qr: Option<Secret>,
}

impl Operation for EnrollTotp {
    const NAME: &'static str = "enroll_totp";
    const TITLE: &'static str = "Enroll an authenticator app";
    const TOOLSET: Option<Toolset> = Some(Toolset::Keys);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::RecentLogin;
    type Output = TotpEnrolment;

    fn run(self, call: &ActorCall) -> Result<TotpEnrolment> {
        let secret = authority::retry_on_conflict(call, |call| begin(call))?;
        let username = &call.actor().session()?.username;
        let uri = otpauth::uri(&call.settings.issuer, username, &secret);
        let qr = match self.qr {
            QrForm::None => None,
            QrForm::Text => Some(otpauth::qr_text(&uri)?),
            QrForm::Svg => Some(otpauth::qr_svg(&uri)?),
        };
        Ok(TotpEnrolment {
            secret: secret.to_base32(),
            otpauth_uri: uri,
            qr,
        })
    }
}

fn begin(call: &ActorCall) -> Result<Race<TotpSecret>> {
    let CurrentLogin { account, head, .. } = CurrentLogin::read(call)?;
    let (enrolment, secret) = Enrolment::begin(account.value.user_id, call)?;
    let changed = Account {
        enrolment: Some(enrolment),
        ..account.value.clone()
    };
    let mut batch = Batch::new();
    batch.change(&account, &changed);
    let event = Event::success(EnrollTotp::NAME);
    Chain::at(changed.user_id, head).append(event, &mut batch, call)?;
    Ok(call.commit(batch)?.then(secret))
}
