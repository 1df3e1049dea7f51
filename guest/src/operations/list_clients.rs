use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::permission::CLIENTS_READ;
use crate::domain::accounts::scopes::Scopes;
use crate::domain::clients::client::{Client, RegistrationKind, TokenEndpointAuthMethod};
use crate::domain::clients::client_id::ClientId;
use crate::domain::clients::redirect_uri::RedirectUris;
use crate::domain::display_text::DisplayText;
use crate::error::Result;
use crate::storage::record;

/// The number of clients in a page, which is far below the limit of an answer even if
/// every redirect URI has its maximum length.
const PAGE: u32 = 50;

/// Lists the registered clients page by page. If there are more, `next` is present: pass
/// it as `after`.
///
/// Their secrets are not shown. Requires `user-auth:clients:read`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListClients {
    /// The `next` of the previous page.
    #[serde(default)]
    pub after: Option<ClientId>,
}

/// A page of clients.
#[derive(Serialize, JsonSchema)]
pub struct Clients {
    /// At most 50 clients in the order of their ids.
    pub clients: Vec<ClientView>,
    /// The `after` of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<ClientId>,
}

/// A client.
#[derive(Serialize, JsonSchema)]
pub struct ClientView {
    /// The id of the client, which is not secret.
    pub client_id: ClientId,
    /// How it came to be known.
    pub registration: RegistrationKind,
    /// The name that users see.
    pub client_name: DisplayText,
    /// Where the client receives answers.
    pub redirect_uris: RedirectUris,
    /// How the client authenticates.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// The most that users can permit the client.
    pub scopes: Scopes,
    /// The time at which it was registered (RFC 3339).
    pub created_at: String,
}

impl Operation for ListClients {
    const NAME: &'static str = "list_clients";
    const TITLE: &'static str = "List the clients";
    const TOOLSET: Option<Toolset> = Some(Toolset::Clients);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Permission(CLIENTS_READ);
    type Output = Clients;

    fn run(self, call: &ActorCall) -> Result<Clients> {
        let ports = &call.ports;
        let after = self.after.as_ref().map(Client::key);
        let page = ports.store.scan(Client::PREFIX, after.as_deref(), PAGE)?;
        let mut clients = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            let client = record::parse::<Client>(Some(entry), ports)?;
            clients.extend(client.map(|client| ClientView::from(client.value)));
        }
        let last = clients.last().filter(|_| page.next.is_some());
        let next = last.map(|last| last.client_id.clone());
        Ok(Clients { clients, next })
    }
}

impl From<Client> for ClientView {
    fn from(client: Client) -> ClientView {
        ClientView {
            registration: client.registration_kind(),
            token_endpoint_auth_method: client.token_endpoint_auth_method(),
            client_id: client.client_id,
            client_name: client.client_name,
            redirect_uris: client.redirect_uris,
            scopes: client.scopes,
            created_at: client.created_at.to_rfc3339(),
        }
    }
}
