//! The interface `store`, implemented by the host's store within the component's
//! limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tracing::{Instrument as _, Span, debug_span, error, field, warn};

use crate::embed::bindings::user_auth::plugin::store::{
    Entry, Expect, Host, Mutation, Outcome, Page, Version,
};
use crate::embed::bindings::user_auth::plugin::types::Unavailable;
use crate::embed::ctx::UserAuthCtx;
use crate::store::{self, GuestStore, StoreError};
use crate::trace::TARGET;

/// Suggested delay when the store is unavailable: long enough for a database to come
/// back or for a lock to be released.
const RETRY_AFTER_MS: u32 = 1_000;

impl Host for UserAuthCtx {
    async fn get(
        &mut self,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Option<Entry>>, Unavailable>> {
        self.count_host_call()?;
        let host = Arc::clone(self.shared());
        count(&host.metrics.store.reads);
        let span = self.store_span("get", keys.len());
        let asked = keys.iter().map(String::len).sum();
        self.count_store_bytes(asked)?;
        let store = GuestStore(&*host.store);
        match self.wait(store.get(&keys).instrument(span)).await {
            Ok(entries) => {
                let read = entries.iter().flatten().map(store::Entry::bytes).sum();
                self.count_store_bytes(read)?;
                Ok(Ok(entries.into_iter().map(|e| e.map(entry)).collect()))
            }
            Err(error) => Ok(Err(self.unavailable("get", error))),
        }
    }

    async fn commit(
        &mut self,
        batch: Vec<Mutation>,
    ) -> wasmtime::Result<Result<Outcome, Unavailable>> {
        self.count_host_call()?;
        let host = Arc::clone(self.shared());
        count(&host.metrics.store.commits);
        let span = self.store_span("commit", batch.len());
        let batch: Vec<_> = batch.into_iter().map(mutation).collect();
        self.count_store_bytes(batch.iter().map(store::Mutation::bytes).sum())?;
        let store = GuestStore(&*host.store);
        match self.wait(store.commit(batch).instrument(span)).await {
            Ok(store::Outcome::Committed) => Ok(Ok(Outcome::Committed)),
            Ok(store::Outcome::Conflict(index)) => {
                count(&host.metrics.store.conflicts);
                Ok(Ok(Outcome::Conflict(index)))
            }
            Err(error) => Ok(Err(self.unavailable("commit", error))),
        }
    }

    async fn add(
        &mut self,
        key: String,
        delta: i64,
        ttl_ms: Option<u64>,
    ) -> wasmtime::Result<Result<i64, Unavailable>> {
        self.count_host_call()?;
        let host = Arc::clone(self.shared());
        count(&host.metrics.store.commits);
        let ttl = ttl_ms.map(Duration::from_millis);
        let span = self.store_span("add", 1);
        self.count_store_bytes(key.len())?;
        let store = GuestStore(&*host.store);
        let sum = self
            .wait(store.add(&key, delta, ttl).instrument(span))
            .await;
        Ok(sum.map_err(|error| self.unavailable("add", error)))
    }

    async fn scan(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Result<Page, Unavailable>> {
        self.count_host_call()?;
        let host = Arc::clone(self.shared());
        count(&host.metrics.store.reads);
        let span = self.store_span("scan", 1);
        let store = GuestStore(&*host.store);
        let scan = store.scan(&prefix, after.as_deref(), limit);
        match self.wait(scan.instrument(span)).await {
            Ok(page) => {
                let read = page.entries.iter().map(store::Entry::bytes).sum();
                self.count_store_bytes(read)?;
                Ok(Ok(Page {
                    entries: page.entries.into_iter().map(entry).collect(),
                    next: page.next,
                }))
            }
            Err(error) => Ok(Err(self.unavailable("scan", error))),
        }
    }
}

impl UserAuthCtx {
    /// Returns the span of a call to the store. It omits keys, because they contain
    /// names.
    fn store_span(&self, call: &'static str, records: usize) -> Span {
        debug_span!(
            target: TARGET,
            parent: self.span(),
            "store",
            otel.name = field::display(format_args!("store.{call}")),
            otel.kind = "client",
            db.system.name = self.shared().store.kind(),
            db.operation.name = call,
            db.operation.batch.size = records,
        )
    }

    fn unavailable(&mut self, call: &'static str, error: StoreError) -> Unavailable {
        count(&self.shared().metrics.store.failures);
        let reason = error.to_string();
        let is_refused = matches!(error, StoreError::Refused(_));
        if self.may_log(reason.len()) {
            let store = self.shared().store.kind();
            if is_refused {
                warn!(call, %error, store, "the component made a call that the store refused")
            } else {
                error!(call, %error, store, "the store failed")
            }
        }
        Unavailable {
            reason,
            retry_after_ms: (!is_refused).then_some(RETRY_AFTER_MS),
        }
    }
}

fn entry(entry: store::Entry) -> Entry {
    let version: Version = entry.version;
    Entry {
        key: entry.key,
        value: entry.value,
        version,
    }
}

fn mutation(mutation: Mutation) -> store::Mutation {
    store::Mutation {
        key: mutation.key,
        expect: match mutation.expect {
            Expect::Any => store::Expect::Any,
            Expect::Absent => store::Expect::Absent,
            Expect::At(version) => store::Expect::At(version),
        },
        put: mutation.put,
        ttl: mutation.ttl_ms.map(Duration::from_millis),
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
