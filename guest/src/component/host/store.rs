//! Records, through the import `store`.

use super::Host;
use crate::component::contract::imports::store;
use crate::ports::{Entry, Expect, Mutation, Outcome, Page, Store, Unavailable};

impl From<store::Entry> for Entry {
    fn from(entry: store::Entry) -> Entry {
        Entry {
            key: entry.key,
            value: entry.value,
            version: entry.version,
        }
    }
}

impl Store for Host {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        let entries = store::get(keys)?;
        Ok(entries
            .into_iter()
            .map(|entry| entry.map(Entry::from))
            .collect())
    }

    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        let batch: Vec<store::Mutation> = batch
            .iter()
            .map(|mutation| store::Mutation {
                key: mutation.key.clone(),
                expect: match &mutation.expect {
                    Expect::Any => store::Expect::Any,
                    Expect::Absent => store::Expect::Absent,
                    Expect::At(version) => store::Expect::At(version.clone()),
                },
                put: mutation.put.clone(),
                ttl_ms: mutation.ttl_ms,
            })
            .collect();
        Ok(match store::commit(&batch)? {
            store::Outcome::Committed => Outcome::Committed,
            store::Outcome::Conflict(index) => Outcome::Conflict(index),
        })
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
        Ok(store::add(key, delta, ttl_ms)?)
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        let page = store::scan(prefix, after, limit)?;
        Ok(Page {
            entries: page.entries.into_iter().map(Entry::from).collect(),
            next: page.next,
        })
    }
}
