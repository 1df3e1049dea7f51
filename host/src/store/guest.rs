//! The store as a component sees it: without the host's records, and within the limits
//! of a call. Enforces both for every store, even one that enforces nothing itself.

use std::time::Duration;

use super::checks::{self, TooLarge};
use super::{
    Entry, HOST_PREFIX, MAX_ANSWER_BYTES, MAX_KEY_BYTES, Mutation, Outcome, Page, Store, StoreError,
};

/// The store that a component calls.
pub(crate) struct GuestStore<'a>(pub(crate) &'a dyn Store);

impl GuestStore<'_> {
    pub(crate) async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        checks::keys(keys)?;
        keys.iter().try_for_each(|key| require_own(key))?;
        let entries = self.0.get(keys).await?;
        let bytes: usize = entries.iter().flatten().map(Entry::bytes).sum();
        if bytes <= MAX_ANSWER_BYTES {
            Ok(entries)
        } else {
            Err(TooLarge.into())
        }
    }

    pub(crate) async fn commit(&self, batch: Vec<Mutation>) -> Result<Outcome, StoreError> {
        checks::batch_size(&batch)?;
        batch.iter().try_for_each(|it| require_own(&it.key))?;
        self.0.commit(batch).await
    }

    pub(crate) async fn add(
        &self,
        key: &str,
        delta: i64,
        ttl: Option<Duration>,
    ) -> Result<i64, StoreError> {
        checks::key(key)?;
        require_own(key)?;
        self.0.add(key, delta, ttl).await
    }

    pub(crate) async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        checks::range(prefix, after)?;
        require_own(prefix)?;
        after.map_or(Ok(()), require_own)?;
        let page = self.0.scan(prefix, after, limit).await?;
        if !HOST_PREFIX.starts_with(prefix) {
            return Ok(cut(page, limit));
        }
        self.around_the_host(page, prefix, limit).await
    }

    /// Returns a page of a scan whose prefix covers the host's keys too, without them,
    /// and without a cursor that would name one.
    async fn around_the_host(
        &self,
        page: Page,
        prefix: &str,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let ends_in_host = page.next.as_deref().is_some_and(is_of_the_host);
        let Page { mut entries, next } = page;
        entries.retain(|entry| !is_of_the_host(&entry.key));
        if !ends_in_host {
            return Ok(cut(Page { entries, next }, limit));
        }
        // The last key that the host could use: all later keys are the component's.
        let last = format!("{HOST_PREFIX:~<MAX_KEY_BYTES$}");
        let rest = self.0.scan(prefix, Some(&last), limit).await?;
        entries.extend(rest.entries);
        let next = rest.next;
        Ok(cut(Page { entries, next }, limit))
    }
}

/// Truncates a page to its limits, so that the next one begins at the cut.
fn cut(page: Page, limit: u32) -> Page {
    let Page { entries, next } = page;
    let whole = entries.into_iter().map(Ok::<_, std::convert::Infallible>);
    let Ok(cut) = checks::page(whole, limit);
    Page {
        next: cut.next.or(next),
        entries: cut.entries,
    }
}

fn is_of_the_host(key: &str) -> bool {
    key.starts_with(HOST_PREFIX)
}

