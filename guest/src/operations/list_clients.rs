use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::create_client::ClientView;
use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::permission::CLIENTS_READ;
use crate::domain::clients::client::Client;
use crate::domain::clients::client_id::ClientId;
use crate::error::Result;
use crate::storage::record;

/// The number of clients on one page.
const PAGE: u32 = 100;

/// Lists the OAuth clients page by page, without their secrets. Requires
/// `user-auth:clients:read`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListClients {
    /// The `next` of the previous page; leave it out for the first.
    #[serde(default)]
    pub after: Option<ClientId>,
}

/// A page of clients.
#[derive(Serialize, JsonSchema)]
pub struct Clients {
    /// The clients in no particular order, at most 100.
    pub clients: Vec<ClientView>,
    /// The start of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Operation for ListClients {
    const NAME: &'static str = "list_clients";
    const TITLE: &'static str = "List the clients";
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Permission(CLIENTS_READ);
    type Output = Clients;

    fn run(self, call: &ActorCall) -> Result<Clients> {
        let ports = &call.ports;
        let after = self.after.as_ref().map(Client::key);
        let page = ports.store.scan(Client::PREFIX, after.as_deref(), PAGE)?;
        let mut clients = Vec::new();
        for entry in page.entries {
            let client = record::parse::<Client>(Some(entry), ports)?;
            clients.extend(client.map(|client| ClientView::from(client.value)));
        }
        let next = page.next.as_deref();
        let next = next.and_then(|key| key.strip_prefix(Client::PREFIX));
        Ok(Clients {
            clients,
            next: next.map(str::to_owned),
        })
    }
}
