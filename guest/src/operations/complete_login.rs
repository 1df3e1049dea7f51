use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Effect, Operation, Tokens, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::Account;
use crate::domain::audit::{self, AuditSubject, Chain, Event, Head};
use crate::domain::credentials::second_factor::Code;
use crate::domain::sessions::auth_method::AuthMethod;
use crate::domain::sessions::login_challenge::{self, LoginChallenge};
use crate::domain::throttle::{self, Attempt, Authenticator, Counted};
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::ports::LogLevel;
use crate::storage::batch::Batch;
use crate::storage::record::{Found, Stored};
use crate::storage::retry::{self, Race};
use crate::types::secret::Secret;

/// Completes a login with a code of the second factor, for which `login` returned a
/// challenge. Returns the tokens of the new session.
///
/// A challenge accepts at most five codes within five minutes, and each code works once.
/// Too many wrong codes are throttled, even with the correct password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteLogin {
    /// The challenge that `login` returned.
    pub challenge: Secret,
    /// The six digits that the authenticator app shows, or a recovery code.
    pub code: Code,
}

impl Operation for CompleteLogin {
    const NAME: &'static str = "complete_login";
    const TITLE: &'static str = "Complete a login with the second factor";
    const TOOLSET: Option<Toolset> = Some(Toolset::Auth);
    const TAKES_PASSWORD: bool = true;
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Tokens;

    fn run(self, call: &ActorCall) -> Result<Tokens> {
        let result = self.attempt(call);
        if let Err(error) = &result
            && let ErrorKind::RateLimit { retry_after } = error.kind
        {
            call.reporter.log(
                LogLevel::Warning,
                json!({
                    "event": "second_factor_throttled",
                    "retry_after_seconds": retry_after.as_secs(),
                }),
            );
        }
        result
    }
}

impl CompleteLogin {
    fn attempt(&self, call: &ActorCall) -> Result<Tokens> {
        throttle::check_source(call)?;
        let Some(asked) = self.read(call)? else {
            return self.refuse(call);
        };
        let challenge = &asked.challenge.value;
        let totp = Authenticator::totp_of(&asked.account.value);
        let authenticator = match (&self.code, totp) {
            (Code::Totp(_), Some(totp)) => totp,
            _ => Authenticator::RecoveryCode(challenge.user_id),
        };
        let attempt = Attempt::admit(authenticator, call)?;
        // Only now: a code that is not checked must not use up one of the challenge's
        // attempts.
        if !challenge.count_code(&call.ports)? {
            return self.refuse(call);
        }
        let attempt = attempt.count(call)?;
        match retry::retry_on_conflict(|| self.settle(&attempt, call))? {
            Some(tokens) => Ok(tokens),
            None => self.refuse(call),
        }
    }

    /// Returns the challenge and the account as they are now, or `None` if no code can
    /// answer the challenge.
    fn read(&self, call: &ActorCall) -> Result<Option<Asked>> {
        let ports = &call.ports;
        let Some(found) = LoginChallenge::read(self.challenge.expose(), ports)? else {
            return Ok(None);
        };
        let (account, head) = Account::read(found.value.user_id, ports)?;
        // Read again after the head, since it may have been answered in between.
        let challenge = LoginChallenge::read(self.challenge.expose(), ports)?;
        let (Some(account), Some(challenge)) = (account, challenge) else {
            return Ok(None);
        };
        let is_alive = challenge.value.is_alive(&account.value, call.now());
        Ok(is_alive.then_some(Asked {
            challenge,
            account,
            head,
        }))
    }

    /// Returns the tokens of the new session, or `None` if the code does not begin one.
    fn settle(&self, attempt: &Counted, call: &ActorCall) -> Result<Race<Option<Tokens>>> {
        let Some(asked) = self.read(call)? else {
            return Ok(Race::Won(None));
        };
        let Asked {
            challenge,
            account: stored,
            head,
        } = asked;
        let account = &stored.value;
        let id = challenge.value.challenge_id.to_string();
        let Some(factor) = &account.second_factor else {
            return Ok(Race::Won(None));
        };
        let Some((used, proof)) = factor.accept(&self.code, account.user_id, call)? else {
            let event = Event::refused(Self::NAME, "invalid_code").detail("challenge_id", id);
            audit::record_refusal(event, AuditSubject::Account(account.user_id), call)?;
            return Ok(Race::Won(None));
        };
        let mut batch = Batch::new();
        attempt.succeed(&mut batch);
        if let (AuthMethod::RecoveryCode, Some(totp)) = (proof, Authenticator::totp_of(account)) {
            throttle::forget(totp, &mut batch, &call.ports)?;
        }
        login_challenge::use_up(&challenge, &mut batch);
        let tokens = Tokens::of_new_session(account, proof, &mut batch, call)?;
        let event = success(account, &tokens, proof).detail("challenge_id", id);
        let changed = Account {
            second_factor: Some(used),
            ..account.clone()
        };
        batch.change(&stored, &changed);
        Chain::at(changed.user_id, head).append(event, &mut batch, call)?;
        Ok(call.commit(batch)?.then(Some(tokens)))
    }

    /// Returns the same error for every reason: a wrong code, a used code or an invalid
    /// challenge.
    fn refuse(&self, call: &ActorCall) -> Result<Tokens> {
        throttle::count_failure(call)?;
        Err(AuthError::new(
            ErrorKind::Authentication,
            "The challenge or the code is not valid",
        )
        .because(Cause::InvalidChallenge)
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

/// A challenge that can be answered, its account, and the head of the account's audit
/// chain.
struct Asked {
    challenge: Stored<LoginChallenge>,
    account: Stored<Account>,
    head: Found<Head>,
}
