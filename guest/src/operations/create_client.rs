use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::CLIENTS_WRITE;
use crate::domain::audit::{Chain, Event, Head};
use crate::domain::clients::client::{self, Client, MAX_REDIRECT_URIS};
use crate::domain::clients::client_id::ClientId;
use crate::domain::clients::client_name::ClientName;
use crate::domain::clients::client_secret::ClientSecretHash;
use crate::domain::clients::redirect_uri::RedirectUri;
use crate::error::Result;
use crate::storage::batch::Batch;
use crate::storage::record;
use crate::types::secret::Secret;

/// Creates an OAuth client: a program that users can let act for them, after they have signed
/// in by browser. Returns its id and, if it is confidential, its secret, which is shown only
/// once. A program that runs on the computers of its users is not confidential. Requires
/// `user-auth:clients:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateClient {
    /// The name that users see when they are asked for their consent.
    pub name: ClientName,
    /// Where users are sent back to, such as `https://app.example.com/callback`, or
    /// `http://127.0.0.1/callback` for a program on their computer, which may then use any
    /// port. 1 to 10.
    #[schemars(extend("minItems" = 1, "maxItems" = MAX_REDIRECT_URIS))]
    pub redirect_uris: Vec<RedirectUri>,
    /// Whether the client can keep a secret, and gets one; `false` by default.
    #[serde(default)]
    pub confidential: bool,
}

/// A newly created client.
#[derive(Serialize, JsonSchema)]
pub struct NewClient {
    /// The client.
    #[serde(flatten)]
    pub client: ClientView,
    /// The secret of a confidential client, which is not shown again. Keep it secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
}

/// A client.
#[derive(Serialize, JsonSchema)]
pub struct ClientView {
    /// The id of the client, which is not secret.
    pub client_id: ClientId,
    /// The name that users see.
    pub name: ClientName,
    /// Where users are sent back to.
    pub redirect_uris: Vec<RedirectUri>,
    /// Whether the client has a secret.
    pub confidential: bool,
    /// When the client was created (RFC 3339).
    pub created_at: String,
}

impl Operation for CreateClient {
    const NAME: &'static str = "create_client";
    const TITLE: &'static str = "Create a client";
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Permission(CLIENTS_WRITE);
    type Output = NewClient;

    fn run(self, call: &ActorCall) -> Result<NewClient> {
        let client_id = ClientId::random(&call.ports)?;
        let (secret, client_secret) = match self.confidential {
            true => {
                let (hash, secret) = ClientSecretHash::create(&client_id, &call.ports)?;
                (Some(hash), Some(secret))
            }
            false => (None, None),
        };
        let client = Client {
            client_id,
            name: self.name,
            redirect_uris: client::distinct(self.redirect_uris)?,
            secret,
            created_at: call.now(),
        };
        authority::retry_on_conflict(call, |call| {
            let head = record::read::<Head>(Chain::head_key(Chain::shared()), &call.ports)?;
            let event = Event::success(Self::NAME).detail("client_id", client.client_id.as_str());
            let mut batch = Batch::new();
            batch.create(Client::key(&client.client_id), &client);
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(()))
        })?;
        Ok(NewClient {
            client: ClientView::from(client),
            client_secret,
        })
    }
}

impl From<Client> for ClientView {
    fn from(client: Client) -> ClientView {
        ClientView {
            confidential: client.is_confidential(),
            client_id: client.client_id,
            name: client.name,
            redirect_uris: client.redirect_uris,
            created_at: client.created_at.to_rfc3339(),
        }
    }
}
