use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::dispatch::target;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::AUDIT_READ;
use crate::domain::accounts::username::Username;
use crate::domain::audit::verify::{self, Broken, Found, Link, Problem};
use crate::error::{AuthError, Cause, ErrorKind, FieldError, Result};
use crate::types::id::Id;

/// Verifies that the audit trail of an account is unaltered. A call examines up to 500
/// records: repeat it with `next_seq` and `next_previous` until they are absent.
///
/// Every seal, every link and the end are verified. Reports the first record that was
/// altered, dropped, reordered or cut off. Your own trail requires a session, and those
/// of others `user-auth:audit:read`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyAuditChain {
    /// The account whose trail to verify, by id; the caller's own by default.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The account whose trail to verify, by user name; the caller's own by default.
    #[serde(default)]
    pub username: Option<Username>,
    /// The record after which to continue: `next_seq` of the previous call.
    #[serde(default)]
    pub after_seq: Option<u64>,
    /// The seal of that record: `next_previous` of the previous call.
    #[serde(default)]
    pub previous: Option<String>,
}

/// The result for the records that this call examined.
#[derive(Serialize, JsonSchema)]
pub struct ChainVerification {
    /// The account that owns the trail.
    pub user_id: Id,
    /// The number of records that this call examined.
    pub examined: u64,
    /// Whether all of them are unaltered.
    pub intact: bool,
    /// The first record that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
    /// The `after_seq` of the next call; absent if there are no more records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_seq: Option<u64>,
    /// The `previous` of the next call; absent if there are no more records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_previous: Option<String>,
}

impl Operation for VerifyAuditChain {
    const NAME: &'static str = "verify_audit_chain";
    const TITLE: &'static str = "Verify an audit trail";
    const TOOLSET: Option<Toolset> = Some(Toolset::Audit);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::SessionOr(AUDIT_READ);
    type Output = ChainVerification;

    fn run(self, call: &ActorCall) -> Result<ChainVerification> {
        let username = self.username.as_ref();
        let user_id = target::subject(self.user_id, username, AUDIT_READ, call)?;
        let checked = verify::check(user_id, self.after()?, call)?;
        let (broken, next) = match checked.found {
            Found::End => (None, None),
            Found::More(link) => (None, Some(link)),
            Found::Broken(broken) => (Some(broken), None),
        };
        if broken.is_some_and(|broken| broken == NOTHING_THERE) {
            require_account(user_id, call)?;
        }
        let (next_seq, next_previous) = next.map(|link| (link.seq, link.seal)).unzip();
        Ok(ChainVerification {
            user_id,
            examined: checked.examined,
            intact: broken.is_none(),
            broken,
            next_seq,
            next_previous,
        })
    }
}

/// The finding for an id that never belonged to an account, among others.
const NOTHING_THERE: Broken = Broken {
    seq: 1,
    problem: Problem::Truncated,
};

fn require_account(user_id: Id, call: &ActorCall) -> Result<()> {
    match Account::read(user_id, &call.ports)? {
        (None, None) => Err(
            AuthError::new(ErrorKind::Application, "There is no such user")
                .because(Cause::UnknownUser)
                .detail("user_id", user_id.to_string()),
        ),
        _ => Ok(()),
    }
}

impl VerifyAuditChain {
    fn after(&self) -> Result<Link> {
        match (self.after_seq, &self.previous) {
            (None | Some(0), None) => Ok(Link {
                seq: 0,
                seal: String::new(),
            }),
            (Some(seq @ 1..), Some(seal)) => Ok(Link {
                seq,
                seal: seal.clone(),
            }),
            _ => {
                let problem = "expected both after_seq and previous, or neither";
                Err(AuthError::invalid(vec![
                    FieldError::new("after_seq", problem),
                    FieldError::new("previous", problem),
                ]))
            }
        }
    }
}
