//! Clients as stored, and how they authenticate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::client_id::ClientId;
use super::dynamic_registration::{self, ClientMetadata, DynamicRegistration};
use super::issued_secret::CLIENT_SECRET;
use super::key_set::ClientKeys;
use super::metadata_document;
use super::redirect_uri::{RedirectUri, RedirectUris};
use crate::domain::accounts::permission::Grant;
use crate::domain::accounts::scopes::Scopes;
use crate::domain::audit::{Chain, Event, Head};
use crate::domain::display_text::DisplayText;
use crate::error::Result;
use crate::ports::{Expect, Ports};
use crate::storage::batch::Batch;
use crate::storage::record::{self, Found};
use crate::types::mac;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// The most clients that administrators can register.
pub const MAX_PRE_REGISTERED: u32 = 1_000;

/// How a client authenticates where it exchanges a code for tokens (RFC 7591 section 2):
/// not at all (`none`, for programs on a user's machine, which cannot keep a secret), or
/// with its secret, in the header `Authorization: Basic` (`client_secret_basic`) or in the
/// form (`client_secret_post`), or with a key of its own (`private_key_jwt`).
// Without comments on the variants, the schema is a plain list in every operation that
// takes this type.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenEndpointAuthMethod {
    #[default]
    None,
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
}

impl TokenEndpointAuthMethod {
    /// Returns the name of the method.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenEndpointAuthMethod::None => "none",
            TokenEndpointAuthMethod::ClientSecretBasic => "client_secret_basic",
            TokenEndpointAuthMethod::ClientSecretPost => "client_secret_post",
            TokenEndpointAuthMethod::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

/// How this service came to know a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// An administrator registered it.
    PreRegistered,
    /// The client registered itself (RFC 7591). Its metadata is unverified.
    Dynamic(DynamicRegistration),
    /// The client identifies itself by the URL of a metadata document, whose newest state
    /// this is. It is unverified, too.
    Document(DynamicRegistration),
}

impl Registration {
    /// Returns when the registration ends unless the client is used before, or `None` if it
    /// does not.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Registration::PreRegistered => None,
            Registration::Dynamic(registration) | Registration::Document(registration) => {
                Some(registration.expires_at)
            }
        }
    }

    /// Returns the registration with another end, if it has one.
    pub fn ending_at(mut self, at: Timestamp) -> Registration {
        match &mut self {
            Registration::PreRegistered => {}
            Registration::Dynamic(registration) | Registration::Document(registration) => {
                registration.expires_at = at;
            }
        }
        self
    }
}

/// How a client came to be known: an administrator registered it (`pre_registered`), or its
/// name is unverified, since it registered itself (`dynamic`) or refers to a document on the
/// web (`document`).
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationKind {
    PreRegistered,
    Dynamic,
    Document,
}

impl RegistrationKind {
    /// Reports whether an administrator vouches for the client. What others say about
    /// themselves is unverified.
    pub fn is_verified(self) -> bool {
        self == RegistrationKind::PreRegistered
    }
}

/// A method of authentication with what it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Authentication {
    None,
    /// The keyed hash of the secret.
    ClientSecretBasic(String),
    /// The keyed hash of the secret.
    ClientSecretPost(String),
    PrivateKeyJwt(ClientKeys),
}

/// A client, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The id of the client, which is not secret.
    pub client_id: ClientId,
    /// How this service came to know it.
    pub registration: Registration,
    /// The name for people.
    pub client_name: DisplayText,
    /// Where it receives answers.
    pub redirect_uris: RedirectUris,
    /// The upper bound of what users can permit it.
    pub scopes: Scopes,
    /// When it was registered, or became another client: what users let it do before that is
    /// over.
    pub created_at: Timestamp,
    authentication: Authentication,
}

impl Client {
    /// The prefix of all stored clients.
    pub const PREFIX: &'static str = "client/";
    /// The prefix of the index entries of the clients that administrators registered.
    pub const PRE_REGISTERED: &'static str = "client-by-registration/pre_registered/";

