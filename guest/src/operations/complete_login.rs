use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Effect, Operation, Tokens};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorContext;
use crate::domain::accounts::account::Account;
use crate::domain::audit::{self, AuditSubject, Chain, Event, Head};
use crate::domain::credentials::second_factor::Code;
use crate::domain::sessions::auth_method::AuthMethod;
use crate::domain::sessions::login_challenge::{self, LoginChallenge};
use crate::domain::throttle::{self, Attempt, Authenticator, Counted};
use crate::error::{AuthError, Kind, Result};
use crate::ports::LogLevel;
use crate::storage::batch::Batch;
use crate::storage::record::{Found, Stored};
use crate::storage::retry;
use crate::types::secret::Secret;

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

    fn run(self, context: &ActorContext) -> Result<Tokens> {
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
    fn attempt(&self, context: &ActorContext) -> Result<Tokens> {
        throttle::check_source(context)?;
        let Some(asked) = self.read(context)? else {
            return self.refuse(context);
        };
        let challenge = &asked.challenge.value;
        let totp = Authenticator::totp_of(&asked.account.value);
        let authenticator = match (&self.code, totp) {
            (Code::Totp(_), Some(totp)) => totp,
            _ => Authenticator::RecoveryCode(challenge.user_id),
        };
        let attempt = Attempt::admit(authenticator, context)?;
        // After that: a code that is not looked at takes none of the challenge's.
        if !challenge.count_code(&context.ports)? {
            return self.refuse(context);
        }
        let attempt = attempt.count(context)?;
        match retry::retry_on_conflict(|| self.settle(&attempt, context))? {
            Some(tokens) => Ok(tokens),
            None => self.refuse(context),
        }
    }

    /// The challenge and the account as they are now; `None`: no code can answer it.
    fn read(&self, context: &ActorContext) -> Result<Option<Asked>> {
        let ports = &context.ports;
        let Some(found) = LoginChallenge::read(self.challenge.expose(), ports)? else {
            return Ok(None);
        };
        let (account, head) = Account::read(found.value.user_id, ports)?;
        // After the head: meanwhile it may have been answered.
        let challenge = LoginChallenge::read(self.challenge.expose(), ports)?;
        let (Some(account), Some(challenge)) = (account, challenge) else {
            return Ok(None);
        };
        let is_alive = challenge.value.is_alive(&account.value, context.now());
        Ok(is_alive.then_some(Asked {
            challenge,
            account,
            head,
        }))
    }

    /// `None`: a race was lost; `Some(None)`: it does not begin a session.
    fn settle(&self, attempt: &Counted, context: &ActorContext) -> Result<Option<Option<Tokens>>> {
        let Some(asked) = self.read(context)? else {
            return Ok(Some(None));
        };
        let Asked {
            challenge,
            account: stored,
            head,
        } = asked;
        let account = &stored.value;
        let id = challenge.value.challenge_id.to_string();
        let Some(factor) = &account.second_factor else {
            return Ok(Some(None));
        };
        let Some((used, proof)) = factor.accept(&self.code, account.user_id, context)? else {
            let event = Event::refused(Self::NAME, "invalid_code").detail("challenge_id", id);
            audit::record_refusal(event, AuditSubject::Account(account.user_id), context)?;
            return Ok(Some(None));
        };
        let mut batch = Batch::new();
        attempt.succeed(&mut batch);
        if let (AuthMethod::RecoveryCode, Some(totp)) = (proof, Authenticator::totp_of(account)) {
            throttle::forget(totp, &mut batch, &context.ports)?;
        }
        login_challenge::use_up(&challenge, &mut batch);
        let tokens = Tokens::of_new_session(account, proof, &mut batch, context)?;
        let event = success(account, &tokens, proof).detail("challenge_id", id);
        let changed = Account {
            second_factor: Some(used),
            ..account.clone()
        };
        batch.change(&stored, &changed);
        Chain::at(changed.user_id, head).append(event, &mut batch, context)?;
        Ok(context.commit(batch)?.then_some(Some(tokens)))
    }

    /// One text for every reason: a wrong code, one that was used before, and a
    /// challenge that is not good for anything.
    fn refuse(&self, context: &ActorContext) -> Result<Tokens> {
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

fn success(account: &Account, tokens: &Tokens, proof: AuthMethod) -> Event<'static> {
    Event::success(CompleteLogin::NAME)
        .by(account.user_id)
        .detail("session_id", tokens.session_id.to_string())
        .detail("amr", proof.amr())
}

/// A challenge that may be answered, the account that it is for, and the head of its
/// audit chain.
struct Asked {
    challenge: Stored<LoginChallenge>,
    account: Stored<Account>,
    head: Found<Head>,
}
