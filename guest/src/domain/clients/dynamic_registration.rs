//! Clients that register themselves (RFC 7591). A registration ends unless it is used, and
//! there is a limited number of places for them, since anyone can register.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::{Client, Registration, TokenEndpointAuthMethod};
use super::client_id::ClientId;
use super::issued_secret::REGISTRATION_ACCESS_TOKEN;
use super::key_set::ClientKeys;
use super::places::Places;
use super::redirect_uri::RedirectUris;
use crate::domain::accounts::scopes::Scopes;
use crate::domain::audit::{Chain, Event, Head, UnknownAccount, event_name};
use crate::domain::call::Call;
use crate::domain::display_text::DisplayText;
use crate::domain::throttle;
use crate::error::Result;
use crate::ports::{Expect, Ports};
use crate::storage::batch::{Batch, Commit};
use crate::storage::record::{self, Found, Stored};
use crate::storage::retry::{self, Race};
use crate::types::mac;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// The most clients that can be registered at the same time.
pub const MAX_CLIENTS: u16 = 10_000;
/// How long a registration lasts after its last use.
pub const INACTIVE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How long the same registration returns the same public client.
pub const REPEATED: Duration = Duration::from_secs(10 * 60);
/// The places of these clients.
pub(super) const PLACES: Places = Places {
    prefix: "client-by-registration/dynamic/",
    most: MAX_CLIENTS,
    unused: Duration::from_secs(24 * 60 * 60),
};
/// How precisely the last use is known, so that not every use writes.
const PRECISION: Duration = Duration::from_secs(24 * 60 * 60);

/// A registration, as stored with its client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicRegistration {
    /// The number of its place.
    pub(super) place: u16,
    /// When it ends, unless the client is used before.
    pub(super) expires_at: Timestamp,
    /// The keyed hash of the registration access token; `None` if the client is public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
}

/// What a client says about itself (RFC 7591 section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientMetadata {
    /// Its name for people, made fit to be shown; `None` if there is none.
    pub client_name: Option<DisplayText>,
    /// Where it receives answers.
    pub redirect_uris: RedirectUris,
    /// How it authenticates.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// Where its keys are, if it authenticates by one.
    pub keys: Option<ClientKeys>,
}

/// A client that has registered itself, with what is not shown again.
pub struct Registered {
    /// The client.
    pub client: Client,
    /// The secret of the client, if it authenticates by one.
    pub client_secret: Option<Secret>,
    /// The token with which the client manages its registration; `None` if it is public.
    /// Equal public clients share one registration, so none of them may change it.
    pub access_token: Option<Secret>,
}

impl DynamicRegistration {
    /// Returns a registration that ends unless it is used, at a free place.
    pub(super) fn unused(places: &Places, call: &Call) -> Result<DynamicRegistration> {
        Ok(DynamicRegistration {
            place: places.free(&call.ports)?,
            expires_at: call.now() + places.unused,
            access_token: None,
        })
    }

    /// Reports whether this is the registration access token of the client.
    pub fn has_access_token(
        &self,
        client_id: &ClientId,
        given: &str,
        ports: &Ports,
    ) -> Result<bool> {
        match &self.access_token {
            Some(hash) => REGISTRATION_ACCESS_TOKEN.is_of_hash(given, client_id, hash, ports),
            None => Ok(false),
        }
    }
}

/// Registers a client. The same public client from the same source is registered once in
/// ten minutes, since many programs register at each start.
///
/// Fails with -32003 after too many registrations by the source, and with -32004 if no
/// place is free.
pub fn register(metadata: &ClientMetadata, call: &Call) -> Result<Registered> {
    throttle::count_client(call)?;
    let repeated_key = match metadata.token_endpoint_auth_method {
        TokenEndpointAuthMethod::None => Some(repeated_key(metadata, call)?),
        _ => None,
    };
    retry::retry_on_conflict(|| attempt(metadata, repeated_key.as_deref(), call))
}

fn attempt(
    metadata: &ClientMetadata,
    repeated_key: Option<&str>,
    call: &Call,
) -> Result<Race<Registered>> {
    let ports = &call.ports;
    let mut batch = Batch::new();
    let earlier: Found<ClientId> = match repeated_key {
        Some(key) => record::read(key.to_owned(), ports)?,
        None => None,
    };
    if let Some(earlier) = &earlier
        && let Some(client) = record::read::<Client>(Client::key(&earlier.value), ports)?
        // An administrator may have changed it.
        && client.value.redirect_uris == metadata.redirect_uris
    {
        return Ok(Race::Won(Registered {
            client: client.value,
            client_secret: None,
            access_token: None,
        }));
    }
    let registration = DynamicRegistration::unused(&PLACES, call)?;
    let (mut client, client_secret) = Client::new(
        Registration::Dynamic(registration.clone()),
        metadata.client_name.clone(),
        metadata.redirect_uris.clone(),
        metadata.token_endpoint_auth_method,
        Scopes::everything(),
        ports,
    )?;
    if let Some(keys) = &metadata.keys {
        client.set_keys(keys.clone());
    }
    let client_id = client.client_id.clone();
    let access_token = match metadata.token_endpoint_auth_method {
        TokenEndpointAuthMethod::None => None,
        _ => {
            let (hash, token) = REGISTRATION_ACCESS_TOKEN.issue(&client_id, ports)?;
            client.registration = Registration::Dynamic(DynamicRegistration {
                access_token: Some(hash),
                ..registration
            });
            Some(token)
        }
    };
    client.write(Expect::Absent, &mut batch, call.now());
    client.write_place(Expect::Absent, &mut batch, call.now());
    if let Some(key) = repeated_key {
        let expect = earlier.map_or(Expect::Absent, |earlier| Expect::At(earlier.version));
        let ttl_ms = u64::try_from(REPEATED.as_millis()).ok();
        batch.put(key.to_owned(), expect, &client_id, ttl_ms);
    }
    append(
        client.event(event_name::REGISTER_CLIENT),
        &client_id,
        None,
        &mut batch,
        call,
    )?;
    Ok(call.commit(batch)?.then(Registered {
        client,
        client_secret,
        access_token,
    }))
}