    /// Returns the store key of a client.
    pub fn key(client_id: &ClientId) -> String {
        format!("{}{}", Client::PREFIX, client_id.record_name())
    }

    /// Returns the store key of the entry that counts the client among those that were
    /// registered in the same way.
    pub fn index_key(&self) -> String {
        match &self.registration {
            Registration::PreRegistered => format!("{}{}", Client::PRE_REGISTERED, self.client_id),
            Registration::Dynamic(registration) => {
                dynamic_registration::PLACES.key(registration.place)
            }
            Registration::Document(registration) => {
                metadata_document::PLACES.key(registration.place)
            }
        }
    }

    /// Reads a client and the head of the chain that records its changes, as one snapshot.
    pub fn read(client_id: &ClientId, ports: &Ports) -> Result<(Found<Client>, Found<Head>)> {
        let head = Chain::head_key(Chain::shared());
        record::read_both([Client::key(client_id), head], ports)
    }

    /// Creates a client with a new id and, if it authenticates by one, its secret. One that
    /// authenticates by a key has none yet. A client without a name is called by its id (RFC
    /// 7591 section 2).
    pub fn new(
        registration: Registration,
        client_name: Option<DisplayText>,
        redirect_uris: RedirectUris,
        method: TokenEndpointAuthMethod,
        scopes: Scopes,
        ports: &Ports,
    ) -> Result<(Client, Option<Secret>)> {
        let client_id = ClientId::Issued(ports.random.id()?);
        let (authentication, secret) = authentication(method, &client_id, ports)?;
        let client = Client {
            client_name: client_name.unwrap_or_else(|| client_id.to_display_text()),
            client_id,
            registration,
            redirect_uris,
            scopes,
            created_at: ports.clock.now(),
            authentication,
        };
        Ok((client, secret))
    }

    /// Creates a client from its metadata document. It has no secret.
    pub fn of_document(
        client_id: ClientId,
        registration: DynamicRegistration,
        metadata: &ClientMetadata,
        now: Timestamp,
    ) -> Client {
        let client = Client {
            client_name: client_id.to_display_text(),
            client_id,
            registration: Registration::Document(registration),
            redirect_uris: metadata.redirect_uris.clone(),
            scopes: Scopes::everything(),
            created_at: now,
            authentication: Authentication::None,
        };
        client.with_document(metadata, now)
    }

    /// Returns the client with what its metadata document says now. With other keys, or with
    /// none any more, it is another client, and users have to agree again.
    pub fn with_document(&self, metadata: &ClientMetadata, now: Timestamp) -> Client {
        let mut client = self.clone();
        if let Some(name) = &metadata.client_name {
            client.client_name = name.clone();
        }
        client.redirect_uris = metadata.redirect_uris.clone();
        client.authentication = match metadata.keys.clone() {
            Some(keys) => Authentication::PrivateKeyJwt(keys),
            None => Authentication::None,
        };
        let had_keys = self.keys().is_some();
        if had_keys && client.authentication != self.authentication {
            client.created_at = now;
        }
        client
    }

    /// Has the client authenticate by one of these keys.
    pub fn set_keys(&mut self, keys: ClientKeys) {
        self.authentication = Authentication::PrivateKeyJwt(keys);
    }

    /// Returns where the keys of the client are, if it authenticates by one.
    pub fn keys(&self) -> Option<&ClientKeys> {
        match &self.authentication {
            Authentication::PrivateKeyJwt(keys) => Some(keys),
            _ => None,
        }
    }

    /// Reports whether an administrator vouches for the client.
    pub fn is_verified(&self) -> bool {
        self.registration_kind().is_verified()
    }

    /// Returns how the client came to be known.
    pub fn registration_kind(&self) -> RegistrationKind {
        match self.registration {
            Registration::PreRegistered => RegistrationKind::PreRegistered,
            Registration::Dynamic(_) => RegistrationKind::Dynamic,
            Registration::Document(_) => RegistrationKind::Document,
        }
    }

