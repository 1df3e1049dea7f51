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
use crate::error::Result;
use crate::ports::Expect;
use crate::storage::batch::Batch;

/// Deletes a client permanently, and with it all access that users gave it.
///
/// Requires `user-auth:clients:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteClient {
    /// The id of the client, as listed by `list_clients`.
    pub client_id: ClientId,
}

/// The deleted client.
#[derive(Serialize, JsonSchema)]
pub struct DeletedClient {
    /// The id of the client.
    pub client_id: ClientId,
}

impl Operation for DeleteClient {
    const NAME: &'static str = "delete_client";
    const TITLE: &'static str = "Delete a client";
    const TOOLSET: Option<Toolset> = Some(Toolset::Clients);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(CLIENTS_WRITE);
    type Output = DeletedClient;

    fn run(self, call: &ActorCall) -> Result<DeletedClient> {
        let client_id = self.client_id;
        authority::retry_on_conflict(call, |call| {
            let (Some(client), head) = Client::read(&client_id, &call.ports)? else {
                return Err(unknown_client(&client_id));
            };
            let mut batch = Batch::new();
            batch.delete(Client::key(&client_id), Expect::At(client.version));
            batch.delete(client.value.index_key(), Expect::Any);
            let event = Event::success(Self::NAME)
                .detail("client_id", client_id.to_string())
                .detail("client_name", client.value.client_name.as_str());
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(()))
        })?;
        Ok(DeletedClient { client_id })
    }
}
