use schemars::JsonSchema;
use serde::Deserialize;

use super::create_client::{ClientView, NewClient};
use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::CLIENTS_WRITE;
use crate::domain::audit::{Chain, Event};
use crate::domain::clients::client::{self, Client, MAX_REDIRECT_URIS, unknown_client};
use crate::domain::clients::client_id::ClientId;
use crate::domain::clients::client_name::ClientName;
use crate::domain::clients::client_secret::ClientSecretHash;
use crate::domain::clients::redirect_uri::RedirectUri;
use crate::error::Result;
use crate::storage::batch::Batch;

/// Changes the name or the redirect URIs of an OAuth client, or gives it a new secret, which
/// is returned once and ends the previous one. A field that is left out stays as it is.
/// Requires `user-auth:clients:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateClient {
    /// The client.
    pub client_id: ClientId,
    /// The new name.
    #[serde(default)]
    pub name: Option<ClientName>,
    /// All redirect URIs that the client is to have, 1 to 10.
    #[serde(default)]
    #[schemars(extend("minItems" = 1, "maxItems" = MAX_REDIRECT_URIS))]
    pub redirect_uris: Option<Vec<RedirectUri>>,
    /// Whether the client gets a new secret; one that had none becomes confidential.
    #[serde(default)]
    pub new_secret: bool,
}

impl Operation for UpdateClient {
    const NAME: &'static str = "update_client";
    const TITLE: &'static str = "Change a client";
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Permission(CLIENTS_WRITE);
    type Output = NewClient;

    fn run(self, call: &ActorCall) -> Result<NewClient> {
        let redirect_uris = self.redirect_uris.map(client::distinct).transpose()?;
        let secret = match self.new_secret {
            true => Some(ClientSecretHash::create(&self.client_id, &call.ports)?),
            false => None,
        };
        let (hash, client_secret) = secret.unzip();
        let client = authority::retry_on_conflict(call, |call| {
            let (found, head) = Client::read_with_head(&self.client_id, &call.ports)?;
            let Some(found) = found else {
                return Err(unknown_client(&self.client_id));
            };
            let old = &found.value;
            let client = Client {
                name: self.name.as_ref().unwrap_or(&old.name).clone(),
                redirect_uris: redirect_uris.as_ref().unwrap_or(&old.redirect_uris).clone(),
                secret: hash.as_ref().or(old.secret.as_ref()).cloned(),
                ..old.clone()
            };
            let event = Event::success(Self::NAME)
                .detail("client_id", self.client_id.as_str())
                .detail("new_secret", self.new_secret);
            let mut batch = Batch::new();
            batch.replace(Client::key(&self.client_id), &found.version, &client);
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(client))
        })?;
        Ok(NewClient {
            client: ClientView::from(client),
            client_secret,
        })
    }
}
