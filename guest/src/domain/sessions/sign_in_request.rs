//! Requests of agents to sign a user in. The user acts in a browser, and the agent sees no
//! password and no code of a second factor: it gets the outcome with a secret that it had
//! from the beginning. The words are those of RFC 8628, which does the same for devices.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access_token::AccessToken;
use super::session::{self, Session};
use crate::domain::actor_id::ActorId;
use crate::domain::call::Call;
use crate::domain::display_text::DisplayText;
use crate::domain::throttle;
use crate::error::Result;
use crate::ports::{Expect, Ports};
use crate::storage::batch::{Batch, Commit};
use crate::storage::record::{self, Found, Stored};
use crate::types::id::Id;
use crate::types::record_secret::RecordSecret;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

const PREFIX: &str = "uai_";
/// The label of the key that the secrets of requests are hashed under.
const LABEL: &str = "sign-in-request";
/// How long a user can answer.
pub const TTL: Duration = Duration::from_secs(600);
/// The letters of user codes: no vowels, so that they spell no words (RFC 8628 section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// What the user does: sign in, or before that create an account or set a new password, or after
/// it verify the address of the account.
// Without comments on the variants, the schema is a plain list.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    #[default]
    SignIn,
    SignUp,
    NewPassword,
    VerifyEmail,
}

/// What the agent gets: the use of a session that stays here, or its tokens.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deliver {
    #[default]
    Session,
    Tokens,
}

/// A request, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignInRequest {
    /// The id of the request, which is not secret.
    pub request_id: Id,
    /// The name that the agent gives itself. It is unverified.
    pub client_name: DisplayText,
    /// Who may ask for the outcome: the caller as audit records name it, with the grant if
    /// it is a client.
    pub caller: String,
    /// What the user does first.
    pub purpose: Purpose,
    /// What the agent gets.
    pub deliver: Deliver,
    /// What the agent and the page both show, so that the user sees whether they belong
    /// together.
    pub user_code: String,
    /// What has become of it.
    pub state: State,
    /// The user who has agreed.
    pub user_id: Option<Id>,
    /// The session in whose browser the user has agreed and, once the agent has got what it
    /// asked for, the session that began.
    pub session_id: Option<Id>,
    expires_at: Timestamp,
    hash: String,
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The user has not answered.
    Waiting,
    /// The user has agreed.
    Allowed,
    /// The user has refused.
    Denied,
    /// The agent has got what it asked for.
    Completed,
}

impl SignInRequest {
    /// Stores a new request of this caller, under the name that may ask for the outcome, and
    /// returns it with its secret.
    ///
    /// Fails with -32003 after too many requests of one caller, or of one site without callers
    /// that are known.
    pub fn begin(
        client_name: DisplayText,
        caller: ActorId,
        name: String,
        purpose: Purpose,
        deliver: Deliver,
        call: &Call,
    ) -> Result<(SignInRequest, Secret)> {
        throttle::count_sign_in(caller, call)?;
        let ports = &call.ports;
        let request_id = ports.random.id()?;
        let secret = RecordSecret::create(request_id, ports)?;
        let request = SignInRequest {
            request_id,
            client_name,
            caller: name,
            purpose,
            deliver,
            user_code: user_code(ports)?,
            state: State::Waiting,
            user_id: None,
            session_id: None,
            expires_at: call.now() + TTL,
            hash: secret.hash(LABEL, ports)?,
        };
        let mut batch = Batch::new();
        batch.put(key(request_id), Expect::Absent, &request, ttl_ms(TTL));
        // The id is new, so nothing else has it.
        let (Commit::Done | Commit::Conflict) = call.commit(batch)?;
        Ok((request, secret.to_secret(PREFIX)))
    }

    /// Returns the request with this id, for its page.
    pub fn read(request_id: Id, ports: &Ports) -> Result<Found<SignInRequest>> {
        record::read(key(request_id), ports)
    }

    /// Returns the request with this secret, or `None` unless this caller has begun it.
    pub fn of_secret(text: &str, caller: &str, ports: &Ports) -> Result<Found<SignInRequest>> {
        let Some(secret) = RecordSecret::parse(text, PREFIX) else {
            return Ok(None);
        };
        match SignInRequest::read(secret.id(), ports)? {
            Some(found)
                if found.value.caller == caller
                    && secret.has_hash(&found.value.hash, LABEL, ports)? =>
            {
                Ok(Some(found))
            }
            _ => Ok(None),
        }
    }

    /// Reports whether the user can still answer.
    pub fn is_waiting(&self, now: Timestamp) -> bool {
        self.state == State::Waiting && now < self.expires_at
    }

    /// Returns how long the user can answer, in seconds.
    pub fn expires_in(&self, now: Timestamp) -> u64 {
        self.expires_at.since(now).as_secs()
    }

    /// Reports whether it is too late to get the outcome.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }

    /// Returns the session that the request has begun and keeps here.
    fn kept(&self) -> Option<Id> {
        let is_kept = self.state == State::Completed && self.deliver == Deliver::Session;
        self.session_id.filter(|_| is_kept)
    }
}

/// Changes what has become of a request with this user and session, in a batch. Of two
/// changes at the same time, the batch of one is refused. A request whose session stays here
/// lasts as long as that may.
pub fn change(
    request: &Stored<SignInRequest>,
    state: State,
    session: &Session,
    batch: &mut Batch,
    call: &Call,
) {
    let value = SignInRequest {
        state,
        user_id: Some(session.user_id),
        session_id: Some(session.session_id),
        ..request.value.clone()
    };
    let lasting = match value.kept() {
        Some(_) => call.settings.session_absolute,
        None => TTL,
    };
    let expect = Expect::At(request.version.clone());
    batch.put(key(value.request_id), expect, &value, ttl_ms(lasting));
}

/// Returns the live session that a request of this caller keeps here.
pub fn kept_session(text: &str, caller: &str, call: &Call) -> Result<Option<Session>> {
    let ports = &call.ports;
    let request = SignInRequest::of_secret(text, caller, ports)?;
    let Some(session_id) = request.and_then(|request| request.value.kept()) else {
        return Ok(None);
    };
    let Some(found) = Session::read(session_id, ports)? else {
        return Ok(None);
    };
    let user_id = found.value.user_id;
    let (session, account, _) = session::read_with_account(session_id, user_id, ports)?;
    let (Some(session), Some(account)) = (session, account) else {
        return Ok(None);
    };
    let is_alive = session.value.is_alive(&account.value, call.now());
    Ok(is_alive.then_some(session.value))
}

/// Returns an access token of that session for this service itself, which never leaves it.
pub fn access_token(text: &str, caller: &str, call: &Call) -> Result<Option<Secret>> {
    let Some(session) = kept_session(text, caller, call)? else {
        return Ok(None);
    };
    let issued = AccessToken::issue(&session, &call.settings.audience, call)?;
    Ok(Some(issued.token))
}

/// Returns eight random letters in two groups.
fn user_code(ports: &Ports) -> Result<String> {
    let mut random = [0; 16];
    ports.random.fill(&mut random)?;
    let letters = random.chunks_exact(2).map(|pair| {
        let number = usize::from(u16::from_be_bytes([pair[0], pair[1]]));
        char::from(LETTERS[number % LETTERS.len()])
    });
    let mut code: String = letters.collect();
    code.insert(4, '-');
    Ok(code)
}

fn key(request_id: Id) -> String {
    format!("sign-in-request/{request_id}")
}

fn ttl_ms(ttl: Duration) -> Option<u64> {
    u64::try_from(ttl.as_millis()).ok()
}
