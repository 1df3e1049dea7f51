use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorContext};
use crate::domain::accounts::account::Account;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::otpauth;
use crate::domain::credentials::second_factor::Enrolment;
use crate::domain::credentials::totp::TotpSecret;
use crate::domain::sessions::session::CurrentLogin;
use crate::error::Result;
use crate::storage::batch::Batch;
use crate::types::secret::Secret;

/// Gives the account that calls a secret for an authenticator app, as a step
/// towards a second factor: that counts once `confirm_totp` has shown that the app
/// has it. Until then all stays as it is. Takes a session that began lately, with
/// the second factor if the account has one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollTotp {
    /// Also draw the URI as a QR code: `svg` as a picture, `text` in block characters
    /// for light text on a dark ground. `none`, which is the default, draws nothing:
    /// clients that can should draw it themselves, since either takes kilobytes.
    #[serde(default)]
    pub qr: QrForm,
}

/// How a QR code is drawn.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(with = "String", extend("enum" = ["none", "text", "svg"]))]
pub enum QrForm {
    /// Not at all.
    #[default]
    None,
    /// In block characters.
    Text,
    /// As a picture.
    Svg,
}

/// The secret for the app, in the forms that apps take. Shown this once; keep
/// every one of them secret.
#[derive(Serialize, JsonSchema)]
pub struct TotpEnrolment {
    /// To be typed: base32 (RFC 4648 section 6) without padding.
    pub secret: Secret,
    /// To be followed on the phone itself.
    pub otpauth_uri: Secret,
    /// The same to be scanned, in the form that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qr: Option<Secret>,
}

impl Operation for EnrollTotp {
    const NAME: &'static str = "enroll_totp";
    const TITLE: &'static str = "Enroll an authenticator app";
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::RecentLogin;
    type Output = TotpEnrolment;

    fn run(self, context: &ActorContext) -> Result<TotpEnrolment> {
        let secret = authority::retry_on_conflict(context, |context| begin(context))?;
        let username = &context.actor().session()?.username;
        let uri = otpauth::uri(&context.settings.issuer, username, &secret);
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

/// `None`: a race was lost.
fn begin(context: &ActorContext) -> Result<Option<TotpSecret>> {
    let CurrentLogin { account, head, .. } = CurrentLogin::read(context)?;
    let (enrolment, secret) = Enrolment::begin(account.value.user_id, context)?;
    let changed = Account {
        enrolment: Some(enrolment),
        ..account.value.clone()
    };
    let mut batch = Batch::new();
    batch.change(&account, &changed);
    let event = Event::success(EnrollTotp::NAME);
    Chain::at(changed.user_id, head).append(event, &mut batch, context)?;
    Ok(context.commit(batch)?.then_some(secret))
}
