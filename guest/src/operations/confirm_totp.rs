use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::audit::{self, AuditSubject, Chain, Event};
use crate::domain::credentials::api_key::EndApiKeys;
use crate::domain::credentials::second_factor::Enrolment;
use crate::domain::credentials::totp::TotpCode;
use crate::domain::notify;
use crate::domain::sessions::auth_method::AuthMethod;
use crate::domain::sessions::session::{self, CurrentLogin};
use crate::domain::throttle::{self, Attempt, Authenticator, Counted};
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Makes the authenticator app of `enroll_totp` the caller's second factor, with a code
/// that it shows. Returns recovery codes, which are shown only once. Ends all other
/// sessions of the account. Requires a recent login.
///
/// The app takes the place of any previous second factor. The API keys that the other
/// sessions may have created end too. If the account has a second factor, the login must
/// have used it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmTotp {
    /// The six digits that the app shows.
    pub code: TotpCode,
    /// API keys to end too: the `recent` ones (the default), `all` or `none`.
    ///
    /// Recent are those that another session created or rotated within a session's
    /// maximum lifetime, 30 days by default.
    #[serde(default)]
    pub end_api_keys: EndApiKeys,
}

/// Recovery codes, for when the app is lost.
#[derive(Serialize, JsonSchema)]
pub struct RecoveryCodes {
    /// Each works once in place of a code of the app. Keep them secret.
    pub recovery_codes: Vec<Secret>,
    /// The session that continues.
    pub session_id: Id,
    /// The API keys that were ended; absent if there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended_api_keys: Vec<Id>,
}

impl Operation for ConfirmTotp {
    const NAME: &'static str = "confirm_totp";
    const TITLE: &'static str = "Confirm an authenticator app";
    const TOOLSET: Option<Toolset> = Some(Toolset::Keys);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::RecentLogin;
    type Output = RecoveryCodes;

    fn run(self, call: &ActorCall) -> Result<RecoveryCodes> {
        let (own, enrolment) = read(call)?;
        let authenticator = Authenticator::Totp {
            of: own.account.value.user_id,
            app: enrolment.app(),
        };
        let attempt = Attempt::admit(authenticator, call)?.count(call)?;
        authority::retry_on_conflict(call, |call| self.confirm(&attempt, call))
    }
}

/// Reads the enrolment to confirm, with its account and session.
fn read(call: &ActorCall) -> Result<(CurrentLogin, Enrolment)> {
    let own = CurrentLogin::read(call)?;
    match own.account.value.enrolment.clone() {
        Some(enrolment) => Ok((own, enrolment)),
        None => Err(AuthError::new(
            ErrorKind::Application,
            "There is no authenticator app to confirm",
        )
        .because(Cause::NoSecondFactor)
        .detail("action", "call enroll_totp first")),
    }
}

impl ConfirmTotp {
    fn confirm(&self, attempt: &Counted, call: &ActorCall) -> Result<Race<RecoveryCodes>> {
        let (own, enrolment) = read(call)?;
        let CurrentLogin {
            mut session,
            account,
            head,
        } = own;
        let user_id = account.value.user_id;
        let Some((factor, recovery_codes)) = enrolment.confirm(&self.code, user_id, call)? else {
            throttle::count_failure(call)?;
            let event = Event::refused(Self::NAME, "invalid_code");
            audit::record_refusal(event, AuditSubject::Account(user_id), call)?;
            return Err(AuthError::new(
                ErrorKind::Authentication,
                "The code is not the one that the app should show now",
            )
            .detail(
                "action",
                "check that the phone's clock is correct, and try the next code",
            ));
        };
        // The owner has now proved both factors.
        session.value.amr = AuthMethod::Totp.amr();
        let mut batch = Batch::new();
        let change = |account: &mut Account| {
            account.second_factor = Some(factor);
            account.enrolment = None;
        };
        let keys = self.end_api_keys;
        let ended = session::end_all_but(&session, &account, keys, change, &mut batch, call)?;
        attempt.succeed(&mut batch);
        let event = Event::success(Self::NAME).with_ended_keys(&ended);
        Chain::at(user_id, head).append(event, &mut batch, call)?;
        notify::queue_notice(MessageKind::SecondFactorChanged, &account.value, &mut batch);
        Ok(call.commit(batch)?.then(RecoveryCodes {
            recovery_codes,
            session_id: session.value.session_id,
            ended_api_keys: ended,
        }))
    }
}
