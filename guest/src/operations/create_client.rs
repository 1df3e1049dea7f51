use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::CLIENTS_WRITE;
use crate::domain::accounts::scopes::{InputScopes, Scopes};
use crate::domain::audit::Chain;
use crate::domain::clients::client::{self, Client, Registration, TokenEndpointAuthMethod};
use crate::domain::clients::client_id::ClientId;
use crate::domain::clients::key_set::ClientKeys;
use crate::domain::clients::redirect_uri::RedirectUris;
use crate::domain::display_text::DisplayText;
use crate::error::{AuthError, Cause, ErrorKind, FieldError, Result};
use crate::json::Node;
use crate::ports::Expect;
use crate::storage::batch::Batch;
use crate::storage::record;
use crate::types::secret::Secret;

/// Registers a client: a program that asks users for access by OAuth. Returns its id and,
/// unless it is public, its secret, which is shown only once.
///
/// There can be 1,000 of them. Requires `user-auth:clients:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateClient {
    /// The name that users see.
    pub client_name: DisplayText,
    /// Where the client receives answers: 1 to 10 URIs, such as
    /// `https://app.example.com/callback`.
    ///
    /// They are `https` URIs, `http` URIs on `localhost` or a loopback address, which
    /// permit any port, or URIs with a scheme of the program's own.
    pub redirect_uris: RedirectUris,
    /// How the client authenticates: `none` (the default) if its user could read a
    /// secret, with a secret in a header (`client_secret_basic`) or in the form
    /// (`client_secret_post`), or with a key of its own (`private_key_jwt`).
    ///
    /// It cannot be changed later.
    #[serde(default)]
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// The public keys of a client with `private_key_jwt`, as a JSON Web Key Set.
    #[serde(default)]
    pub jwks: Option<Jwks>,
    /// The most that users can permit the client, such as `billing:read` or `billing:*`;
    /// everything by default.
    #[serde(default = "InputScopes::everything")]
    pub scopes: InputScopes,
}

/// A JSON Web Key Set (RFC 7517 section 5) of public keys.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
pub struct Jwks(pub ClientKeys);

impl TryFrom<Value> for Jwks {
    type Error = &'static str;

    fn try_from(jwks: Value) -> std::result::Result<Jwks, Self::Error> {
        ClientKeys::read(&Node::from(&jwks)).map(Jwks)
    }
}

impl JsonSchema for Jwks {
    fn schema_name() -> Cow<'static, str> {
        "Jwks".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Some models require that objects have properties. The others depend on the type.
        let key = json!({
            "type": "object",
            "properties": {"kty": {"type": "string", "description": "`EC`, `OKP` or `RSA`."}},
            "required": ["kty"],
        });
        json_schema!({
            "type": "object",
            "properties": {"keys": {"type": "array", "items": key}},
            "required": ["keys"],
        })
    }
}

/// A newly registered client.
#[derive(Serialize, JsonSchema)]
pub struct NewClient {
    /// The id of the client, which is not secret.
    pub client_id: ClientId,
    /// The secret of the client, which is not shown again; absent if the client is public.
    /// Keep it secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
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

impl Operation for CreateClient {
    const NAME: &'static str = "create_client";
    const TITLE: &'static str = "Register a client";
    const TOOLSET: Option<Toolset> = Some(Toolset::Clients);
    const EFFECT: Effect = Effect::Widens;
    const REQUIRES: Requirement = Requirement::Permission(CLIENTS_WRITE);
    type Output = NewClient;

    fn run(self, call: &ActorCall) -> Result<NewClient> {
        let ports = &call.ports;
        let method = self.token_endpoint_auth_method;
        match (
            self.jwks.is_some(),
            method == TokenEndpointAuthMethod::PrivateKeyJwt,
        ) {
            (false, true) => {
                let problem = "is required with private_key_jwt";
                return Err(AuthError::invalid(vec![FieldError::new("jwks", problem)]));
            }
            (true, false) => return Err(misplaced_keys()),
            _ => {}
        }
        let (mut client, client_secret) = Client::new(
            Registration::PreRegistered,
            Some(self.client_name),
            self.redirect_uris,
            method,
            self.scopes.0,
            ports,
        )?;
        if let Some(Jwks(keys)) = self.jwks {
            client.set_keys(keys);
        }
        authority::retry_on_conflict(call, |call| {
            // Before the clients are counted: every other registration moves the head.
            let head = record::read(Chain::head_key(Chain::shared()), ports)?;
            if !client::is_place_left(ports)? {
                return Err(too_many());
            }
            let mut batch = Batch::new();
            client.write(Expect::Absent, &mut batch, call.now());
            batch.create(client.index_key(), &json!({}));
            let event = client.event(Self::NAME);
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(()))
        })?;
        Ok(NewClient {
            token_endpoint_auth_method: client.token_endpoint_auth_method(),
            client_id: client.client_id,
            client_secret,
            client_name: client.client_name,
            redirect_uris: client.redirect_uris,
            scopes: client.scopes,
            created_at: client.created_at.to_rfc3339(),
        })
    }
}

/// Returns the error for a client that is not registered.
pub(super) fn unknown_client(client_id: &ClientId) -> AuthError {
    AuthError::new(ErrorKind::Application, "There is no such client")
        .because(Cause::UnknownClient)
        .detail("client_id", client_id.to_string())
        .detail("action", "list the clients with list_clients")
}

/// Returns the error for keys of a client that cannot have any.
pub(super) fn misplaced_keys() -> AuthError {
    let problem =
        "only clients that an administrator registered with private_key_jwt have keys here";
    AuthError::invalid(vec![FieldError::new("jwks", problem)])
}

fn too_many() -> AuthError {
    AuthError::new(
        ErrorKind::Application,
        "The maximum number of clients is reached",
    )
    .detail("max_clients", client::MAX_PRE_REGISTERED)
    .detail("action", "delete some with delete_client")
}
