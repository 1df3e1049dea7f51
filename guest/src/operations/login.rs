use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{self, AuditSubject, Chain, Event, UnknownAccount};
use crate::domain::credentials::foreign_hash::Cost;
use crate::domain::credentials::hash_costs::{self, HashCosts};
use crate::domain::credentials::password::{PasswordRecord, TypedPassword};
use crate::domain::credentials::second_factor::SecondFactor;
use crate::domain::notify;
use crate::domain::sessions::access_token::AccessToken;
use crate::domain::sessions::auth_method::AuthMethod;
use crate::domain::sessions::login_challenge::{self, LoginChallenge};
use crate::domain::sessions::refresh_token;
use crate::domain::sessions::session::Session;
use crate::domain::throttle::{self, Attempt, Authenticator, Counted};
use crate::error::{AuthError, ErrorKind, Result};
use crate::ports::{LogLevel, MessageKind};
use crate::storage::batch::Batch;
use crate::storage::record;
use crate::storage::retry::{self, Race};
use crate::types::id::Id;
use crate::types::secret::Secret;

/// Logs in with a user name or verified email address and a password. Returns an access
/// token and a refresh token to renew it or, if the account has a second factor, a
/// challenge for `complete_login`.
///
/// An error does not reveal whether the name or the password was wrong. Too many failures
/// are throttled.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The user name, or the verified email address of the account.
    pub username: Username,
    /// The password.
    pub password: TypedPassword,
}

/// The tokens of a new session, or a challenge if the account has a second factor.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("type" = "object"))]
pub enum LoginOutcome {
    /// The tokens of the new session.
    Tokens(Tokens),
    /// The challenge for the second step of the login.
    Challenge(Challenge),
}

/// The challenge that `complete_login` requires with a code of the second factor.
#[derive(Serialize, JsonSchema)]
pub struct Challenge {
    /// Proves that the password was correct. Keep it secret.
    pub challenge: Secret,
    /// The lifetime of the challenge in seconds.
    pub expires_in: u64,
    /// The methods that can answer it: `totp` for a code of the authenticator app,
    /// `recovery_code` for one of the recovery codes, which are for when the app is lost.
    pub methods: Vec<&'static str>,
}

/// The tokens of a session (RFC 6749 section 5.1).
#[derive(Serialize, JsonSchema)]
pub struct Tokens {
    /// Identifies its user, for a short time. Keep it secret.
    pub access_token: Secret,
    /// The type of the access token: `Bearer` (RFC 6750).
    pub token_type: &'static str,
    /// The lifetime of the access token in seconds.
    pub expires_in: u64,
    /// For `refresh_token`, whose answer contains the one that replaces it. Keep it secret.
    pub refresh_token: Secret,
    /// The session that both tokens belong to.
    pub session_id: Id,
}

impl Operation for Login {
    const NAME: &'static str = "login";
    const TITLE: &'static str = "Log in";
    const TOOLSET: Option<Toolset> = Some(Toolset::Auth);
    const TAKES_PASSWORD: bool = true;
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = LoginOutcome;

    fn run(self, call: &ActorCall) -> Result<LoginOutcome> {
        // Until the outcome is decided, nothing may distinguish a correct password from a
        // wrong one: no progress, no log, no different answer.
        let result = self.attempt(call);
        match &result {
            Ok(_) => call.reporter.progress(1, 1, "done"),
            Err(error) if matches!(error.kind, ErrorKind::RateLimit { .. }) => call.reporter.log(
                LogLevel::Warning,
                json!({
                    "event": "login_throttled",
                    "retry_after_seconds": call.settings.throttling.window.as_secs(),
                }),
            ),
            Err(_) => {}
        }
        result
    }
}

impl Login {
    fn attempt(&self, call: &ActorCall) -> Result<LoginOutcome> {
        call.reporter.progress(0, 1, "checking the password");
        let subject = Subject::read(&self.username, call)?;
        let attempt = Attempt::admit_password(subject.authenticator(), &self.username, call)?;
        let verdict = self.judge(subject, call)?;
        // Nothing before this line may depend on the verdict; everything after it may.
        let attempt = attempt.count(call)?;
        let mut verdict = Some(verdict);
        retry::retry_on_conflict(|| {
            let verdict = match verdict.take() {
                Some(verdict) => verdict,
                None => self.judge(Subject::read(&self.username, call)?, call)?,
            };
            let account = match verdict {
                Verdict::Right(account) => account,
                Verdict::Wrong(whom) => return Err(refuse(whom, call)?),
            };
            let authenticated = Authenticated {
                rehashed: self.rehash(&account, call),
                account,
            };
            Ok(match settle_outcome(&authenticated, &attempt, call)? {
                Some(outcome) => Race::Won(outcome),
                None => Race::Lost,
            })
        })
    }

