use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::create_client::unknown_client;
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::CLIENTS_WRITE;
use crate::domain::audit::{Chain, Event};
use crate::domain::clients::client::Client;
use crate::domain::clients::client_id::ClientId;
use crate::error::{AuthError, ErrorKind, Result};
use crate::ports::Expect;
use crate::storage::batch::Batch;
use crate::types::secret::Secret;

/// Replaces the secret of a client, such as after a leak. The old secret stops working at
/// once. Returns the new one, which is shown only once.
///
/// Requires `user-auth:clients:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateClientSecret {
    /// The id of the client, as listed by `list_clients`.
    pub client_id: ClientId,
}

/// The new secret of a client.
#[derive(Serialize, JsonSchema)]
pub struct NewClientSecret {
    /// The id of the client, which is not secret.
    pub client_id: ClientId,
    /// The secret of the client, which is not shown again. Keep it secret.
    pub client_secret: Secret,
}

impl Operation for RotateClientSecret {
    const NAME: &'static str = "rotate_client_secret";
    const TITLE: &'static str = "Rotate the secret of a client";
    const TOOLSET: Option<Toolset> = Some(Toolset::Clients);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Permission(CLIENTS_WRITE);
    type Output = NewClientSecret;

    fn run(self, call: &ActorCall) -> Result<NewClientSecret> {
        let client_id = self.client_id;
        let client_secret = authority::retry_on_conflict(call, |call| {
            let (Some(old), head) = Client::read(&client_id, &call.ports)? else {
                return Err(unknown_client(&client_id));
            };
            let Some((client, secret)) = old.value.with_new_secret(&call.ports)? else {
                return Err(has_none(&client_id));
            };
            let mut batch = Batch::new();
            client.write(Expect::At(old.version), &mut batch, call.now());
            let event = Event::success(Self::NAME).detail("client_id", client_id.to_string());
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(secret))
        })?;
        Ok(NewClientSecret {
            client_id,
            client_secret,
        })
    }
}

fn has_none(client_id: &ClientId) -> AuthError {
    AuthError::new(ErrorKind::Application, "The client has no secret")
        .detail("client_id", client_id.to_string())
        .detail(
            "action",
            "register one with a secret, with create_client and token_endpoint_auth_method",
        )
}
