use schemars::JsonSchema;
use serde::Deserialize;

use super::confirm_totp::RecoveryCodes;
use super::{Effect, Operation, Toolset, disable_totp};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::audit::{Chain, Event};
use crate::domain::notify;
use crate::domain::sessions::session::CurrentLogin;
use crate::error::Result;
use crate::ports::MessageKind;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;

/// Creates new recovery codes for the caller's account, and invalidates the old ones. The
/// codes are shown only once. Requires a recent login with the second factor.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRecoveryCodes {}

impl Operation for CreateRecoveryCodes {
    const NAME: &'static str = "create_recovery_codes";
    const TITLE: &'static str = "Create new recovery codes";
    const TOOLSET: Option<Toolset> = Some(Toolset::Keys);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::RecentLogin;
    type Output = RecoveryCodes;

    fn run(self, call: &ActorCall) -> Result<RecoveryCodes> {
        authority::retry_on_conflict(call, |call| create(call))
    }
}

fn create(call: &ActorCall) -> Result<Race<RecoveryCodes>> {
    let CurrentLogin {
        session,
        account,
        head,
    } = CurrentLogin::read(call)?;
    let Some(factor) = &account.value.second_factor else {
        return Err(disable_totp::none());
    };
    let (renewed, recovery_codes) = factor.with_new_codes(account.value.user_id, call)?;
    let changed = Account {
        second_factor: Some(renewed),
        ..account.value.clone()
    };
    let mut batch = Batch::new();
    batch.change(&account, &changed);
    let event = Event::success(CreateRecoveryCodes::NAME);
    Chain::at(changed.user_id, head).append(event, &mut batch, call)?;
    notify::queue_notice(MessageKind::SecondFactorChanged, &changed, &mut batch);
    Ok(call.commit(batch)?.then(RecoveryCodes {
        recovery_codes,
        session_id: session.value.session_id,
        ended_api_keys: Vec::new(),
    }))
}