    /// Verifies the password, with the same work for a name without an account as for any
    /// other. Records nothing, so that nothing reveals the verdict yet.
    fn judge(&self, subject: Subject, call: &ActorCall) -> Result<Verdict> {
        let ports = &call.ports;
        let account = match subject {
            Subject::Account(account) => account,
            Subject::Unknown(unknown, cost) => {
                PasswordRecord::verify_decoy(&self.password, cost, call.settings, ports)?;
                return Ok(Verdict::Wrong(AuditSubject::Unknown(unknown)));
            }
        };
        let is_right = account.password.verify(&self.password, ports)?;
        // A disabled account fails like a wrong password, so that callers cannot tell.
        Ok(match is_right && account.is_active() {
            true => Verdict::Right(account),
            false => Verdict::Wrong(AuditSubject::Account(account.user_id)),
        })
    }

    /// Returns a new hash of the password if it was imported or if the parameters have
    /// been raised since. If the host has no capacity for it, the next login tries again.
    fn rehash(&self, account: &Account, call: &ActorCall) -> Option<PasswordRecord> {
        if account.password.is_current(call.settings) {
            return None;
        }
        let rehashed = HashCosts::learn_own(call)
            .and_then(|()| PasswordRecord::renew(&self.password, call.settings, &call.ports));
        rehashed.ok()
    }
}

/// The account that a user name belongs to, if any.
enum Subject {
    Account(Box<Account>),
    /// The name is unknown. A login with it takes the time of this cost.
    Unknown(UnknownAccount, Option<Cost>),
}

impl Subject {
    fn read(username: &Username, call: &ActorCall) -> Result<Subject> {
        let ports = &call.ports;
        let unknown = UnknownAccount::new("username", username.as_str(), ports)?;
        let user_id = Account::id_of_login(username, call)?.unwrap_or(unknown.id());
        let keys = [Account::key(user_id), HashCosts::key()];
        let (account, costs) = record::read_both::<Account, HashCosts>(keys, ports)?;
        Ok(match account {
            Some(account) => Subject::Account(Box::new(account.value)),
            None => Subject::Unknown(unknown, HashCosts::of(costs).decoy_for(unknown)),
        })
    }

    fn authenticator(&self) -> Authenticator {
        match self {
            Subject::Account(account) => Authenticator::password_of(account),
            Subject::Unknown(unknown, _) => Authenticator::password_of_unknown(*unknown),
        }
    }
}

enum Verdict {
    Right(Box<Account>),
    Wrong(AuditSubject),
}

/// Counts and records a failure, and returns the error for it.
fn refuse(whom: AuditSubject, call: &ActorCall) -> Result<AuthError> {
    let event = Event::refused(Login::NAME, "invalid_credentials");
    audit::record_refusal(event, whom, call)?;
    throttle::count_failure(call)?;
    let error = AuthError::new(ErrorKind::Authentication, "Invalid user name or password");
    Ok(error.detail("action", "check both, and try again"))
}

/// An account whose password was correct, and the new hash of the password if it has to
/// be rehashed.
struct Authenticated {
    account: Box<Account>,
    rehashed: Option<PasswordRecord>,
}

/// Returns `None` if the account has since been disabled or got another password, and has
/// to be checked again.
fn settle_outcome(
    authenticated: &Authenticated,
    attempt: &Counted,
    call: &ActorCall,
) -> Result<Option<LoginOutcome>> {
    let Authenticated { account, rehashed } = authenticated;
    let whom = AuditSubject::Account(account.user_id);
    // Knowing the password does not yet prove ownership of an account with a second
    // factor, so this is recorded as a refusal.
    let challenged = Event::refused(Login::NAME, "second_factor_required");
    let challenged = match account.second_factor {
        None => Some(challenged),
        Some(_) => audit::count_refusal(challenged, whom, call)?,
    };
    retry::retry_on_conflict(|| {
        let (found, head) = Account::read(account.user_id, &call.ports)?;
        let Some(current) = found
            .filter(|found| found.value.password == account.password && found.value.is_active())
        else {
            return Ok(Race::Won(None));
        };
        throttle::check_source(call)?;
        let mut batch = Batch::new();
        attempt.succeed_with_password(&current.value, &mut batch, call)?;
        // Uses the account as it is on this head, so that a second factor confirmed while
        // the password was being checked counts.
        let (outcome, event) = match current.value.second_factor {
            None => with_tokens(&current.value, &mut batch, call)?,
            Some(_) => with_challenge(&current.value, challenged.clone(), &mut batch, call)?,
        };
        if !attempt.is_from_known_source() {
            notify::queue_notice(MessageKind::LoginFromNewSource, &current.value, &mut batch);
        }
        if let Some(password) = rehashed {
            hash_costs::release(&account.password, &mut batch, &call.ports)?;
            let rehashed = Account {
                password: password.clone(),
                ..current.value.clone()
            };
            batch.change(&current, &rehashed);
        }
        if let Some(event) = event {
            Chain::at(account.user_id, head).append(event, &mut batch, call)?;
        }
        Ok(call.commit(batch)?.then(Some(outcome)))
    })
}