/// Extends the registration of a client that has got tokens. A client that an
/// administrator registered has no end.
pub fn extend(client: &Stored<Client>, call: &Call) -> Result<()> {
    let Some(current) = client.value.registration.expires_at() else {
        return Ok(());
    };
    let expires_at = call.now() + INACTIVE;
    if current + PRECISION > expires_at {
        return Ok(());
    }
    let mut extended = client.value.clone();
    extended.registration = extended.registration.ending_at(expires_at);
    let mut batch = Batch::new();
    let expect = Expect::At(client.version.clone());
    extended.write(expect, &mut batch, call.now());
    extended.write_place(Expect::Any, &mut batch, call.now());
    // Otherwise another process has extended, changed or deleted it: the first is enough,
    // and the next use extends a changed one.
    let (Commit::Done | Commit::Conflict) = call.commit(batch)?;
    Ok(())
}

/// Reads a client and the head of the chain that records what it does to its registration.
pub fn read(client_id: &ClientId, ports: &Ports) -> Result<(Found<Client>, Found<Head>)> {
    let head = Chain::head_key(unknown(client_id, ports)?.id());
    record::read_both([Client::key(client_id), head], ports)
}

/// Replaces what a client has said about itself, except for how it authenticates.
///
/// Fails with -32003 as [`register`] does: each change is recorded, and must not fill the
/// store.
pub fn update(
    old: &Stored<Client>,
    head: Found<Head>,
    metadata: &ClientMetadata,
    call: &Call,
) -> Result<Race<Client>> {
    throttle::count_client(call)?;
    let client_id = &old.value.client_id;
    let mut client = old.value.clone();
    let name = metadata.client_name.clone();
    client.client_name = name.unwrap_or_else(|| client_id.to_display_text());
    client.redirect_uris = metadata.redirect_uris.clone();
    if let Some(keys) = &metadata.keys {
        client.set_keys(keys.clone());
    }
    let mut batch = Batch::new();
    client.write(Expect::At(old.version.clone()), &mut batch, call.now());
    append(
        client.event(event_name::UPDATE_REGISTRATION),
        client_id,
        head,
        &mut batch,
        call,
    )?;
    Ok(call.commit(batch)?.then(client))
}

/// Deletes a client that no longer wants to be registered.
pub fn delete(client: &Stored<Client>, head: Found<Head>, call: &Call) -> Result<Race<()>> {
    let client_id = &client.value.client_id;
    let mut batch = Batch::new();
    let expect = Expect::At(client.version.clone());
    batch.delete(Client::key(client_id), expect);
    batch.delete(client.value.index_key(), Expect::Any);
    let event =
        Event::success(event_name::DELETE_REGISTRATION).detail("client_id", client_id.to_string());
    append(event, client_id, head, &mut batch, call)?;
    Ok(call.commit(batch)?.then(()))
}

/// Records what a client does to its registration in a chain of its own, which is kept for
/// a day: anyone can register, and must not fill the store.
pub(super) fn append(
    event: Event,
    client_id: &ClientId,
    head: Found<Head>,
    batch: &mut Batch,
    call: &Call,
) -> Result<()> {
    let unknown = unknown(client_id, &call.ports)?;
    Chain::of_unknown(unknown, head).append(event, batch, call)
}

fn unknown(client_id: &ClientId, ports: &Ports) -> Result<UnknownAccount> {
    UnknownAccount::new("client", &client_id.to_string(), ports)
}

/// Returns the store key under which the same registration by the same source finds the
/// client.
fn repeated_key(metadata: &ClientMetadata, call: &Call) -> Result<String> {
    let name = metadata.client_name.as_ref();
    let source = call.caller.source.to_string();
    let mut parts = vec![
        "client-registration",
        &source,
        name.map_or("", DisplayText::as_str),
    ];
    let uris = metadata.redirect_uris.as_slice().iter();
    parts.extend(uris.map(|uri| uri.as_str()));
    let pseudonym = mac::pseudonym(&parts, &call.ports)?;
    Ok(format!("client-registration/{}", mac::to_hex(&pseudonym)))
}
