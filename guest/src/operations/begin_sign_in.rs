use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::complete_sign_in::is_over;
use super::{Effect, Operation, Toolset, check_permission};
use crate::domain::access::actor::{Actor, Requirement};
use crate::domain::access::authority::ActorCall;
use crate::domain::call::Call;
use crate::domain::caller::Principal;
use crate::domain::display_text::DisplayText;
use crate::domain::sessions::sign_in_request::{Deliver, Purpose, SignInRequest};
use crate::error::{AuthError, ErrorKind, Result};
use crate::settings::OAuth;
use crate::types::secret::Secret;
use crate::web;

/// How long to wait between two questions for the outcome (RFC 8628 section 3.5).
pub(super) const INTERVAL: u64 = 5;

/// Begins a sign-in in the user's browser, so that no password passes through you. Give
/// the user `verification_uri` and `user_code`: the page shows the same code. Then ask
/// `complete_sign_in` for the outcome, with `sign_in_id`, until it is not `pending`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginSignIn {
    /// Your name, which the page shows to the user.
    #[serde(default)]
    pub client_name: Option<DisplayText>,
    /// `sign_in` (the default), `sign_up` for a user without an account, `new_password` for one
    /// who has forgotten it, or `verify_email` to have the address verified as well.
    #[serde(default)]
    pub purpose: Purpose,
    /// `session` (the default) if you only need to know who the user is: it stays here, and
    /// `verify_token`, `check_permission` and `logout` take `sign_in_id`. `tokens` if you
    /// have to act as the user; that requires a credential of your own.
    #[serde(default)]
    pub deliver: Deliver,
}

/// A sign-in that waits for its user.
#[derive(Serialize, JsonSchema)]
pub struct SignInBegun {
    /// For `complete_sign_in`. Keep it secret, from the user as well.
    pub sign_in_id: Secret,
    /// The page that the user opens.
    pub verification_uri: String,
    /// The code that the user compares with that on the page.
    pub user_code: String,
    /// How long the user can answer, in seconds.
    pub expires_in: u64,
    /// How long to wait before each question for the outcome, in seconds.
    pub interval: u64,
}

impl Operation for BeginSignIn {
    const NAME: &'static str = "begin_sign_in";
    const TITLE: &'static str = "Begin a sign-in by browser";
    const TOOLSET: Option<Toolset> = Some(Toolset::Auth);
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = SignInBegun;

    fn run(self, call: &ActorCall) -> Result<SignInBegun> {
        let oauth = oauth(call)?;
        let caller = check_permission::caller(call)?;
        let is_known = !matches!(caller, Actor::Anonymous);
        if !is_known && !matches!(call.caller.principal, Principal::Anonymous) {
            return Err(AuthError::invalid_token());
        }
        // Otherwise anyone could send a link to somebody, and act as whoever follows it. The
        // tokens would also permit more than the scopes of a client, and outlast its access.
        let may_get_tokens = !matches!(caller, Actor::Anonymous | Actor::Bearer(_));
        if !may_get_tokens && self.deliver == Deliver::Tokens {
            let problem = "Tokens require an API key or a session of the caller's own";
            let error = AuthError::new(ErrorKind::Authentication, problem);
            return Err(error.detail("action", "send an API key, or use `deliver: session`"));
        }
        let name = check_permission::name_for_sign_ins(&caller);
        let client_name = self.client_name;
        let client_name = client_name.unwrap_or_else(|| DisplayText::own("An agent"));
        let (request, secret) = SignInRequest::begin(
            client_name,
            caller.id(),
            name,
            self.purpose,
            self.deliver,
            call,
        )?;
        Ok(SignInBegun::new(&request, secret, oauth, call))
    }
}

impl SignInBegun {
    fn new(request: &SignInRequest, secret: Secret, oauth: &OAuth, call: &Call) -> SignInBegun {
        SignInBegun {
            sign_in_id: secret,
            verification_uri: web::agent_sign_in::url(request, &oauth.public_url),
            user_code: request.user_code.clone(),
            expires_in: request.expires_in(call.now()),
            interval: INTERVAL,
        }
    }
}

/// Returns what the operation returned to this caller with this `sign_in_id`.
///
/// Fails with -32001 if that was another caller, or if the sign-in is over.
pub fn begun(sign_in_id: &str, call: &Call) -> Result<SignInBegun> {
    let caller = check_permission::caller(call)?;
    let caller = check_permission::name_for_sign_ins(&caller);
    let found = SignInRequest::of_secret(sign_in_id, &caller, &call.ports)?;
    let found = found.filter(|found| !found.value.is_over(call.now()));
    let request = found.ok_or_else(is_over)?.value;
    let secret = Secret::new(sign_in_id.to_owned());
    Ok(SignInBegun::new(&request, secret, oauth(call)?, call))
}

fn oauth<'a>(call: &Call<'a>) -> Result<&'a OAuth> {
    call.settings.oauth.as_ref().ok_or_else(|| {
        AuthError::new(ErrorKind::Application, "Sign-in by browser is off here")
            .detail("action", "set oauth.enabled and server.public_url")
    })
}
