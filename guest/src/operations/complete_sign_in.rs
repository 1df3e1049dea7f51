use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::begin_sign_in::INTERVAL;
use super::{Effect, Operation, Tokens, Toolset, check_permission};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event};
use crate::domain::sessions::session;
use crate::domain::sessions::sign_in_request::{self, Deliver, Purpose, SignInRequest, State};
use crate::error::{AuthError, ErrorKind, Result};
use crate::storage::batch::Batch;
use crate::storage::record::Stored;
use crate::storage::retry::{self, Race};
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Returns the outcome of a sign-in that `begin_sign_in` began: `pending` until the user
/// has answered, then `complete` with the user, once. Only its caller gets it, and only
/// within ten minutes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteSignIn {
    /// What `begin_sign_in` returned.
    pub sign_in_id: Secret,
}

/// The outcome of a sign-in.
#[derive(Serialize, JsonSchema)]
pub struct SignInOutcome {
    /// `pending` or `complete`.
    pub status: &'static str,
    /// How long to wait before the next question, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// The user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Id>,
    /// The user name, unless it has the form of an address that the user has not verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Username>,
    /// Whether the address of the user is verified, if `begin_sign_in` was for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// The tokens of the session, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

impl Operation for CompleteSignIn {
    const NAME: &'static str = "complete_sign_in";
    const TITLE: &'static str = "Complete a sign-in by browser";
    const TOOLSET: Option<Toolset> = Some(Toolset::Auth);
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = SignInOutcome;

    fn run(self, call: &ActorCall) -> Result<SignInOutcome> {
        let caller = check_permission::caller(call)?;
        let caller = check_permission::name_for_sign_ins(&caller);
        let text = self.sign_in_id.expose();
        retry::retry_on_conflict(|| {
            let found = SignInRequest::of_secret(text, &caller, &call.ports)?;
            let found = found.filter(|found| !found.value.is_over(call.now()));
            let request = found.ok_or_else(is_over)?;
            match request.value.state {
                State::Waiting => Ok(Race::Won(pending())),
                State::Allowed => settle(&request, call),
                State::Denied => Err(AuthError::new(
                    ErrorKind::Authentication,
                    "The user has refused the sign-in",
                )),
                State::Completed => Err(is_over()),
            }
        })
    }
}

fn pending() -> SignInOutcome {
    SignInOutcome {
        status: "pending",
        interval: Some(INTERVAL),
        user_id: None,
        username: None,
        email_verified: None,
        tokens: None,
    }
}

/// The same for a secret that was never good, so that nobody learns which ones were.
pub(super) fn is_over() -> AuthError {
    AuthError::new(
        ErrorKind::Authentication,
        "The sign-in is unknown here, has been completed, or is over",
    )
    .detail("action", "begin another one with begin_sign_in")
}

/// Begins the session of the agent. The one of the browser has to be alive: who signs out
/// there, or changes the password, has changed their mind.
fn settle(request: &Stored<SignInRequest>, call: &ActorCall) -> Result<Race<SignInOutcome>> {
    let (Some(session_id), Some(user_id)) = (request.value.session_id, request.value.user_id)
    else {
        return Err(is_over());
    };
    let (browser, account, head) = session::read_with_account(session_id, user_id, &call.ports)?;
    let (Some(browser), Some(account)) = (browser, account) else {
        return Err(is_over());
    };
    let (browser, account) = (browser.value, account.value);
    if !browser.is_alive(&account, call.now()) {
        return Err(is_over());
    }
    let (session, refresh_token) =
        browser.begin_for_agent(&request.value.client_name, &account, call)?;
    let mut batch = Batch::new();
    session.store(&mut batch);
    sign_in_request::change(request, State::Completed, &session, &mut batch, call);
    let event = Event::success(CompleteSignIn::NAME)
        .by(user_id)
        .detail("session_id", session.session_id.to_string())
        .detail("request_id", request.value.request_id.to_string())
        .detail("caller", request.value.caller.as_str())
        .detail("client_name", request.value.client_name.as_str());
    Chain::at(user_id, head).append(event, &mut batch, call)?;
    let tokens = match request.value.deliver {
        Deliver::Session => None,
        Deliver::Tokens => Some(Tokens::new(&session, &refresh_token, call)?),
    };
    let outcome = SignInOutcome {
        status: "complete",
        interval: None,
        user_id: Some(user_id),
        username: Some(account.username.clone()).filter(|_| account.has_own_username()),
        email_verified: (request.value.purpose == Purpose::VerifyEmail)
            .then(|| account.verified_email().is_some()),
        tokens,
    };
    Ok(call.commit(batch)?.then(outcome))
}
