//! The contract of `wit/store.wit` as one suite that every store passes, and the
//! additional guarantees of the SQLite store; those of the PostgreSQL store are in
//! `tests/all/postgres/store.rs`.
//!
//! To test another store, add a line with `contract!`.

mod cases;
/// The example for authors of their own stores; an example is no library.
#[path = "../../host/examples/own_store/store.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
mod own_store;
mod sqlite_file;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use user_auth_host::store::{
    Entry, Expect, MAX_ANSWER_BYTES, MAX_BATCH, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_KEYS, MAX_PAGE,
    MAX_VALUE_BYTES, MemoryStore, Mutation, Outcome, PostgresStore, PostgresUrl, Record,
    SNAPSHOT_PAGE_BYTES, Snapshot, SqliteStore, Store, StoreError,
};
use user_auth_tests::postgres::database;

/// Runs every case against a new store; `without snapshots` omits those that need them.
macro_rules! contract {
    ($store:ident, $bed:expr) => {
        mod $store {
            use super::*;

            contract! { @records $bed }
            contract! { @snapshots $bed }
        }
    };
    ($store:ident without snapshots, $bed:expr) => {
        mod $store {
            use super::*;

            contract! { @records $bed }
        }
    };
    (@records $bed:expr) => {
        contract! { @cases $bed;
            an_absent_record_reads_as_none
            a_record_reads_as_it_was_written
            get_keeps_the_order_and_the_duplicates_of_its_keys
            any_overwrites
            absent_conflicts_with_a_live_record
            at_conflicts_with_any_other_version
            at_conflicts_with_an_absent_record
            every_write_has_its_own_version
            a_batch_with_a_conflict_leaves_no_trace
            a_conflict_names_the_first_mutation_that_failed
            an_empty_batch_commits
            a_deleted_record_is_absent
            deleting_an_absent_record_succeeds
            a_deletion_can_expect_a_version
            a_recreated_record_has_another_version
            a_record_expires_at_the_end_of_its_ttl
            a_rewritten_record_has_the_ttl_of_the_last_write
            the_longest_ttl_never_expires
            an_expired_record_counts_as_absent
            an_expired_record_takes_no_place_on_a_page
            a_counter_starts_at_0_and_reads_as_decimal_text
            additions_do_not_extend_a_counter
            an_expired_counter_starts_again
            an_addition_changes_the_version_of_a_counter
            adding_to_another_record_is_refused
            a_counter_that_would_overflow_is_refused_and_keeps_its_value
            a_scan_is_ordered_by_the_bytes_of_the_keys
            a_scan_covers_nothing_but_its_prefix
            wildcards_in_a_prefix_stand_for_themselves
            an_empty_prefix_covers_everything
            pages_meet_without_gap_or_overlap
            a_page_that_ends_with_the_last_record_has_no_next
            after_need_not_exist_nor_begin_with_the_prefix
            the_limit_of_a_page_is_clamped
            malformed_keys_are_refused
            well_formed_keys_at_the_limits_are_accepted
            values_over_the_limit_are_refused
            a_duplicate_key_in_a_batch_is_refused
            a_get_of_too_many_keys_is_refused
            a_response_over_its_size_limit_is_refused
            a_repeated_key_counts_each_time
            many_keys_are_read_in_their_order
            a_batch_over_its_limits_is_refused_and_leaves_no_trace
            a_batch_at_its_limits_is_committed
            a_page_ends_before_its_size_limit
            a_large_record_begins_a_page_of_its_own
            a_purge_counts_freed_records_and_respects_its_limit
            a_purge_keeps_live_records
            one_of_many_creators_wins
            no_update_is_lost
            reads_at_the_same_time_return_their_own_records
            a_read_that_is_too_large_fails_alone
            concurrent_additions_sum_up
            readers_see_a_batch_whole_or_not_at_all
        }
    };
    (@snapshots $bed:expr) => {
        contract! { @cases $bed;
            a_snapshot_has_every_record_once_and_in_order
            a_snapshot_keeps_expiry_times_and_omits_expired_records
            a_snapshot_excludes_later_commits
            a_snapshot_of_an_empty_store_is_empty
            large_records_come_a_few_at_a_time
            a_snapshot_is_consistent_under_constant_writes
        }
    };
    (@cases $bed:expr; $($case:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 8)]
        async fn $case() {
            cases::$case($bed.await).await;
        }
    )* };
}

