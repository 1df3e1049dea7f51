use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::account::Account;
use crate::domain::actor::Requirement;
use crate::domain::audit::{Chain, Event};
use crate::domain::code;
use crate::domain::context::Context;
use crate::domain::message;
use crate::domain::password::{self, Password, PasswordRecord};
use crate::domain::records::{self, Batch};
use crate::domain::session::{self, Session};
use crate::domain::throttle::{self, Attempt};
use crate::error::{AuthError, Kind, Result};
use crate::ports::MessageKind;

/// Changes the password of the account that calls, and ends all its other
/// sessions and the codes that were sent for it. Takes the current password, and a
/// session that began lately.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password as it is.
    pub current_password: Password,
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
        password::check_policy(
            "new_password",
            &self.new_password,
            &own.username,
            context.settings,
        )?;
        // A stolen token must not be a way around the throttle of logins.
        let attempt = Attempt::begin(&own.username, context)?;
        let new = records::settle(|| self.exchange(&attempt, context))?;
        Ok(new)
    }
}

impl ChangePassword {
    /// `None`: something happened to the account meanwhile.
    fn exchange(&self, attempt: &Attempt, context: &Context) -> Result<Option<ChangedPassword>> {
        let ports = &context.ports;
        let own = context.actor.session()?;
        let (account, head) = Account::read(own.user_id, ports)?;
        let session = Session::read(own.session_id, ports)?;
        let (Some(account), Some(session)) = (account, session) else {
            return Err(AuthError::invalid_token());
        };
        if !session.value.is_alive(&account.value, context.now()) {
            return Err(AuthError::invalid_token());
        }
        if !account
            .value
            .password
            .verify(&self.current_password, ports)?
        {
            throttle::count_failure(context)?;
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
        code::end_all(own.user_id, &mut batch);
        let event = Event::success(Self::NAME);
        Chain::at(own.user_id, head).append(event, &mut batch, context)?;
        if !batch.commit(context)? {
            return Ok(None);
        }
        message::send_notice(MessageKind::PasswordChanged, &account.value, context);
        Ok(Some(ChangedPassword {
            session_id: own.session_id,
        }))
    }
}
