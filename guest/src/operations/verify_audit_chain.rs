use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::dispatch::audited;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorContext};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::AUDIT_READ;
use crate::domain::accounts::username::Username;
use crate::domain::audit::verify::{self, Broken, Found, Link, Problem};
use crate::error::{AuthError, FieldError, Kind, Result};
use crate::types::id::Id;

/// Verifies that the audit trail of an account is as it was written: every seal,
/// every link and the end. Names the first record that was altered, dropped,
/// reordered or cut off. One's own trail with a session, others with a permission;
/// 500 records a call, so go on until there is no `next_seq`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyAuditChain {
    /// Whose trail, if not that of who calls; or give the username.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// Whose trail, if not that of who calls; or give the user_id.
    #[serde(default)]
    pub username: Option<Username>,
    /// After which record to go on: `next_seq` of the call before.
    #[serde(default)]
    pub after_seq: Option<u64>,
    /// The seal of that record: `next_previous` of the call before.
    #[serde(default)]
    pub previous: Option<String>,
}

/// What the records that this call looked at have shown.
#[derive(Serialize, JsonSchema)]
pub struct ChainVerification {
    /// Whose trail.
    pub user_id: Id,
    /// How many records this call looked at.
    pub examined: u64,
    /// Whether all of them are as they were written.
    pub intact: bool,
    /// The first record that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
    /// There is more: the `after_seq` of the next call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_seq: Option<u64>,
    /// There is more: the `previous` of the next call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_previous: Option<String>,
}

impl Operation for VerifyAuditChain {
    const NAME: &'static str = "verify_audit_chain";
    const TITLE: &'static str = "Verify an audit trail";
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::SessionOr(AUDIT_READ);
    type Output = ChainVerification;

    fn run(self, context: &ActorContext) -> Result<ChainVerification> {
        let named = audited::named(self.user_id, self.username.as_ref(), context)?;
        let user_id = authority::subject(named, AUDIT_READ, context)?;
        let checked = verify::check(user_id, self.after()?, context)?;
        let (broken, next) = match checked.found {
            Found::End => (None, None),
            Found::More(link) => (None, Some(link)),
            Found::Broken(broken) => (Some(broken), None),
        };
        if broken.is_some_and(|broken| broken == NOTHING_THERE) {
            require_account(user_id, context)?;
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

/// What is found of an id that never was an account's, too.
const NOTHING_THERE: Broken = Broken {
    seq: 1,
    problem: Problem::Truncated,
};

fn require_account(user_id: Id, context: &ActorContext) -> Result<()> {
    match Account::read(user_id, &context.ports)? {
        (None, None) => Err(AuthError::new(Kind::Application, "There is no such user")
            .detail("user_id", user_id.to_string())),
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