/// Rejects keys with the host's prefix.
fn require_own(key: &str) -> Result<(), StoreError> {
    if is_of_the_host(key) {
        Err(StoreError::Refused(format!(
            "keys that begin with {HOST_PREFIX:?} are reserved for the host"
        )))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::store::{Expect, MAX_KEYS, MAX_VALUE_BYTES, MemoryStore};

    fn put(key: &str) -> Mutation {
        Mutation {
            key: key.into(),
            expect: Expect::Any,
            put: Some(b"value".to_vec()),
            ttl: None,
        }
    }

    async fn holding(keys: &[&str]) -> MemoryStore {
        let store = MemoryStore::new();
        let batch = keys.iter().map(|key| put(key)).collect();
        store.commit(batch).await.unwrap();
        store
    }

    fn refused<T>(result: Result<T, StoreError>) -> bool {
        matches!(result, Err(StoreError::Refused(_)))
    }

    #[tokio::test]
    async fn host_records_can_be_neither_named_nor_changed() {
        let store = holding(&["host/restoring", "own"]).await;
        let guest = GuestStore(&store);
        for key in ["host/restoring", "host/", "host/none"] {
            assert!(refused(guest.get(&["own".into(), key.into()]).await));
            assert!(refused(guest.commit(vec![put("own"), put(key)]).await));
            let delete = Mutation {
                put: None,
                ..put(key)
            };
            assert!(refused(guest.commit(vec![delete]).await));
            assert!(refused(guest.add(key, 1, None).await));
            assert!(refused(guest.scan(key, None, 10).await));
            assert!(refused(guest.scan("", Some(key), 10).await));
        }
        let names = ["host/restoring", "host/none"].map(String::from);
        let kept = store.get(&names).await.unwrap();
        assert_eq!(kept[0].as_ref().unwrap().value, b"value");
        assert_eq!(kept[1], None);
        for own in ["host", "hosts/1", "Host/1"] {
            guest.commit(vec![put(own)]).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_scan_hides_host_records() {
        let keys = [
            "a", "g", "host/1", "host/2", "host/3", "hosu", "host!", "host0", "z",
        ];
        let store = holding(&keys).await;
        let guest = GuestStore(&store);
        for prefix in ["", "h", "host", "hos"] {
            let own = keys.iter().filter(|key| !key.starts_with("host/"));
            let mut expected: Vec<_> = own.filter(|key| key.starts_with(prefix)).collect();
            expected.sort();
            for limit in 1..=10 {
                let mut seen = Vec::new();
                let mut after = None;
                for _ in 0..=keys.len() {
                    let page = guest.scan(prefix, after.as_deref(), limit).await.unwrap();
                    assert!(page.entries.len() <= limit as usize);
                    seen.extend(page.entries.into_iter().map(|entry| entry.key));
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                    assert!(!after.as_deref().is_some_and(is_of_the_host), "{after:?}");
                }
                assert_eq!(after, None);
                assert!(seen.iter().eq(expected.iter().copied()), "{prefix} {limit}");
            }
        }
    }

    #[tokio::test]
    async fn a_store_with_only_host_records_looks_empty() {
        let store = holding(&["host/1", "host/2", "host/3"]).await;
        let page = GuestStore(&store).scan("", None, 1).await.unwrap();
        assert_eq!((page.entries.len(), page.next), (0, None));
    }

    /// A store that checks nothing, and returns large records for every key and page.
    struct Careless;

    fn large(key: String) -> Entry {
        Entry {
            key,
            value: vec![0; MAX_VALUE_BYTES],
            version: "1".into(),
        }
    }

    #[async_trait]
    impl Store for Careless {
        fn kind(&self) -> &'static str {
            "careless"
        }

        async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
            Ok(keys.iter().map(|key| Some(large(key.clone()))).collect())
        }

        async fn commit(&self, _: Vec<Mutation>) -> Result<Outcome, StoreError> {
            Ok(Outcome::Committed)
        }

        async fn add(&self, _: &str, _: i64, _: Option<Duration>) -> Result<i64, StoreError> {
            Ok(0)
        }

        async fn scan(&self, _: &str, _: Option<&str>, _: u32) -> Result<Page, StoreError> {
            Ok(Page {
                entries: (0..9).map(|number| large(number.to_string())).collect(),
                next: Some("8".into()),
            })
        }

        async fn purge(&self, _: u32) -> Result<u32, StoreError> {
            Ok(0)
        }
    }

    #[tokio::test]
    async fn limits_are_enforced_for_a_store_that_ignores_them() {
        let guest = GuestStore(&Careless);
        let names = |count: usize| -> Vec<String> { (0..count).map(|n| n.to_string()).collect() };
        assert!(guest.get(&names(3)).await.is_ok());
        assert!(refused(guest.get(&names(4)).await));
        assert!(refused(guest.get(&names(MAX_KEYS + 1)).await));
        assert!(refused(guest.get(&["a b".into()]).await));
        assert!(refused(guest.add("a b", 1, None).await));
        let batch = (0..5).map(|_| Mutation {
            put: Some(vec![0; MAX_VALUE_BYTES]),
            ..put("a")
        });
        assert!(refused(guest.commit(batch.collect()).await));
        let page = guest.scan("", None, 100).await.unwrap();
        assert_eq!((page.entries.len(), page.next.as_deref()), (3, Some("2")));
        let page = guest.scan("", None, 2).await.unwrap();
        assert_eq!((page.entries.len(), page.next.as_deref()), (2, Some("1")));
    }
}