    /// Writes the client, which ends with its registration.
    pub fn write(&self, expect: Expect, batch: &mut Batch, now: Timestamp) {
        batch.put(Client::key(&self.client_id), expect, self, self.ttl_ms(now));
    }

    /// Writes the place of a client that has one, which is free again when its registration
    /// ends.
    pub fn write_place(&self, expect: Expect, batch: &mut Batch, now: Timestamp) {
        if let Some(ttl_ms) = self.ttl_ms(now) {
            batch.put(self.index_key(), expect, &self.client_id, Some(ttl_ms));
        }
    }

    /// Returns how long the client lasts, in milliseconds: at least one, since a record
    /// without a lifetime would not end.
    fn ttl_ms(&self, now: Timestamp) -> Option<u64> {
        let expires_at = self.registration.expires_at()?;
        Some(expires_at.ms().saturating_sub(now.ms()).max(1))
    }

    /// Returns the audit event of a change after which the client is as it is now.
    pub fn event<'a>(&self, operation: &'a str) -> Event<'a> {
        let uris = self.redirect_uris.as_slice().iter();
        let uris: Vec<&str> = uris.map(RedirectUri::as_str).collect();
        let scopes = self.scopes.as_slice().iter();
        let scopes: Vec<&str> = scopes.map(Grant::as_str).collect();
        let method = self.token_endpoint_auth_method();
        let mut event = Event::success(operation);
        if let Some(keys) = self.keys() {
            event = match keys.url() {
                Some(url) => event.detail("jwks_uri", url),
                // A set can be long. This tells whether it has changed.
                None => {
                    let hash = mac::to_hex(&Sha256::digest(keys.as_str()));
                    event.detail("jwks_sha256", hash)
                }
            };
        }
        event
            .detail("client_id", self.client_id.to_string())
            .detail("client_name", self.client_name.as_str())
            .detail("redirect_uris", uris)
            .detail("token_endpoint_auth_method", method.as_str())
            .detail("scopes", scopes)
    }

    /// Returns the client with another secret, and that secret, or `None` if the client has
    /// none.
    pub fn with_new_secret(&self, ports: &Ports) -> Result<Option<(Client, Secret)>> {
        let method = self.token_endpoint_auth_method();
        let (authentication, secret) = authentication(method, &self.client_id, ports)?;
        Ok(secret.map(|secret| {
            let client = Client {
                authentication,
                ..self.clone()
            };
            (client, secret)
        }))
    }

    /// Returns how the client authenticates.
    pub fn token_endpoint_auth_method(&self) -> TokenEndpointAuthMethod {
        match self.authentication {
            Authentication::None => TokenEndpointAuthMethod::None,
            Authentication::ClientSecretBasic(_) => TokenEndpointAuthMethod::ClientSecretBasic,
            Authentication::ClientSecretPost(_) => TokenEndpointAuthMethod::ClientSecretPost,
            Authentication::PrivateKeyJwt(_) => TokenEndpointAuthMethod::PrivateKeyJwt,
        }
    }

    /// Reports whether this is the secret of the client. Many clients have none.
    pub fn has_secret(&self, secret: &str, ports: &Ports) -> Result<bool> {
        let own = match &self.authentication {
            Authentication::None | Authentication::PrivateKeyJwt(_) => return Ok(false),
            Authentication::ClientSecretBasic(hash) | Authentication::ClientSecretPost(hash) => {
                hash
            }
        };
        CLIENT_SECRET.is_of_hash(secret, &self.client_id, own, ports)
    }
}

/// Reports whether administrators can register another client. A caller that read the head
/// of the shared audit chain first, and commits on it, has counted all of them.
pub fn is_place_left(ports: &Ports) -> Result<bool> {
    let page = ports
        .store
        .scan(Client::PRE_REGISTERED, None, MAX_PRE_REGISTERED)?;
    Ok(page.entries.len() < MAX_PRE_REGISTERED as usize)
}

