//! Which keys a client has now. Those at a URL can change at any time, so they are fetched
//! again: every hour, and as soon as one is missing.

use std::time::Duration;

use super::error::OAuthError;
use super::metadata_document;
use crate::domain::call::Call;
use crate::domain::clients::client::Client;
use crate::domain::clients::key_set::ClientKeys;
use crate::domain::throttle;
use crate::error::{AuthError, Result};
use crate::json::{self, Node};
use crate::ports::{Algorithm, Expect};
use crate::storage::batch::{Batch, Commit};
use crate::storage::record;
use crate::types::mac;

/// The longest key set.
const MAX_BYTES: u32 = 64 << 10;
/// How long a key set is used before it is fetched again.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// How soon a key set is fetched again, whatever is missing in it.
const AGAIN: Duration = Duration::from_secs(60);
/// How long a key set is used that cannot be fetched again.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon a client should try again whose keys are being fetched.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// Returns the keys of a client, as JSON, with which a signature by this algorithm can be
/// verified that names its key in this way.
///
/// Fails if they have to be fetched, and cannot be now: the client is not to blame then, and
/// must keep its grant.
pub fn find(
    client: &Client,
    algorithm: Algorithm,
    kid: Option<&str>,
    call: &Call,
) -> Result<Vec<String>> {
    let Some(keys) = client.keys() else {
        return Ok(Vec::new());
    };
    let Some(url) = keys.url() else {
        return Ok(keys.find(algorithm, kid));
    };
    let records = records_of(url, call)?;
    let mut entries = call.ports.store.get(&records)?;
    let mut next = || entries.pop().flatten();
    // Whether the fetch of the last minute has found a good set, if there was one.
    let newest = record::parse::<bool>(next(), &call.ports)?.map(|newest| newest.value);
    let is_fresh = next().is_some();
    let set = record::parse::<ClientKeys>(next(), &call.ports)?;
    let is_known = set.is_some();
    let known = set.map_or_else(Vec::new, |set| set.value.find(algorithm, kid));
    match newest {
        Some(false) if known.is_empty() => return Err(AuthError::unavailable(AGAIN)),
        Some(_) => return Ok(known),
        None if is_fresh && !known.is_empty() => return Ok(known),
        None => {}
    }
    match fetch(url, records, is_known, call) {
        Ok(Some(keys)) => Ok(keys.find(algorithm, kid)),
        Ok(None) if known.is_empty() => Err(AuthError::unavailable(AGAIN)),
        Ok(None) => Ok(known),
        // Whoever uses up the limits must not shut out the clients that are in use.
        Err(error) if known.is_empty() => Err(error),
        Err(_) => Ok(known),
    }
}

/// Returns the store keys of what is known of the keys at a URL: the newest good set, the
/// mark of a good answer within the hour, and what has become of a fetch within the minute.
fn records_of(url: &str, call: &Call) -> Result<[String; 3]> {
    let name = mac::to_hex(&mac::pseudonym(&["client-keys", url], &call.ports)?);
    Ok(["set", "fresh", "new"].map(|kind| format!("client-keys/{name}/{kind}")))
}

/// Fetches a key set, or returns `None` if there is no good one.
fn fetch(
    url: &str,
    [set, fresh, new]: [String; 3],
    is_known: bool,
    call: &Call,
) -> Result<Option<ClientKeys>> {
    if !metadata_document::is_supported(call) {
        return Err(AuthError::not_offered());
    }
    // A source without fetches left must not keep keys alive that the client has withdrawn, and
    // one fetch a minute is no burden.
    if !is_known {
        throttle::count_client(call)?;
    }
    let ports = &call.ports;
    // One of those that miss a key at the same time fetches the set for all.
    let gate = format!("{set}/fetches");
    if ports.store.add(&gate, 1, ttl_ms(AGAIN))? > 1 {
        return Err(AuthError::unavailable(UNDER_WAY));
    }
    let fetched = metadata_document::fetch(url, MAX_BYTES, call);
    if fetched.is_err() {
        // Nothing was asked of the server of the client, so the next one may try.
        ports.store.add(&gate, -1, ttl_ms(AGAIN))?;
    }
    let fetched = fetched?;
    let keys = fetched.and_then(|document| {
        let jwks = json::parse(&document.body).unwrap_or(Node::Null);
        ClientKeys::read(&jwks).map_err(OAuthError::invalid_client_metadata)
    });
    let mut batch = Batch::new();
    batch.put(new, Expect::Any, &keys.is_ok(), ttl_ms(AGAIN));
    if let Ok(keys) = &keys {
        batch.put(fresh, Expect::Any, &(), ttl_ms(FRESH));
        batch.put(set, Expect::Any, keys, ttl_ms(KEPT));
    }
    // A batch without conditions has no conflicts.
    let (Commit::Done | Commit::Conflict) = call.commit(batch)?;
    match keys {
        Ok(keys) => Ok(Some(keys)),
        Err(error) => {
            metadata_document::log_unusable(url, error.description, call);
            Ok(None)
        }
    }
}

fn ttl_ms(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_millis()).ok()
}
