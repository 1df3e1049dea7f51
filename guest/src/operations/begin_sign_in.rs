use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, check_permission};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::display_text::DisplayText;
use crate::domain::sessions::sign_in_request::{self, Deliver, Purpose, SignInRequest};
use crate::error::{AuthError, ErrorKind, Result};
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
    /// `sign_in`, or `sign_up` for a user without an account.
    #[serde(default)]
    pub purpose: Purpose,
    /// `session` if you only need to know who the user is: the session stays here, and
    /// `verify_token`, `check_permission` and `logout` take `sign_in_id` for its access
    /// token. `tokens` if you have to act as the user.
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
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = SignInBegun;

    fn run(self, call: &ActorCall) -> Result<SignInBegun> {
        let Some(oauth) = &call.settings.oauth else {
            let error = AuthError::new(ErrorKind::Application, "Sign-in by browser is off here");
            return Err(error.detail("action", "set oauth.enabled and server.public_url"));
        };
        let caller = check_permission::caller(call)?.id().name();
        let client_name = self.client_name;
        let client_name = client_name.unwrap_or_else(|| DisplayText::own("An agent"));
        let (request, secret) =
            SignInRequest::begin(client_name, caller, self.purpose, self.deliver, call)?;
        Ok(SignInBegun {
            sign_in_id: secret,
            verification_uri: web::agent_sign_in::url(&request, &oauth.public_url),
            user_code: request.user_code,
            expires_in: sign_in_request::TTL.as_secs(),
            interval: INTERVAL,
        })
    }
}