fn authentication(
    method: TokenEndpointAuthMethod,
    client_id: &ClientId,
    ports: &Ports,
) -> Result<(Authentication, Option<Secret>)> {
    let of_hash = match method {
        TokenEndpointAuthMethod::None => return Ok((Authentication::None, None)),
        TokenEndpointAuthMethod::PrivateKeyJwt => {
            return Ok((Authentication::PrivateKeyJwt(ClientKeys::NONE), None));
        }
        TokenEndpointAuthMethod::ClientSecretBasic => Authentication::ClientSecretBasic,
        TokenEndpointAuthMethod::ClientSecretPost => Authentication::ClientSecretPost,
    };
    let (hash, secret) = CLIENT_SECRET.issue(client_id, ports)?;
    Ok((of_hash(hash), Some(secret)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::World;

    const PREFIX: &str = "uas_";

    fn create(method: TokenEndpointAuthMethod, world: &World) -> (Client, Option<Secret>) {
        Client::new(
            Registration::PreRegistered,
            serde_json::from_value(json!("An app")).unwrap(),
            serde_json::from_value(json!(["https://app.example.com/callback"])).unwrap(),
            method,
            Scopes::default(),
            &world.ports(),
        )
        .unwrap()
    }

    #[test]
    fn only_the_newest_secret_of_the_same_client_is_accepted() {
        let world = World::new();
        let ports = world.ports();
        for method in [
            TokenEndpointAuthMethod::ClientSecretBasic,
            TokenEndpointAuthMethod::ClientSecretPost,
        ] {
            let (client, secret) = create(method, &world);
            let (other, _) = create(method, &world);
            let secret = secret.unwrap();
            assert_eq!(client.token_endpoint_auth_method(), method);
            assert!(client.has_secret(secret.expose(), &ports).unwrap());
            assert!(!other.has_secret(secret.expose(), &ports).unwrap());
            let (rotated, next) = client.with_new_secret(&ports).unwrap().unwrap();
            assert_eq!(rotated.token_endpoint_auth_method(), method);
            assert!(rotated.has_secret(next.expose(), &ports).unwrap());
            assert!(!rotated.has_secret(secret.expose(), &ports).unwrap());
            // As stored, the client has no part of its secret.
            let stored = json!(client);
            assert!(
                !stored
                    .to_string()
                    .contains(&secret.expose()[PREFIX.len()..])
            );
            let read: Client = serde_json::from_value(stored).unwrap();
            assert!(read.has_secret(secret.expose(), &ports).unwrap());
        }
    }

    #[test]
    fn anything_else_is_no_secret() {
        let world = World::new();
        let ports = world.ports();
        let (client, secret) = create(TokenEndpointAuthMethod::ClientSecretBasic, &world);
        let secret = secret.unwrap();
        let secret = secret.expose();
        for wrong in [
            "",
            PREFIX,
            &secret[PREFIX.len()..],
            &secret[..secret.len() - 1],
            &format!("{secret}A"),
            &format!("{secret}="),
            &format!(" {secret}"),
            &format!("{PREFIX}{}", "A".repeat(43)),
            &secret.to_uppercase(),
        ] {
            assert!(!client.has_secret(wrong, &ports).unwrap(), "{wrong}");
        }
    }

    #[test]
    fn a_public_client_has_no_secret() {
        let world = World::new();
        let ports = world.ports();
        let (client, secret) = create(TokenEndpointAuthMethod::None, &world);
        assert!(secret.is_none());
        assert!(client.with_new_secret(&ports).unwrap().is_none());
        for secret in ["", PREFIX, &format!("{PREFIX}{}", "A".repeat(43))] {
            assert!(!client.has_secret(secret, &ports).unwrap());
        }
    }
}
