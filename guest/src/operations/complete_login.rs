use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Effect, Operation, Tokens};
use crate::domain::account::Account;
use crate::domain::actor::Requirement;
use crate::domain::assurance::Proof;
use crate::domain::audit::{Chain, Event};
use crate::domain::challenge::{self, LoginChallenge};
use crate::domain::context::Context;
use crate::domain::records::{self, Batch};
use crate::domain::second_factor::Code;
use crate::domain::secret::Secret;
use crate::domain::throttle::{self, Attempt, Authenticator};
use crate::error::{AuthError, Kind, Result};
use crate::ports::LogLevel;

/// Begins the session that `login` gave a challenge for, with a code of the second
/// factor. A challenge takes five codes at the most, and none after five minutes;
/// every code is good once. Too many wrong codes are throttled, whatever the
/// password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteLogin {
    /// The challenge of the login.
    pub challenge: Secret,
    /// The six digits that the app shows, or a recovery code.
    pub code: Code,
}

impl Operation for CompleteLogin {
    const NAME: &'static str = "complete_login";
    const TITLE: &'static str = "Log in: the second factor";
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Tokens;

    fn run(self, context: &Context) -> Result<Tokens> {
        let result = self.attempt(context);
        if let Err(error) = &result
            && error.kind == Kind::RateLimit
        {
            context.log(
                LogLevel::Warning,
                json!({
                    "event": "second_factor_throttled",
                    "retry_after_seconds": error.retry_after_seconds(),
                }),
            );
        }
        result
    }
}

impl CompleteLogin {
    fn attempt(&self, context: &Context) -> Result<Tokens> {
        throttle::check_source(context)?;
        let found = LoginChallenge::read(self.challenge.expose(), &context.ports)?;
        let Some(found) = found else {
            return self.refuse(context);
        };
        let challenge = found.value;
        if !challenge.count_code(&context.ports)? {
            return self.refuse(context);
        }
        let authenticator = match self.code {
            Code::Totp(_) => Authenticator::Totp(challenge.user_id),
            Code::Recovery(_) => Authenticator::RecoveryCode(challenge.user_id),
        };
        let attempt = Attempt::begin(authenticator, context)?;
        match records::settle(|| self.settle(&challenge, &attempt, context))? {
            Some(tokens) => Ok(tokens),
            None => self.refuse(context),
        }
    }

    /// `None`: a race was lost; `Some(None)`: it does not begin a session.
    fn settle(
        &self,
        challenge: &LoginChallenge,
        attempt: &Attempt,
        context: &Context,
    ) -> Result<Option<Option<Tokens>>> {
        let ports = &context.ports;
        let (account, head) = Account::read(challenge.user_id, ports)?;
        // Read anew: somebody else may have answered it meanwhile.
        let found = LoginChallenge::read(self.challenge.expose(), ports)?;
        let (Some(account), Some(found)) = (account, found) else {
            return Ok(Some(None));
        };
        let Some(factor) = &account.value.second_factor else {
            return Ok(Some(None));
        };
        if !found.value.is_alive(&account.value, context.now()) {
            return Ok(Some(None));
        }
        let mut batch = Batch::new();
        let (tokens, event) = match factor.accept(&self.code, account.value.user_id, context)? {
            None => {
                let event = Event::refused(Self::NAME, "invalid_code");
                (None, of(challenge, event))
            }
            Some((used, proof)) => {
                attempt.succeed(&mut batch);
                if proof == Proof::RecoveryCode {
                    throttle::forget(Authenticator::Totp(challenge.user_id), &mut batch, ports)?;
                }
                challenge::use_up(&found, &mut batch);
                let tokens = Tokens::of_new_session(&account.value, proof, &mut batch, context)?;
                let event = of(challenge, success(&account.value, &tokens, proof));
                let changed = Account {
                    second_factor: Some(used),
                    ..account.value.clone()
                };
                batch.change(&account, &changed);
                (Some(tokens), event)
            }
        };
        Chain::at(challenge.user_id, head).append(event, &mut batch, context)?;
        Ok(batch.commit(context)?.then_some(tokens))
    }

    /// One text for every reason: a wrong code, one that was used before, and a
    /// challenge that is not good for anything.
    fn refuse(&self, context: &Context) -> Result<Tokens> {
        throttle::count_failure(context)?;
        Err(AuthError::new(
            Kind::Authentication,
            "The challenge or the code is not valid",
        )
        .detail(
            "action",
            "try the next code that the app shows, or log in again for a new challenge",
        ))
    }
}

fn success(account: &Account, tokens: &Tokens, proof: Proof) -> Event<'static> {
    Event::success(CompleteLogin::NAME)
        .by(account.user_id)
        .detail("session_id", tokens.session_id.to_string())
        .detail("amr", proof.amr())
}

fn of(challenge: &LoginChallenge, event: Event<'static>) -> Event<'static> {
    event.detail("challenge_id", challenge.challenge_id.to_string())
}
