use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Effect, Operation};
use crate::domain::access_token::AccessToken;
use crate::domain::account::Account;
use crate::domain::actor::Requirement;
use crate::domain::audit::{self, Chain, Event};
use crate::domain::context::Context;
use crate::domain::id::Id;
use crate::domain::password::{Password, PasswordRecord};
use crate::domain::records::{self, Batch};
use crate::domain::refresh_token;
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::throttle::{self, Attempt};
use crate::domain::username::Username;
use crate::error::{AuthError, Kind, Result};
use crate::ports::LogLevel;

/// Begins a session with a user name and a password, and gives an access token
/// for it and a refresh token to renew that with. Whether the name or the
/// password was wrong is never told, and too many failures are throttled.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The name of the account.
    pub username: Username,
    /// Its password.
    pub password: Password,
}

/// The tokens of a session (RFC 6749 section 5.1).
#[derive(Serialize, JsonSchema)]
pub struct Tokens {
    /// Says who its bearer is, for a short time. Keep it secret.
    pub access_token: Secret,
    /// How to use it: `Bearer` (RFC 6750).
    pub token_type: &'static str,
    /// How long the access token is good, in seconds.
    pub expires_in: u64,
    /// Good for one use of `refresh_token`. Keep it secret.
    pub refresh_token: Secret,
    /// The session that both belong to.
    pub session_id: Id,
}

impl Operation for Login {
    const NAME: &'static str = "login";
    const TITLE: &'static str = "Log in";
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Tokens;

    fn run(self, context: &Context) -> Result<Tokens> {
        // Until the outcome is decided nothing may tell a right password from a
        // wrong one: no progress, no log, no other answer.
        let result = self.attempt(context);
        match &result {
            Ok(_) => context.progress(1, 1, "done"),
            Err(error) if error.kind == Kind::RateLimit => context.log(
                LogLevel::Warning,
                json!({"event": "login_throttled", "retry_after_seconds": throttle::WINDOW_SECONDS}),
            ),
            Err(_) => {}
        }
        result
    }
}

impl Login {
    fn attempt(&self, context: &Context) -> Result<Tokens> {
        context.progress(0, 1, "checking the password");
        let attempt = Attempt::begin(&self.username, context)?;
        records::settle(|| {
            let Some(authenticated) = self.authenticate(context)? else {
                throttle::count_failure(context)?;
                return Err(
                    AuthError::new(Kind::Authentication, "Invalid user name or password")
                        .detail("action", "check both, and try again"),
                );
            };
            begin_session(&authenticated, &attempt, context)
        })
    }

    /// The account, if the password is right. If not, the failure is recorded:
    /// for a name that nobody has with the same work as for any other.
    fn authenticate(&self, context: &Context) -> Result<Option<Authenticated>> {
        let ports = &context.ports;
        let nobody = Id::from_bytes(throttle::pseudonym(
            &["nobody", self.username.as_str()],
            context,
        )?);
        let user_id = Account::id_of(&self.username, ports)?;
        let (account, _) = Account::read(user_id.unwrap_or(nobody), ports)?;
        let Some(account) = account.map(|account| account.value) else {
            PasswordRecord::verify_nobody(&self.password, context.settings, ports)?;
            record_failure(None, nobody, context)?;
            return Ok(None);
        };
        // A disabled account is no good, which nobody learns from here.
        let is_right = account.password.verify(&self.password, ports)?;
        if !is_right || !account.is_active() {
            record_failure(Some(account.user_id), nobody, context)?;
            return Ok(None);
        }
        // The parameters may have been raised since the password was hashed.
        let rehashed = match account.password.is_current(context.settings) {
            true => None,
            false => Some(PasswordRecord::create(
                &self.password,
                context.settings,
                ports,
            )?),
        };
        Ok(Some(Authenticated { account, rehashed }))
    }
}

/// An account whose password was right, and the password hashed anew if it has
/// to be.
struct Authenticated {
    account: Account,
    rehashed: Option<PasswordRecord>,
}

/// `None`: the account has another password by now, or is disabled, and has to be
/// checked again.
fn begin_session(
    authenticated: &Authenticated,
    attempt: &Attempt,
    context: &Context,
) -> Result<Option<Tokens>> {
    let Authenticated { account, rehashed } = authenticated;
    records::settle(|| {
        let (found, head) = Account::read(account.user_id, &context.ports)?;
        let Some(current) = found
            .filter(|found| found.value.password == account.password && found.value.is_active())
        else {
            return Ok(Some(None));
        };
        throttle::check_source(context)?;
        let (session, refresh_token) = Session::begin(&current.value, context)?;
        let tokens = Tokens::new(&session, &refresh_token, context)?;
        let event = Event::success(Login::NAME)
            .by(session.user_id)
            .detail("session_id", session.session_id.to_string());

        let mut batch = Batch::new();
        attempt.succeed(&mut batch);
        batch.create(Session::key(session.session_id), &session);
        batch.create(
            Session::index_key(session.user_id, session.session_id),
            &json!({}),
        );
        if let Some(password) = rehashed {
            let rehashed = Account {
                password: password.clone(),
                ..current.value
            };
            batch.replace(Account::key(rehashed.user_id), &current.version, &rehashed);
        }
        Chain::at(session.user_id, head).append(event, &mut batch, context)?;
        Ok(batch.commit(context)?.then_some(Some(tokens)))
    })
}

impl Tokens {
    /// The tokens of a session as it is now.
    pub fn new(
        session: &Session,
        refresh_token: &refresh_token::RefreshToken,
        context: &Context,
    ) -> Result<Tokens> {
        let access_token = AccessToken::issue(session, context)?;
        Ok(Tokens {
            access_token: access_token.token,
            token_type: "Bearer",
            expires_in: access_token.expires_in,
            refresh_token: refresh_token.to_secret(),
            session_id: session.session_id,
        })
    }
}

fn record_failure(account: Option<Id>, nobody: Id, context: &Context) -> Result<()> {
    audit::record_refusal(Login::NAME, "invalid_credentials", account, nobody, context)
}
