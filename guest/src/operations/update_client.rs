use schemars::JsonSchema;
use serde::Deserialize;

use super::create_client::{Jwks, misplaced_keys, unknown_client};
use super::list_clients::ClientView;
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::CLIENTS_WRITE;
use crate::domain::accounts::scopes::InputScopes;
use crate::domain::audit::Chain;
use crate::domain::clients::client::Client;
use crate::domain::clients::client_id::ClientId;
use crate::domain::clients::redirect_uri::RedirectUris;
use crate::domain::display_text::DisplayText;
use crate::error::Result;
use crate::ports::Expect;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;

/// Changes the name, the redirect URIs, the keys or the scopes of a client; what is left
/// out stays as it is.
///
/// Requires `user-auth:clients:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateClient {
    /// The id of the client, as listed by `list_clients`.
    pub client_id: ClientId,
    /// The name that users see.
    #[serde(default)]
    pub client_name: Option<DisplayText>,
    /// All redirect URIs of the client, in the place of those that it has.
    #[serde(default)]
    pub redirect_uris: Option<RedirectUris>,
    /// All keys of a client with `private_key_jwt`, in the place of those that it has. The
    /// others stop working at once.
    #[serde(default)]
    pub jwks: Option<Jwks>,
    /// The most that users can permit the client, `*` for everything.
    #[serde(default)]
    pub scopes: Option<InputScopes>,
}

impl Operation for UpdateClient {
    const NAME: &'static str = "update_client";
    const TITLE: &'static str = "Change a client";
    const TOOLSET: Option<Toolset> = Some(Toolset::Clients);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Permission(CLIENTS_WRITE);
    type Output = ClientView;

    fn run(self, call: &ActorCall) -> Result<ClientView> {
        let client = authority::retry_on_conflict(call, |call| {
            let (Some(old), head) = Client::read(&self.client_id, &call.ports)? else {
                return Err(unknown_client(&self.client_id));
            };
            let client = self.applied_to(&old.value)?;
            if client == old.value {
                return Ok(Race::Won(client));
            }
            let mut batch = Batch::new();
            client.write(Expect::At(old.version), &mut batch, call.now());
            let event = client.event(Self::NAME);
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(client))
        })?;
        Ok(ClientView::from(client))
    }
}

impl UpdateClient {
    fn applied_to(&self, old: &Client) -> Result<Client> {
        let mut client = old.clone();
        if let Some(name) = &self.client_name {
            client.client_name = name.clone();
        }
        if let Some(uris) = &self.redirect_uris {
            client.redirect_uris = uris.clone();
        }
        if let Some(InputScopes(scopes)) = &self.scopes {
            client.scopes = scopes.clone();
        }
        if let Some(Jwks(keys)) = &self.jwks {
            // The keys of others are where they say themselves.
            if !old.is_verified() || old.keys().is_none() {
                return Err(misplaced_keys());
            }
            client.set_keys(keys.clone());
        }
        Ok(client)
    }
}