fn with_tokens(
    account: &Account,
    batch: &mut Batch,
    call: &ActorCall,
) -> Result<(LoginOutcome, Option<Event<'static>>)> {
    let tokens = Tokens::of_new_session(account, AuthMethod::Password, batch, call)?;
    let event = Event::success(Login::NAME)
        .by(account.user_id)
        .detail("session_id", tokens.session_id.to_string());
    Ok((LoginOutcome::Tokens(tokens), Some(event)))
}

/// Without an event, the commit does not depend on the head of the chain. It need not: a
/// challenge is valid only for the account as it was.
fn with_challenge(
    account: &Account,
    event: Option<Event<'static>>,
    batch: &mut Batch,
    call: &ActorCall,
) -> Result<(LoginOutcome, Option<Event<'static>>)> {
    let (challenge, secret) = LoginChallenge::create(account, call)?;
    challenge.store(batch);
    let methods = account.second_factor.as_ref();
    let outcome = LoginOutcome::Challenge(Challenge {
        challenge: secret,
        expires_in: login_challenge::TTL.as_secs(),
        methods: methods.map_or_else(Vec::new, SecondFactor::methods),
    });
    let challenge_id = challenge.challenge_id.to_string();
    Ok((
        outcome,
        event.map(|event| event.detail("challenge_id", challenge_id)),
    ))
}

impl Tokens {
    /// Begins a session in the batch, and returns its first tokens.
    pub(super) fn of_new_session(
        account: &Account,
        proof: AuthMethod,
        batch: &mut Batch,
        call: &ActorCall,
    ) -> Result<Tokens> {
        let (session, refresh_token) = Session::begin(account, proof, call)?;
        session.store(batch);
        Tokens::new(&session, &refresh_token, call)
    }

    /// Returns tokens for the current state of a session.
    pub fn new(
        session: &Session,
        refresh_token: &refresh_token::RefreshToken,
        call: &ActorCall,
    ) -> Result<Tokens> {
        let access_token = AccessToken::issue(session, &call.settings.audience, call)?;
        Ok(Tokens {
            access_token: access_token.token,
            token_type: "Bearer",
            expires_in: access_token.expires_in,
            refresh_token: refresh_token.to_secret(),
            session_id: session.session_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Authenticated, Login, LoginOutcome, Operation, Subject, Verdict, settle_outcome};
    use crate::domain::access::authority;
    use crate::domain::accounts::account::Account;
    use crate::domain::throttle::Attempt;
    use crate::testing::World;

    #[test]
    fn a_second_factor_confirmed_during_the_password_check_is_required() {
        let world = World::new();
        world.alice();
        let credentials = json!({"username": "alice", "password": "correct horse battery staple"});
        let login: Login = serde_json::from_value(credentials).unwrap();
        let call = authority::authorize(Login::REQUIRES, &world.call()).unwrap();
        let subject = Subject::read(&login.username, &call).unwrap();
        let authenticator = subject.authenticator();
        let attempt = Attempt::admit_password(authenticator, &login.username, &call).unwrap();
        let Verdict::Right(account) = login.judge(subject, &call).unwrap() else {
            panic!("the password is correct");
        };
        let attempt = attempt.count(&call).unwrap();
        let authenticated = Authenticated {
            account,
            rehashed: None,
        };

        let key = Account::key(authenticated.account.user_id);
        let mut account: Value = serde_json::from_slice(&world.stored(&key).unwrap()).unwrap();
        account["second_factor"] =
            json!({"nonce": "0".repeat(32), "last_step": 0, "recovery_codes": []});
        world.tamper(&key, Some(serde_json::to_vec(&account).unwrap()));

        let outcome = settle_outcome(&authenticated, &attempt, &call);
        assert!(matches!(outcome.unwrap(), Some(LoginOutcome::Challenge(_))));
    }
}
