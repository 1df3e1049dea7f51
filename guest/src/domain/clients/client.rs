//! The records of clients.

use serde::{Deserialize, Serialize};

use super::client_id::ClientId;
use super::client_name::ClientName;
use super::client_secret::ClientSecretHash;
use super::redirect_uri::RedirectUri;
use crate::domain::audit::{Chain, Head};
use crate::error::{AuthError, ErrorKind, FieldError, Result};
use crate::ports::Ports;
use crate::storage::record::{self, Found};
use crate::types::time::Timestamp;

/// The most redirect URIs of one client.
pub const MAX_REDIRECT_URIS: usize = 10;

/// A client, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Client {
    /// The id of the client, which is not secret.
    pub client_id: ClientId,
    /// The name for people.
    pub name: ClientName,
    /// Where answers to its authorization requests may go.
    pub redirect_uris: Vec<RedirectUri>,
    /// The hash of its secret; `None` for a public client, which cannot keep one (RFC 6749
    /// section 2.1).
    pub secret: Option<ClientSecretHash>,
    /// When the client was created.
    pub created_at: Timestamp,
}

impl Client {
    /// The prefix of all clients.
    pub const PREFIX: &'static str = "client/";

    /// Returns the store key of a client.
    pub fn key(client_id: &ClientId) -> String {
        format!("{}{client_id}", Client::PREFIX)
    }

    /// Reads a client.
    pub fn read(client_id: &ClientId, ports: &Ports) -> Result<Found<Client>> {
        record::read(Client::key(client_id), ports)
    }

    /// Reads a client and the head of the chain that records its changes, as one snapshot.
    pub fn read_with_head(
        client_id: &ClientId,
        ports: &Ports,
    ) -> Result<(Found<Client>, Found<Head>)> {
        record::read_both(
            [Client::key(client_id), Chain::head_key(Chain::shared())],
            ports,
        )
    }

    /// Reports whether the client has a secret.
    pub fn is_confidential(&self) -> bool {
        self.secret.is_some()
    }
}

/// Returns the redirect URIs of a client without duplicates.
///
/// Fails with -32000 unless there are 1 to 10.
pub fn distinct(redirect_uris: Vec<RedirectUri>) -> Result<Vec<RedirectUri>> {
    let mut distinct: Vec<RedirectUri> = Vec::new();
    for uri in redirect_uris {
        if !distinct.contains(&uri) {
            distinct.push(uri);
        }
    }
    if distinct.is_empty() || distinct.len() > MAX_REDIRECT_URIS {
        let problem = format!("expected 1 to {MAX_REDIRECT_URIS} redirect URIs");
        let field = FieldError::new("redirect_uris", problem);
        return Err(AuthError::invalid(vec![field]));
    }
    Ok(distinct)
}

/// Returns the error for a client that does not exist.
pub fn unknown_client(client_id: &ClientId) -> AuthError {
    AuthError::new(ErrorKind::Application, "There is no such client")
        .detail("client_id", client_id.as_str())
        .detail("action", "choose one from list_clients")
}
