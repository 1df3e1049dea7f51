//! The context that rules run in: the ports, the settings, the caller, and the actor whose
//! authority every commit depends on.

use std::net::IpAddr;
use std::rc::Rc;

use serde_json::{Value, json};

use super::actor_id::ActorId;
use super::trail::Trail;
use crate::error::Result;
use crate::json;
use crate::ports::{Credential, LogLevel, Ports};
use crate::settings::Settings;
use crate::storage::batch::{Batch, Commit, CommitGuard};
use crate::storage::retry::{self, Race};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// The credential of a caller.
#[derive(Clone, Debug)]
pub enum Principal {
    /// No credential.
    Anonymous,
    /// An access token that has yet to be verified.
    AccessToken(Secret),
    /// An API key that has yet to be verified.
    ApiKey(Secret),
    /// The operator who runs the host: standard input and the command line.
    Operator,
}

impl Principal {
    /// Returns the kind of the credential, for the audit log.
    pub fn credential(&self) -> Credential {
        match self {
            Principal::Anonymous => Credential::Anonymous,
            Principal::AccessToken(_) => Credential::AccessToken,
            Principal::ApiKey(_) => Credential::ApiKey,
            Principal::Operator => Credential::Operator,
        }
    }
}

/// The origin of a call for throttling: an IPv4 address, the /64 of an IPv6 address, which
/// is what one subscriber has, or this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source(String);

impl Source {
    /// Returns the source of a peer's address; text that is not an address counts as this
    /// machine.
    pub fn from_peer(peer: Option<&str>) -> Source {
        let address = peer.and_then(|peer| peer.parse::<IpAddr>().ok());
        Source(match address.map(|address| address.to_canonical()) {
            None => "local".to_owned(),
            Some(IpAddr::V4(v4)) => v4.to_string(),
            Some(IpAddr::V6(v6)) => {
                let [a, b, c, d, ..] = v6.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        })
    }

    /// Returns the source as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A caller: a credential and a source.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The credential.
    pub principal: Principal,
    /// The source of the call.
    pub source: Source,
}

/// The means to report the progress of a request to a waiting client.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The client's token for the request (`_meta.progressToken`).
    pub token: Value,
}

/// The standing of an actor: every batch of the actor is committed only while the records
/// that its authority depends on are unchanged. It is implemented by
/// [`Authority`](super::access::authority::Authority).
pub trait Standing: CommitGuard {
    /// Returns the id of the actor.
    fn actor_id(&self) -> ActorId;

    /// Verifies the actor again after a lost race, and returns its current standing.
    fn renew(&self, context: &Context) -> Result<Rc<dyn Standing>>;
}

/// The context that rules run in.
#[derive(Clone)]
pub struct Context<'a> {
    /// The capabilities of the host.
    pub ports: Ports<'a>,
    /// The settings in force.
    pub settings: &'a Settings,
    /// The caller, not yet verified.
    pub caller: &'a Caller,
    /// The standing of the verified actor; `None` if no caller has been verified.
    pub standing: Option<Rc<dyn Standing>>,
    /// The recorder for the audit log.
    pub trail: Rc<Trail>,
    /// `None` if the client did not ask for progress.
    pub progress: Option<Progress>,
    /// The lowest level of log notifications that the client accepts; `None` if it accepts
    /// none.
    pub log_level: Option<LogLevel>,
}

impl Context<'_> {
    /// Returns the id of the actor, or [`ActorId::Anonymous`] if no caller has been
    /// verified.
    pub fn actor_id(&self) -> ActorId {
        let standing = self.standing.as_ref();
        standing.map_or(ActorId::Anonymous, |standing| standing.actor_id())
    }

    /// Commits a batch if the authority of the actor is unchanged.
    pub fn commit(&self, batch: Batch) -> Result<Commit> {
        let guard = self.standing.as_deref();
        batch.commit(guard.map(|guard| guard as &dyn CommitGuard), &self.ports)
    }

    /// Returns the time now.
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// Notifies the client, if it asked for progress, that `done` of `total` steps are
    /// done and what comes next.
    pub fn progress(&self, done: u32, total: u32, next: &str) {
        let Some(progress) = &self.progress else {
            return;
        };
        let notification = json!({
            "jsonrpc": "2.0",
            "method": "notifications/progress",
            "params": {
                "progressToken": progress.token,
                "progress": done,
                "total": total,
                "message": next,
            }
        });
        self.ports.client.notify(&json::text(&notification));
    }

    /// Sends the client a log notification, if it accepts this level.
    pub fn log(&self, level: LogLevel, data: Value) {
        if self.log_level.is_none_or(|least| level < least) {
            return;
        }
        let notification = json!({
            "jsonrpc": "2.0",
            "method": "notifications/message",
            "params": {"level": level.to_string(), "logger": "user-auth", "data": data}
        });
        self.ports.client.notify(&json::text(&notification));
    }
}

/// Repeats an attempt until it wins its race. Each further attempt begins with the standing
/// of the actor at that time.
pub fn retry_on_conflict<'a, T>(
    context: &Context<'a>,
    mut attempt: impl FnMut(&Context<'a>) -> Result<Race<T>>,
) -> Result<T> {
    let mut acting = context.clone();
    retry::retry_on_conflict(|| {
        let ended = attempt(&acting)?;
        if !ended.is_won()
            && let Some(standing) = &context.standing
        {
            acting.standing = Some(standing.renew(context)?);
        }
        Ok(ended)
    })
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn spellings_of_an_address_and_one_ipv6_64_network_are_one_source() {
        let of = |peer| Source::from_peer(Some(peer));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:0DB8::1:ffff:0:0:2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
