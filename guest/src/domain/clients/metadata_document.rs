//! Clients that identify themselves by the URL of a metadata document
//! (draft-ietf-oauth-client-id-metadata-document-02). The newest state of the document is
//! stored like a registration: it ends unless it is used, and takes one of a limited number
//! of places. Codes and grants hold what they need of the state that their user saw.

use std::time::Duration;

use super::client::Client;
use super::client_id::ClientId;
use super::document_url::DocumentUrl;
use super::dynamic_registration::{self, ClientMetadata, DynamicRegistration};
use super::places::Places;
use crate::domain::audit::event_name;
use crate::domain::call::Call;
use crate::error::Result;
use crate::ports::Expect;
use crate::storage::batch::{Batch, Commit};
use crate::storage::record;
use crate::storage::retry::{self, Race};
use crate::types::time::Timestamp;

/// The most of these clients at the same time.
pub const MAX_CLIENTS: u16 = 10_000;
/// How long a document is used at least before it is fetched again, whatever its server
/// says.
pub const MIN_FRESH: Duration = Duration::from_secs(5 * 60);
/// How long a document is used at most before it is fetched again, whatever its server says.
pub const MAX_FRESH: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an older state is used while the document cannot be fetched because of limits.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a document that could not be used is not fetched again.
pub const BACK_OFF: Duration = Duration::from_secs(30);

/// The places of these clients.
pub(super) const PLACES: Places = Places {
    prefix: "client-by-registration/document/",
    most: MAX_CLIENTS,
    // Its document says the same at the next request.
    unused: Duration::from_secs(60 * 60),
};

/// What is known of a document.
pub enum Known {
    /// Its state is new enough to be used.
    Fresh(Client),
    /// It has to be fetched. This state may be used as long as it cannot be.
    Stale(Client),
    /// It could not be used a moment ago.
    Unusable,
    /// It has to be fetched.
    Unknown,
}

/// Returns what is known of a document.
pub fn known(url: &DocumentUrl, call: &Call) -> Result<Known> {
    let ports = &call.ports;
    let client_id = ClientId::Document(url.clone());
    let Some(state) = record::read::<State>(state_key(&client_id), ports)? else {
        return Ok(Known::Unknown);
    };
    let Some(fresh_until) = state.value else {
        return Ok(Known::Unusable);
    };
    // An administrator may have deleted it.
    let Some(client) = record::read::<Client>(Client::key(&client_id), ports)? else {
        return Ok(Known::Unknown);
    };
    Ok(match call.now() < fresh_until {
        true => Known::Fresh(client.value),
        false => Known::Stale(client.value),
    })
}

/// Remembers for a moment that a document could not be used.
pub fn note_failure(url: &DocumentUrl, call: &Call) -> Result<()> {
    let mut batch = Batch::new();
    let client_id = ClientId::Document(url.clone());
    note_state(&client_id, None, BACK_OFF, &mut batch);
    // A batch without conditions has no conflicts.
    let (Commit::Done | Commit::Conflict) = call.commit(batch)?;
    Ok(())
}

/// When a document has to be fetched again, or `None` if it could not be used.
type State = Option<Timestamp>;

fn note_state(client_id: &ClientId, state: State, lasting: Duration, batch: &mut Batch) {
    let ttl_ms = u64::try_from(lasting.as_millis()).ok();
    batch.put(state_key(client_id), Expect::Any, &state, ttl_ms);
}

fn state_key(client_id: &ClientId) -> String {
    format!("client-document-state/{}", client_id.record_name())
}

/// Stores the state of a document that was just fetched, and returns its client. `fresh_for`
/// is how long its server permits to keep it.
pub fn store(
    url: &DocumentUrl,
    metadata: &ClientMetadata,
    fresh_for: Option<Duration>,
    call: &Call,
) -> Result<Client> {
    let fresh_for = fresh_for.unwrap_or(MIN_FRESH).clamp(MIN_FRESH, MAX_FRESH);
    retry::retry_on_conflict(|| attempt(url, metadata, fresh_for, call))
}

fn attempt(
    url: &DocumentUrl,
    metadata: &ClientMetadata,
    fresh_for: Duration,
    call: &Call,
) -> Result<Race<Client>> {
    let ports = &call.ports;
    let now = call.now();
    let client_id = ClientId::Document(url.clone());
    let (old, head) = dynamic_registration::read(&client_id, ports)?;
    let mut batch = Batch::new();
    let (client, expect, is_changed) = match old {
        Some(old) => {
            let mut client = old.value.with_document(metadata, now);
            let is_changed = client != old.value;
            // A user is about to be asked, and must not be too late.
            if let Some(at) = client.registration.expires_at() {
                client.registration = client.registration.ending_at(at.max(now + PLACES.unused));
            }
            client.write_place(Expect::Any, &mut batch, now);
            (client, Expect::At(old.version), is_changed)
        }
        None => {
            let registration = DynamicRegistration::unused(&PLACES, call)?;
            let client = Client::of_document(client_id, registration, metadata, now);
            client.write_place(Expect::Absent, &mut batch, now);
            (client, Expect::Absent, true)
        }
    };
    client.write(expect, &mut batch, now);
    let state = Some(now + fresh_for);
    note_state(&client.client_id, state, fresh_for + KEPT, &mut batch);
    if is_changed {
        let event = client.event(event_name::FETCH_CLIENT_DOCUMENT);
        dynamic_registration::append(event, &client.client_id, head, &mut batch, call)?;
    }
    Ok(call.commit(batch)?.then(client))
}