contract!(memory, TestStore::memory());
contract!(sqlite, TestStore::sqlite());
contract!(postgres, TestStore::postgres());
contract!(own without snapshots, TestStore::own());

/// A new store with its clock.
struct TestStore {
    store: Arc<dyn Store>,
    clock: TestClock,
    /// Dropped last, since it contains the file of the store.
    _folder: Option<TempDir>,
}

impl TestStore {
    async fn memory() -> Self {
        let clock = TestClock::default();
        Self {
            store: Arc::new(MemoryStore::with_clock(clock.reader())),
            clock,
            _folder: None,
        }
    }

    /// Returns the example store for authors of their own stores.
    async fn own() -> Self {
        let clock = TestClock::default();
        Self {
            store: Arc::new(own_store::MapStore::with_clock(clock.reader())),
            clock,
            _folder: None,
        }
    }

    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = TestClock::default();
        let store = SqliteStore::with_clock(&folder.path().join("db"), clock.reader()).unwrap();
        Self {
            store: Arc::new(store),
            clock,
            _folder: Some(folder),
        }
    }

    async fn postgres() -> Self {
        let clock = TestClock::default();
        let url: PostgresUrl = database().parse().unwrap();
        let store = PostgresStore::with_clock(&url, clock.reader());
        Self {
            store: Arc::new(store.await.unwrap()),
            clock,
            _folder: None,
        }
    }

    async fn commit(&self, batch: impl Into<Vec<Mutation>>) -> Outcome {
        self.store.commit(batch.into()).await.unwrap()
    }

    async fn entry(&self, key: &str) -> Option<Entry> {
        self.store.get(&[key.into()]).await.unwrap().remove(0)
    }

    async fn value(&self, key: &str) -> Option<String> {
        let entry = self.entry(key).await?;
        Some(String::from_utf8(entry.value).unwrap())
    }

    /// Returns all records of a snapshot taken now.
    async fn snapshot(&self) -> Vec<Record> {
        rest(&mut *self.store.snapshot().await.unwrap()).await
    }

    async fn version(&self, key: &str) -> String {
        self.entry(key).await.unwrap().version
    }

    /// Returns the keys of one page and its `next`.
    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> (Vec<String>, Option<String>) {
        let page = self.store.scan(prefix, after, limit).await.unwrap();
        let keys = page.entries.into_iter().map(|entry| entry.key).collect();
        (keys, page.next)
    }
}

/// A clock that only moves when it is advanced.
#[derive(Clone, Default)]
struct TestClock(Arc<AtomicU64>);

impl TestClock {
    fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    fn reader(&self) -> Arc<dyn Fn() -> SystemTime + Send + Sync> {
        let elapsed_ms = self.0.clone();
        let start = Duration::from_secs(1_800_000_000);
        Arc::new(move || {
            let elapsed = Duration::from_millis(elapsed_ms.load(Ordering::SeqCst));
            SystemTime::UNIX_EPOCH + start + elapsed
        })
    }
}

/// Returns the remaining records of a snapshot.
async fn rest(snapshot: &mut dyn Snapshot) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        let page = snapshot.page().await.unwrap();
        if page.is_empty() {
            return records;
        }
        assert!(page.len() <= MAX_PAGE as usize);
        records.extend(page);
    }
}

fn put(key: &str, value: &str) -> Mutation {
    Mutation {
        key: key.into(),
        expect: Expect::Any,
        put: Some(value.into()),
        ttl: None,
    }
}

fn delete(key: &str) -> Mutation {
    Mutation {
        put: None,
        ..put(key, "")
    }
}

trait MutationExt {
    fn expecting(self, expect: Expect) -> Mutation;
    fn at(self, version: &str) -> Mutation;
    fn living(self, ms: u64) -> Mutation;
}

impl MutationExt for Mutation {
    fn expecting(self, expect: Expect) -> Mutation {
        Mutation { expect, ..self }
    }

    fn at(self, version: &str) -> Mutation {
        self.expecting(Expect::At(version.into()))
    }

    fn living(self, ms: u64) -> Mutation {
        Mutation {
            ttl: Some(Duration::from_millis(ms)),
            ..self
        }
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Refused(_))),
        "not refused: {result:?}"
    );
}

/// Runs `count` copies of a task at once and returns what they return.
async fn at_once<T, F>(count: usize, task: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|index| {
            let start = start.clone();
            let task = task(index);
            tokio::spawn(async move {
                start.wait().await;
                task.await
            })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}
