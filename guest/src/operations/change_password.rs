use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::account::Account;
use crate::domain::actor::Requirement;
use crate::domain::assurance;
use crate::domain::audit::{self, Chain, Event, Whom};
use crate::domain::code;
use crate::domain::context::Context;
use crate::domain::message;
use crate::domain::password::{self, Owner, Password, PasswordRecord, TypedPassword};
use crate::domain::records::{self, Batch};
use crate::domain::session::{self, Own};
use crate::domain::throttle::{self, Attempt, Authenticator};
use crate::error::{AuthError, Kind, Result};
use crate::ports::MessageKind;

/// Changes the password of the account that calls, and ends all its other
/// sessions and the codes that were sent for it. Takes the current password, and a
/// session that began lately, with the second factor if the account has one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password as it is.
    pub current_password: TypedPassword,
    /// The password as it shall be.
    pub new_password: Password,
}

/// That the password is changed.
#[derive(Serialize, JsonSchema)]
pub struct ChangedPassword {
    /// The one session that goes on.
    pub session_id: crate::domain::id::Id,
}

impl Operation for ChangePassword {
    const NAME: &'static str = "change_password";
    const TITLE: &'static str = "Change one's password";
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::FreshSession;
    type Output = ChangedPassword;

    fn run(self, context: &Context) -> Result<ChangedPassword> {
        let own = context.actor.session()?;
        let (account, _) = Account::read(own.user_id, &context.ports)?;
        let owner = Owner {
            username: &own.username,
            email: account.as_ref().and_then(|it| it.value.email.as_ref()),
        };
        password::check_policy("new_password", &self.new_password, &owner, context.settings)?;
        // A stolen token must not be a way around the throttle of logins.
        let attempt = Attempt::begin(Authenticator::Password(&own.username), context)?;
        let new = records::settle(|| self.exchange(&attempt, context))?;
        Ok(new)
    }
}

impl ChangePassword {
    /// `None`: something happened to the account meanwhile.
    fn exchange(&self, attempt: &Attempt, context: &Context) -> Result<Option<ChangedPassword>> {
        let ports = &context.ports;
        let Own {
            session,
            account,
            head,
        } = Own::read(context)?;
        assurance::require(&account.value, &session.value)?;
        if !account
            .value
            .password
            .verify(&self.current_password, ports)?
        {
            throttle::count_failure(context)?;
            let whom = Whom::Account(account.value.user_id);
            audit::record_refusal(Self::NAME, "invalid_credentials", whom, context)?;
            return Err(AuthError::new(
                Kind::Authentication,
                "The current password is not right",
            ));
        }
        let new = PasswordRecord::create(&self.new_password, context.settings, ports)?;
        let mut batch = Batch::new();
        let change = |account: &mut Account| account.password = new;
        session::end_all_but(&session, &account, change, &mut batch);
        attempt.succeed(&mut batch);
        code::end_all(account.value.user_id, &mut batch);
        let event = Event::success(Self::NAME);
        Chain::at(account.value.user_id, head).append(event, &mut batch, context)?;
        message::add_notice(MessageKind::PasswordChanged, &account.value, &mut batch);
        Ok(batch.commit(context)?.then_some(ChangedPassword {
            session_id: session.value.session_id,
        }))
    }
}
