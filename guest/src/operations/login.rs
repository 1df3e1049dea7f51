use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Effect, Operation};
use crate::domain::access_token::AccessToken;
use crate::domain::account::Account;
use crate::domain::audit::{Chain, Event};
use crate::domain::context::Context;
use crate::domain::id::Id;
use crate::domain::password::{Password, PasswordRecord};
use crate::domain::records::{self, Batch};
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::throttle::{self, Throttle};
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
    type Output = Tokens;

    fn run(self, context: &Context) -> Result<Tokens> {
        // A change of the password while it is hashed makes the hash worthless.
        let tokens = records::settle(|| {
            let throttle = Throttle::check(&self.username, context)?;
            let Some(account) = self.authenticate(&throttle, context)? else {
                return Err(
                    AuthError::new(Kind::Authentication, "Invalid user name or password")
                        .detail("action", "check both, and try again"),
                );
            };
            context.progress(1, 2, "beginning the session");
            begin_session(&account, &self.username, throttle, context)
        })?;
        context.progress(2, 2, "done");
        Ok(tokens)
    }
}

impl Login {
    /// The account, if the password is right. If not, the failure is counted and
    /// recorded: for a name that nobody has with the same work as for any other.
    fn authenticate(&self, throttle: &Throttle, context: &Context) -> Result<Option<Account>> {
        let ports = &context.ports;
        let nobody = nobody(&self.username, context)?;
        let user_id = Account::id_of(&self.username, ports)?;
        let (account, _) = Account::read(user_id.unwrap_or(nobody), ports)?;
        context.progress(0, 2, "checking the password");
        let right = match &account {
            Some(account) => account.value.password.verify(&self.password, ports)?,
            None => {
                PasswordRecord::verify_nobody(&self.password, context.settings, ports)?;
                false
            }
        };
        if right {
            return Ok(account.map(|account| account.value));
        }
        let counted = throttle.count_failure(context);
        record_failure(
            account.map(|account| account.value.user_id),
            nobody,
            context,
        )?;
        if let Err(error) = counted {
            context.log(
                LogLevel::Warning,
                json!({"event": "login_throttled", "retry_after_seconds": throttle::WINDOW_SECONDS}),
            );
            return Err(error);
        }
        Ok(None)
    }
}

/// `None`: something happened to the account, or on its counter, meanwhile.
fn begin_session(
    authenticated: &Account,
    username: &Username,
    mut throttle: Throttle,
    context: &Context,
) -> Result<Option<Tokens>> {
    records::settle(|| {
        let (account, head) = Account::read(authenticated.user_id, &context.ports)?;
        let unchanged =
            account.is_some_and(|account| account.value.password == authenticated.password);
        if !unchanged {
            return Ok(Some(None));
        }
        let (session, refresh_token) = Session::begin(authenticated, context)?;
        let access_token = AccessToken::issue(&session, context)?;
        let index_key = Session::index_key(session.user_id, session.session_id);
        let event = Event::success(Login::NAME)
            .by(session.user_id)
            .detail("session_id", session.session_id.to_string());

        let mut batch = Batch::new();
        throttle.reset(&mut batch);
        batch.create(Session::key(session.session_id), &session);
        batch.create(index_key, &json!({}));
        Chain::at(session.user_id, head).append(event, &mut batch, context)?;
        if !batch.commit(context)? {
            throttle = Throttle::check(username, context)?;
            return Ok(None);
        }
        Ok(Some(Some(Tokens {
            access_token: access_token.token,
            token_type: "Bearer",
            expires_in: access_token.expires_in,
            refresh_token: refresh_token.to_secret(),
            session_id: session.session_id,
        })))
    })
}

fn record_failure(account: Option<Id>, nobody: Id, context: &Context) -> Result<()> {
    records::settle(|| {
        let id = account.unwrap_or(nobody);
        let head = records::read(Chain::head_key(id), &context.ports)?;
        let chain = match account {
            Some(_) => Chain::at(id, head),
            None => Chain::of_nobody(id, head),
        };
        let mut batch = Batch::new();
        let event = Event::refused(Login::NAME, "invalid_credentials");
        chain.append(event, &mut batch, context)?;
        Ok(batch.commit(context)?.then_some(()))
    })
}

/// Stands for the account of a name that nobody has.
fn nobody(username: &Username, context: &Context) -> Result<Id> {
    let pseudonym = throttle::pseudonym(&["nobody", username.as_str()], context)?;
    Id::try_from(pseudonym)
        .map_err(|_| AuthError::new(Kind::ResourceUnavailable, "No pseudonym could be made"))
}
