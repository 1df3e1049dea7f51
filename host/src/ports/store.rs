//! `store`: to whichever store the host was given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tracing::{Instrument as _, Span, debug_span, error, field};

use crate::bindings::user_auth::plugin::store::{
    Entry, Expect, Host, Mutation, Outcome, Page, Version,
};
use crate::bindings::user_auth::plugin::types::Unavailable;
use crate::ctx::UserAuthCtx;
use crate::store::{self, StoreError};
use crate::trace::TARGET;

/// What is advised when the store is away: long enough for a database to come
/// back or for a lock to be let go.
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
        let entries = self.wait(host.store.get(&keys).instrument(span)).await;
        Ok(entries
            .map(|entries| entries.into_iter().map(|e| e.map(entry)).collect())
            .map_err(|error| self.unavailable("get", error)))
    }

    async fn commit(
        &mut self,
        batch: Vec<Mutation>,
    ) -> wasmtime::Result<Result<Outcome, Unavailable>> {
        self.count_host_call()?;
        let host = Arc::clone(self.shared());
        count(&host.metrics.store.commits);
        let span = self.store_span("commit", batch.len());
        let batch = batch.into_iter().map(mutation).collect();
        match self.wait(host.store.commit(batch).instrument(span)).await {
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
        let sum = self
            .wait(host.store.add(&key, delta, ttl).instrument(span))
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
        let scan = host.store.scan(&prefix, after.as_deref(), limit);
        let page = self.wait(scan.instrument(span)).await;
        Ok(page
            .map(|page| Page {
                entries: page.entries.into_iter().map(entry).collect(),
                next: page.next,
            })
            .map_err(|error| self.unavailable("scan", error)))
    }
}

impl UserAuthCtx {
    /// The span of a call to the store. Keys are not in it: names are in them.
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

    fn unavailable(&self, call: &'static str, error: StoreError) -> Unavailable {
        count(&self.shared().metrics.store.failures);
        error!(call, %error, store = self.shared().store.kind(), "the store failed");
        Unavailable {
            reason: error.to_string(),
            retry_after_ms: RETRY_AFTER_MS,
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
