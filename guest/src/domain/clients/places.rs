//! Places for clients that need no approval by an administrator. Their number is limited.

use std::time::Duration;

use crate::error::{AuthError, Result};
use crate::ports::Ports;

/// How many places are looked at to find a free one, which is likely up to nine in ten.
const TRIED: usize = 50;

/// The places for one kind of clients.
pub struct Places {
    /// The prefix of their store keys.
    pub prefix: &'static str,
    /// The number of places.
    pub most: u16,
    /// How long a client has its place before it is used for the first time.
    pub unused: Duration,
}

impl Places {
    /// Returns the store key of a place.
    pub fn key(&self, place: u16) -> String {
        format!("{}{place}", self.prefix)
    }

    /// Returns a place at which nothing was stored just now. The store decides between two
    /// clients that find the same.
    ///
    /// Fails with -32004 if none is found.
    pub fn free(&self, ports: &Ports) -> Result<u16> {
        let mut random = [0; 2 * TRIED];
        ports.random.fill(&mut random)?;
        let places = random.chunks_exact(2);
        let places = places.map(|pair| u16::from_be_bytes([pair[0], pair[1]]) % self.most);
        let places: Vec<u16> = places.collect();
        let keys: Vec<String> = places.iter().map(|place| self.key(*place)).collect();
        let taken = ports.store.get(&keys)?;
        let mut free = places
            .iter()
            .zip(&taken)
            .filter(|(_, entry)| entry.is_none());
        let place = free.next().map(|(place, _)| *place);
        place.ok_or_else(|| AuthError::unavailable(Duration::from_secs(60 * 60)))
    }
}
