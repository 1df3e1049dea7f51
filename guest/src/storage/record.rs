//! Typed records over the store.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::error::{AuthError, Result};
use crate::json;
use crate::ports::{Entry, Ports, Severity, Version};

/// A record and its version.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    /// The record.
    pub value: T,
    /// The version, for `Expect::At`.
    pub version: Version,
}

/// A record with its version, or `None` if it does not exist.
pub type Found<T> = Option<Stored<T>>;

/// Reads one record.
pub fn read<T: DeserializeOwned>(key: String, ports: &Ports) -> Result<Found<T>> {
    let mut entries = ports.store.get(&[key])?;
    parse(entries.pop().flatten(), ports)
}

/// Reads two records of different types as one snapshot.
pub fn read_both<A: DeserializeOwned, B: DeserializeOwned>(
    keys: [String; 2],
    ports: &Ports,
) -> Result<(Found<A>, Found<B>)> {
    let mut entries = ports.store.get(&keys)?;
    let second = entries.pop().flatten();
    let first = entries.pop().flatten();
    Ok((parse(first, ports)?, parse(second, ports)?))
}

/// Reads three records of different types as one snapshot.
pub fn read_three<A: DeserializeOwned, B: DeserializeOwned, C: DeserializeOwned>(
    keys: [String; 3],
    ports: &Ports,
) -> Result<(Found<A>, Found<B>, Found<C>)> {
    let mut entries = ports.store.get(&keys)?;
    let third = entries.pop().flatten();
    let second = entries.pop().flatten();
    let first = entries.pop().flatten();
    Ok((
        parse(first, ports)?,
        parse(second, ports)?,
        parse(third, ports)?,
    ))
}

/// Parses the record of an entry. A record that cannot be parsed is a fault of the store,
/// and never treated as one that does not exist.
pub fn parse<T: DeserializeOwned>(entry: Option<Entry>, ports: &Ports) -> Result<Found<T>> {
    let Some(entry) = entry else {
        return Ok(None);
    };
    match json::from_slice(&entry.value) {
        Ok(value) => Ok(Some(Stored {
            value,
            version: entry.version,
        })),
        Err(_) => Err(unreadable(&entry.key, ports)),
    }
}

/// Logs that a stored record cannot be read, and returns an error that tells the caller
/// nothing about it.
pub fn unreadable(what: &str, ports: &Ports) -> AuthError {
    let fields = json::fields([("what", what.into())]);
    ports
        .telemetry
        .log(Severity::Error, "a stored record cannot be read", &fields);
    AuthError::unavailable(Duration::from_secs(60))
}
