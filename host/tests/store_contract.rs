//! The contract of `wit/store.wit` as one suite that every store passes, and the
//! additional guarantees of the SQLite and PostgreSQL stores.
//!
//! To test another store, add a line with `contract!`.

/// Included by path: the package that contains it depends on this one.
#[path = "../../tests/src/postgres.rs"]
#[allow(dead_code, reason = "the tests of the other package use the rest")]
mod postgres_server;

#[path = "../examples/own_store/store.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
mod own_store;

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
        let url: PostgresUrl = postgres_server::database().parse().unwrap();
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

/// A case that no line of `contract!` names is dead code, which is an error.
#[deny(dead_code)]
mod cases {
    use super::*;

    pub async fn an_absent_record_reads_as_none(bed: TestStore) {
        assert_eq!(bed.entry("a").await, None);
    }

    pub async fn a_record_reads_as_it_was_written(bed: TestStore) {
        let value: Vec<u8> = (0..=255).collect();
        let mutation = Mutation {
            put: Some(value.clone()),
            ..put("a", "")
        };
        assert_eq!(bed.commit([mutation]).await, Outcome::Committed);
        let entry = bed.entry("a").await.unwrap();
        assert_eq!((entry.key.as_str(), entry.value), ("a", value));

        bed.commit([put("a", "")]).await;
        assert_eq!(bed.value("a").await.unwrap(), "");
    }

    pub async fn get_keeps_the_order_and_the_duplicates_of_its_keys(bed: TestStore) {
        bed.commit([put("a", "1"), put("b", "2")]).await;
        let keys = ["b", "none", "a", "b"].map(String::from);
        let entries = bed.store.get(&keys).await.unwrap();
        let values: Vec<_> = entries
            .into_iter()
            .map(|entry| entry.map(|entry| entry.value))
            .collect();
        let (one, two) = (Some(b"1".to_vec()), Some(b"2".to_vec()));
        assert_eq!(values, [two.clone(), None, one, two]);
        assert_eq!(bed.store.get(&[]).await.unwrap(), []);
    }

    pub async fn any_overwrites(bed: TestStore) {
        bed.commit([put("a", "1")]).await;
        assert_eq!(bed.commit([put("a", "2")]).await, Outcome::Committed);
        assert_eq!(bed.value("a").await.unwrap(), "2");
    }

    pub async fn absent_conflicts_with_a_live_record(bed: TestStore) {
        let create = |value| put("a", value).expecting(Expect::Absent);
        assert_eq!(bed.commit([create("1")]).await, Outcome::Committed);
        assert_eq!(bed.commit([create("2")]).await, Outcome::Conflict(0));
        assert_eq!(bed.value("a").await.unwrap(), "1");
    }

    pub async fn at_conflicts_with_any_other_version(bed: TestStore) {
        bed.commit([put("a", "1")]).await;
        let first = bed.version("a").await;
        assert_eq!(
            bed.commit([put("a", "2").at(&first)]).await,
            Outcome::Committed
        );
        for stale in [
            &first,
            "",
            "no version",
            &format!("0{}", bed.version("a").await),
        ] {
            assert_eq!(
                bed.commit([put("a", "3").at(stale)]).await,
                Outcome::Conflict(0)
            );
        }
        assert_eq!(bed.value("a").await.unwrap(), "2");
    }

    pub async fn at_conflicts_with_an_absent_record(bed: TestStore) {
        bed.commit([put("a", "1")]).await;
        let version = bed.version("a").await;
        assert_eq!(
            bed.commit([put("b", "1").at(&version)]).await,
            Outcome::Conflict(0)
        );
        bed.commit([delete("a")]).await;
        assert_eq!(
            bed.commit([put("a", "1").at(&version)]).await,
            Outcome::Conflict(0)
        );
    }

    pub async fn every_write_has_its_own_version(bed: TestStore) {
        let mut versions = Vec::new();
        for _ in 0..10 {
            bed.commit([put("a", "same")]).await;
            versions.push(bed.version("a").await);
        }
        versions.sort();
        versions.dedup();
        assert_eq!(versions.len(), 10);
        assert_eq!(bed.version("a").await, bed.version("a").await);
    }

    pub async fn a_batch_with_a_conflict_leaves_no_trace(bed: TestStore) {
        bed.commit([put("kept", "1"), put("there", "1")]).await;
        let before = bed.store.scan("", None, 10).await.unwrap();
        let outcome = bed
            .commit([
                put("new", "2"),
                delete("kept"),
                put("there", "2").expecting(Expect::Absent),
            ])
            .await;
        assert_eq!(outcome, Outcome::Conflict(2));
        assert_eq!(bed.store.scan("", None, 10).await.unwrap(), before);
    }

    pub async fn a_conflict_names_the_first_mutation_that_failed(bed: TestStore) {
        bed.commit([put("a", "1")]).await;
        let outcome = bed
            .commit([
                put("b", "1").expecting(Expect::Absent),
                put("c", "1").at("1"),
                put("a", "1").expecting(Expect::Absent),
            ])
            .await;
        assert_eq!(outcome, Outcome::Conflict(1));
    }

    pub async fn an_empty_batch_commits(bed: TestStore) {
        assert_eq!(bed.commit([]).await, Outcome::Committed);
    }

    pub async fn a_deleted_record_is_absent(bed: TestStore) {
        bed.commit([put("a", "1")]).await;
        assert_eq!(bed.commit([delete("a")]).await, Outcome::Committed);
        assert_eq!(bed.entry("a").await, None);
        let create = put("a", "2").expecting(Expect::Absent);
        assert_eq!(bed.commit([create]).await, Outcome::Committed);
    }

    pub async fn deleting_an_absent_record_succeeds(bed: TestStore) {
        assert_eq!(bed.commit([delete("a")]).await, Outcome::Committed);
        let delete = delete("a").expecting(Expect::Absent);
        assert_eq!(bed.commit([delete]).await, Outcome::Committed);
    }

    pub async fn a_deletion_can_expect_a_version(bed: TestStore) {
        bed.commit([put("a", "1")]).await;
        let version = bed.version("a").await;
        bed.commit([put("a", "2")]).await;
        assert_eq!(
            bed.commit([delete("a").at(&version)]).await,
            Outcome::Conflict(0)
        );
        assert_eq!(bed.value("a").await.unwrap(), "2");
        let version = bed.version("a").await;
        assert_eq!(
            bed.commit([delete("a").at(&version)]).await,
            Outcome::Committed
        );
        assert_eq!(bed.entry("a").await, None);
    }

    pub async fn a_recreated_record_has_another_version(bed: TestStore) {
        bed.commit([put("a", "same")]).await;
        let first = bed.version("a").await;
        bed.commit([delete("a")]).await;
        bed.commit([put("a", "same")]).await;
        assert_ne!(bed.version("a").await, first);
        assert_eq!(
            bed.commit([put("a", "2").at(&first)]).await,
            Outcome::Conflict(0)
        );
    }

    pub async fn a_record_expires_at_the_end_of_its_ttl(bed: TestStore) {
        bed.commit([put("a", "1").living(1000), put("at-once", "1").living(0)])
            .await;
        assert_eq!(bed.entry("at-once").await, None);
        bed.clock.advance(999);
        assert!(bed.entry("a").await.is_some());
        bed.clock.advance(1);
        assert_eq!(bed.entry("a").await, None);
    }

    pub async fn a_rewritten_record_has_the_ttl_of_the_last_write(bed: TestStore) {
        bed.commit([put("longer", "1").living(10), put("shorter", "1")])
            .await;
        bed.commit([put("longer", "2"), put("shorter", "2").living(10)])
            .await;
        bed.clock.advance(10);
        assert!(bed.entry("longer").await.is_some());
        assert_eq!(bed.entry("shorter").await, None);
    }

    pub async fn the_longest_ttl_never_expires(bed: TestStore) {
        bed.commit([put("a", "1").living(u64::MAX)]).await;
        bed.store.add("n", 1, Some(Duration::MAX)).await.unwrap();
        bed.clock.advance(1_000_000_000_000);
        assert!(bed.entry("a").await.is_some());
        assert!(bed.entry("n").await.is_some());
    }

    pub async fn an_expired_record_counts_as_absent(bed: TestStore) {
        bed.commit([put("a", "1").living(10)]).await;
        let version = bed.version("a").await;
        bed.clock.advance(10);
        assert_eq!(
            bed.commit([put("a", "2").at(&version)]).await,
            Outcome::Conflict(0)
        );
        assert_eq!(
            bed.commit([delete("a").at(&version)]).await,
            Outcome::Conflict(0)
        );
        let create = put("a", "3").expecting(Expect::Absent);
        assert_eq!(bed.commit([create]).await, Outcome::Committed);
        assert_eq!(bed.value("a").await.unwrap(), "3");
        assert_ne!(bed.version("a").await, version);
    }

    pub async fn an_expired_record_takes_no_place_on_a_page(bed: TestStore) {
        bed.commit([
            put("a", "1").living(10),
            put("b", "1"),
            put("c", "1").living(10),
        ])
        .await;
        bed.clock.advance(10);
        assert_eq!(bed.page("", None, 1).await, (vec!["b".into()], None));
    }

    pub async fn a_counter_starts_at_0_and_reads_as_decimal_text(bed: TestStore) {
        assert_eq!(bed.store.add("n", 41, None).await.unwrap(), 41);
        assert_eq!(bed.store.add("n", 1, None).await.unwrap(), 42);
        assert_eq!(bed.value("n").await.unwrap(), "42");
        assert_eq!(bed.store.add("n", -50, None).await.unwrap(), -8);
        assert_eq!(bed.value("n").await.unwrap(), "-8");
        bed.commit([put("n", "7")]).await;
        assert_eq!(bed.store.add("n", 0, None).await.unwrap(), 7);
    }

    pub async fn additions_do_not_extend_a_counter(bed: TestStore) {
        let ttl = Some(Duration::from_millis(100));
        bed.store.add("n", 1, ttl).await.unwrap();
        bed.clock.advance(99);
        assert_eq!(bed.store.add("n", 1, ttl).await.unwrap(), 2);
        bed.clock.advance(1);
        assert_eq!(bed.entry("n").await, None);

        bed.store.add("for-good", 1, None).await.unwrap();
        bed.store.add("for-good", 1, ttl).await.unwrap();
        bed.clock.advance(100);
        assert_eq!(bed.value("for-good").await.unwrap(), "2");
    }

    pub async fn an_expired_counter_starts_again(bed: TestStore) {
        let ttl = Some(Duration::from_millis(100));
        bed.store.add("n", 5, ttl).await.unwrap();
        bed.clock.advance(100);
        assert_eq!(bed.store.add("n", 1, ttl).await.unwrap(), 1);
        bed.clock.advance(99);
        assert_eq!(bed.value("n").await.unwrap(), "1");
        bed.clock.advance(1);
        assert_eq!(bed.entry("n").await, None);
    }

    pub async fn an_addition_changes_the_version_of_a_counter(bed: TestStore) {
        bed.store.add("n", 1, None).await.unwrap();
        let version = bed.version("n").await;
        bed.store.add("n", 0, None).await.unwrap();
        assert_eq!(
            bed.commit([put("n", "9").at(&version)]).await,
            Outcome::Conflict(0)
        );
    }

    pub async fn adding_to_another_record_is_refused(bed: TestStore) {
        for value in ["", "x", "1.5", " 1", "9223372036854775808"] {
            bed.commit([put("a", value)]).await;
            assert_refused(bed.store.add("a", 1, None).await);
            assert_eq!(bed.value("a").await.unwrap(), value);
        }
    }

    pub async fn a_counter_that_would_overflow_is_refused_and_keeps_its_value(bed: TestStore) {
        for (limit, delta) in [(i64::MAX, 1), (i64::MIN, -1)] {
            let key = format!("n{delta}");
            assert_eq!(bed.store.add(&key, limit, None).await.unwrap(), limit);
            assert_refused(bed.store.add(&key, delta, None).await);
            assert_eq!(bed.value(&key).await.unwrap(), limit.to_string());
        }
    }

    pub async fn a_scan_is_ordered_by_the_bytes_of_the_keys(bed: TestStore) {
        let ordered = ["!", "-", "A", "B", "_", "a", "a!", "aa", "b", "~"];
        bed.commit(
            ordered
                .iter()
                .rev()
                .map(|key| put(key, ""))
                .collect::<Vec<_>>(),
        )
        .await;
        assert_eq!(bed.page("", None, 100).await.0, ordered);
    }

    pub async fn a_scan_covers_nothing_but_its_prefix(bed: TestStore) {
        let keys = [
            "A/1", "a", "a.", "a/", "a/1", "a/~", "a/~~", "a0", "b", "~", "~~", "~~~",
        ];
        bed.commit(keys.map(|key| put(key, ""))).await;
        assert_eq!(
            bed.page("a/", None, 100).await.0,
            ["a/", "a/1", "a/~", "a/~~"]
        );
        assert_eq!(bed.page("a/~", None, 100).await.0, ["a/~", "a/~~"]);
        assert_eq!(bed.page("~~", None, 100).await.0, ["~~", "~~~"]);
        assert_eq!(bed.page("none", None, 100).await, (vec![], None));
        let longest = "~".repeat(MAX_KEY_BYTES);
        bed.commit([put(&longest, "")]).await;
        assert_eq!(bed.page(&longest, None, 100).await.0, [longest]);
    }

    pub async fn wildcards_in_a_prefix_stand_for_themselves(bed: TestStore) {
        let keys = ["%", "%1", "[a]", "_", "_1", "a", "ab", "*", "*1", "?"];
        bed.commit(keys.map(|key| put(key, ""))).await;
        assert_eq!(bed.page("%", None, 100).await.0, ["%", "%1"]);
        assert_eq!(bed.page("_", None, 100).await.0, ["_", "_1"]);
        assert_eq!(bed.page("*", None, 100).await.0, ["*", "*1"]);
        assert_eq!(bed.page("[a]", None, 100).await.0, ["[a]"]);
    }

    pub async fn an_empty_prefix_covers_everything(bed: TestStore) {
        let longest = "~".repeat(MAX_KEY_BYTES);
        bed.commit([put("!", ""), put("m", ""), put(&longest, "")])
            .await;
        assert_eq!(
            bed.page("", None, 100).await,
            (vec!["!".into(), "m".into(), longest], None)
        );
    }

    pub async fn pages_meet_without_gap_or_overlap(bed: TestStore) {
        let keys: Vec<String> = (0..10).map(|n| format!("p/{n}")).collect();
        bed.commit(keys.iter().map(|key| put(key, "")).collect::<Vec<_>>())
            .await;
        bed.commit([
            put("o", ""),
            put("p", ""),
            put("p/3/child", ""),
            put("p0", ""),
        ])
        .await;
        let mut expected = keys;
        expected.insert(4, "p/3/child".into());
        for limit in 1..=12 {
            let (mut seen, mut after, mut pages) = (Vec::new(), None::<String>, 0);
            loop {
                let (page, next) = bed.page("p/", after.as_deref(), limit).await;
                pages += 1;
                assert!(
                    pages <= expected.len(),
                    "limit {limit}: the pages do not end"
                );
                seen.extend(page);
                let Some(next) = next else { break };
                after = Some(next);
            }
            assert_eq!(seen, expected, "limit {limit}");
            assert_eq!(
                pages,
                expected.len().div_ceil(limit as usize),
                "limit {limit}"
            );
        }
    }

    pub async fn a_page_that_ends_with_the_last_record_has_no_next(bed: TestStore) {
        bed.commit([put("p/1", ""), put("p/2", ""), put("q", "")])
            .await;
        assert_eq!(bed.page("p/", None, 2).await.1, None);
        assert!(bed.page("p/", None, 1).await.1.is_some());
    }

    pub async fn after_need_not_exist_nor_begin_with_the_prefix(bed: TestStore) {
        bed.commit([
            put("b", ""),
            put("p/1", ""),
            put("p/2", ""),
            put("p/3", ""),
            put("z", ""),
        ])
        .await;
        assert_eq!(bed.page("p/", Some("p/11"), 9).await.0, ["p/2", "p/3"]);
        assert_eq!(bed.page("p/", Some("a"), 9).await.0, ["p/1", "p/2", "p/3"]);
        assert_eq!(bed.page("p/", Some("p/3"), 9).await, (vec![], None));
        assert_eq!(bed.page("p/", Some("zz"), 9).await, (vec![], None));
    }

    pub async fn the_limit_of_a_page_is_clamped(bed: TestStore) {
        let keys: Vec<_> = (0..=MAX_PAGE)
            .map(|n| put(&format!("{n:05}"), ""))
            .collect();
        bed.commit(keys).await;
        let (page, next) = bed.page("", None, u32::MAX).await;
        assert_eq!(page.len(), MAX_PAGE as usize);
        assert!(next.is_some());
        assert_eq!(bed.page("", None, 0).await.0.len(), 1);
    }

    pub async fn malformed_keys_are_refused(bed: TestStore) {
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        for key in ["", " ", "a b", "a\n", "a\0", "\x7f", "schlüssel", &long] {
            assert_refused(bed.store.get(&["fine".into(), key.into()]).await);
            assert_refused(
                bed.store
                    .commit(vec![put("fine", "1"), put(key, "1")])
                    .await,
            );
            assert_refused(bed.store.add(key, 1, None).await);
            assert_refused(bed.store.scan("", Some(key), 1).await);
            if !key.is_empty() {
                assert_refused(bed.store.scan(key, None, 1).await);
            }
        }
        assert_eq!(bed.entry("fine").await, None);
    }

    pub async fn well_formed_keys_at_the_limits_are_accepted(bed: TestStore) {
        let long = "k".repeat(MAX_KEY_BYTES);
        for key in ["!", "~", &long] {
            assert_eq!(bed.commit([put(key, "1")]).await, Outcome::Committed);
            assert_eq!(bed.value(key).await.unwrap(), "1");
        }
    }

    pub async fn values_over_the_limit_are_refused(bed: TestStore) {
        let longest = "v".repeat(MAX_VALUE_BYTES);
        assert_eq!(bed.commit([put("a", &longest)]).await, Outcome::Committed);
        assert_eq!(bed.value("a").await.unwrap(), longest);
        assert_refused(bed.store.commit(vec![put("a", &(longest + "v"))]).await);
    }

    pub async fn a_duplicate_key_in_a_batch_is_refused(bed: TestStore) {
        assert_refused(
            bed.store
                .commit(vec![put("a", "1"), put("b", "1"), delete("a")])
                .await,
        );
        assert_eq!(bed.page("", None, 10).await.0, [""; 0]);
    }

    pub async fn a_get_of_too_many_keys_is_refused(bed: TestStore) {
        let mut names: Vec<String> = (0..MAX_KEYS).map(|n| format!("{n}")).collect();
        assert_eq!(bed.store.get(&names).await.unwrap(), vec![None; MAX_KEYS]);
        names.push("1".into());
        assert_refused(bed.store.get(&names).await);
    }

    pub async fn a_response_over_its_size_limit_is_refused(bed: TestStore) {
        let large = "v".repeat(MAX_VALUE_BYTES);
        let fitting = MAX_ANSWER_BYTES / MAX_VALUE_BYTES - 1;
        let names: Vec<String> = (0..=fitting).map(|n| format!("{n}")).collect();
        for name in &names {
            bed.commit([put(name, &large)]).await;
        }
        let entries = bed.store.get(&names[..fitting]).await.unwrap();
        let read = entries.iter().flatten();
        assert_eq!(
            read.filter(|it| it.value == large.as_bytes()).count(),
            fitting
        );
        assert_refused(bed.store.get(&names).await);
        // The result is the same whatever the number of missing records and the
        // position of the last.
        let mut many = vec!["none".to_owned(); 100];
        many[0] = "0".into();
        many[50] = "1".into();
        many[99] = "2".into();
        let entries = bed.store.get(&many).await.unwrap();
        assert_eq!(entries.iter().flatten().count(), 3);
        assert_eq!(entries[99].as_ref().unwrap().key, "2");
        many[98] = "3".into();
        assert_refused(bed.store.get(&many).await);
    }

    pub async fn a_repeated_key_counts_each_time(bed: TestStore) {
        bed.commit([put("a", &"v".repeat(MAX_VALUE_BYTES))]).await;
        let entries = bed.store.get(&vec!["a".to_owned(); 3]).await.unwrap();
        let read = entries.iter().flatten();
        assert_eq!(
            read.filter(|it| it.value.len() == MAX_VALUE_BYTES).count(),
            3
        );
        for times in [4, 9, 600] {
            assert_refused(bed.store.get(&vec!["a".to_owned(); times]).await);
        }
    }

    pub async fn many_keys_are_read_in_their_order(bed: TestStore) {
        let value = "v".repeat(2_000);
        let names: Vec<String> = (0..500).map(|n| format!("{n:03}")).collect();
        let batch: Vec<_> = names.iter().map(|name| put(name, &value)).collect();
        bed.commit(batch).await;
        let mut wanted: Vec<String> = names.iter().rev().cloned().collect();
        wanted.extend(["007", "none", "007"].map(String::from));
        let entries = bed.store.get(&wanted).await.unwrap();
        for (name, entry) in wanted.iter().zip(&entries) {
            let read = entry.as_ref().map(|it| (it.key.as_str(), it.value.len()));
            let expected = (name != "none").then_some((name.as_str(), value.len()));
            assert_eq!(read, expected, "{name}");
        }
    }

    pub async fn a_batch_over_its_limits_is_refused_and_leaves_no_trace(bed: TestStore) {
        let many: Vec<_> = (0..=MAX_BATCH).map(|n| delete(&format!("{n}"))).collect();
        assert_refused(bed.store.commit(many).await);
        let large = "v".repeat(MAX_VALUE_BYTES);
        let values = MAX_BATCH_BYTES / MAX_VALUE_BYTES;
        let many: Vec<_> = (0..values).map(|n| put(&format!("{n}"), &large)).collect();
        assert_refused(bed.store.commit(many).await);
        let version = "1".repeat(MAX_BATCH_BYTES);
        assert_refused(bed.store.commit(vec![put("a", "").at(&version)]).await);
        assert_eq!(bed.page("", None, 1).await.0, [""; 0]);
    }

    pub async fn a_batch_at_its_limits_is_committed(bed: TestStore) {
        let many: Vec<_> = (0..MAX_BATCH)
            .map(|n| put(&format!("{n:05}"), ""))
            .collect();
        assert_eq!(bed.commit(many).await, Outcome::Committed);
        assert!(bed.entry("09999").await.is_some());
        let large = "v".repeat(MAX_VALUE_BYTES);
        let values = MAX_BATCH_BYTES / MAX_VALUE_BYTES - 1;
        let many: Vec<_> = (0..values).map(|n| put(&format!("{n}"), &large)).collect();
        assert_eq!(bed.commit(many).await, Outcome::Committed);
    }

    pub async fn a_page_ends_before_its_size_limit(bed: TestStore) {
        let value = "v".repeat(MAX_ANSWER_BYTES / 5 - 1_000);
        let names: Vec<String> = (0..12).map(|n| format!("p/{n:02}")).collect();
        for name in &names {
            bed.commit([put(name, &value)]).await;
        }
        let (mut seen, mut pages, mut after) = (Vec::new(), Vec::new(), None::<String>);
        loop {
            let page = bed.store.scan("p/", after.as_deref(), 1_000).await.unwrap();
            let bytes: usize = page.entries.iter().map(Entry::bytes).sum();
            assert!(bytes <= MAX_ANSWER_BYTES, "{bytes}");
            pages.push(page.entries.len());
            seen.extend(page.entries.into_iter().map(|entry| entry.key));
            let Some(next) = page.next else { break };
            assert_eq!(seen.last(), Some(&next));
            after = Some(next);
        }
        assert_eq!(seen, names);
        assert_eq!(pages, [5, 5, 2]);
        // A page that fits exactly is the last one, and the limit on the number still
        // applies.
        assert_eq!(bed.page("p/", Some("p/06"), 1_000).await.1, None);
        assert_eq!(bed.page("p/", None, 3).await.0.len(), 3);
    }

    pub async fn a_large_record_begins_a_page_of_its_own(bed: TestStore) {
        let large = "v".repeat(MAX_VALUE_BYTES);
        for name in ["b", "c", "d", "e"] {
            bed.commit([put(name, &large)]).await;
        }
        bed.commit([put("a", ""), put("f", "")]).await;
        let (page, next) = bed.page("", None, 1_000).await;
        assert_eq!(
            (page, next),
            (
                ["a", "b", "c", "d"].map(String::from).into(),
                Some("d".into())
            )
        );
        let (page, next) = bed.page("", Some("d"), 1_000).await;
        assert_eq!((page, next), (["e", "f"].map(String::from).into(), None));
    }

    pub async fn a_purge_counts_freed_records_and_respects_its_limit(bed: TestStore) {
        bed.commit(
            (0..5)
                .map(|n| put(&format!("{n}"), "").living(10))
                .collect::<Vec<_>>(),
        )
        .await;
        bed.clock.advance(10);
        assert_eq!(bed.store.purge(0).await.unwrap(), 0);
        assert_eq!(bed.store.purge(2).await.unwrap(), 2);
        assert_eq!(bed.store.purge(u32::MAX).await.unwrap(), 3);
        assert_eq!(bed.store.purge(2).await.unwrap(), 0);
    }

    pub async fn a_purge_keeps_live_records(bed: TestStore) {
        bed.commit([
            put("for-good", ""),
            put("longer", "").living(11),
            put("over", "").living(10),
        ])
        .await;
        bed.commit([put("renewed", "").living(10)]).await;
        bed.commit([put("renewed", "")]).await;
        bed.clock.advance(10);
        assert_eq!(bed.store.purge(10).await.unwrap(), 1);
        assert_eq!(
            bed.page("", None, 10).await.0,
            ["for-good", "longer", "renewed"]
        );
    }

    pub async fn one_of_many_creators_wins(bed: TestStore) {
        for round in 0..20 {
            let key = format!("key/{round}");
            let outcomes = at_once(16, |creator| {
                let (store, key) = (bed.store.clone(), key.clone());
                async move {
                    let create = put(&key, &creator.to_string()).expecting(Expect::Absent);
                    store.commit(vec![create]).await.unwrap()
                }
            })
            .await;
            let winners: Vec<_> = (0..16)
                .filter(|&creator| outcomes[creator] == Outcome::Committed)
                .collect();
            assert_eq!(winners.len(), 1, "{outcomes:?}");
            assert_eq!(bed.value(&key).await.unwrap(), winners[0].to_string());
        }
    }

    pub async fn no_update_is_lost(bed: TestStore) {
        bed.commit([put("n", "0")]).await;
        at_once(8, |_| {
            let store = bed.store.clone();
            async move {
                for _ in 0..25 {
                    increment(&*store, "n").await;
                }
            }
        })
        .await;
        assert_eq!(bed.value("n").await.unwrap(), "200");
    }

    pub async fn concurrent_additions_sum_up(bed: TestStore) {
        let sums = at_once(8, |_| {
            let store = bed.store.clone();
            async move {
                let mut sums = Vec::new();
                for _ in 0..50 {
                    sums.push(store.add("n", 3, None).await.unwrap());
                }
                sums
            }
        })
        .await;
        let mut sums = sums.concat();
        sums.sort_unstable();
        assert_eq!(sums, (1..=400).map(|n| n * 3).collect::<Vec<_>>());
    }

    pub async fn readers_see_a_batch_whole_or_not_at_all(bed: TestStore) {
        bed.commit([put("left", "1000"), put("right", "1000")])
            .await;
        // Many reads between those of the two sides, so that a commit would fall
        // between them if the snapshot did not exclude it.
        let mut keys = vec!["filler".to_owned(); 500];
        keys[0] = "left".into();
        keys[499] = "right".into();
        at_once(4, |index| {
            let (store, keys) = (bed.store.clone(), keys.clone());
            async move {
                for amount in 1..=100 {
                    if index < 2 {
                        transfer(&*store, amount).await;
                    } else {
                        let entries = store.get(&keys).await.unwrap();
                        let [left, right] = [0, 499].map(|side| entries[side].as_ref().unwrap());
                        assert_eq!(number(left) + number(right), 2000);
                    }
                }
            }
        })
        .await;
        assert_eq!(
            bed.value("left").await.unwrap(),
            (1000 - 2 * 5050).to_string()
        );
    }

    pub async fn a_snapshot_has_every_record_once_and_in_order(bed: TestStore) {
        let names: Vec<String> = (0..2500).map(|n| format!("{n:04}")).collect();
        for names in names.rchunks(500) {
            let batch: Vec<_> = names.iter().map(|name| put(name, name)).collect();
            bed.commit(batch).await;
        }
        bed.commit([put("!", "first"), put("~", "last")]).await;
        bed.store.add("counter", 5, None).await.unwrap();
        let records = bed.snapshot().await;
        let keys: Vec<_> = records.iter().map(|record| record.key.as_str()).collect();
        let mut expected = vec!["!"];
        expected.extend(names.iter().map(String::as_str));
        expected.extend(["counter", "~"]);
        assert_eq!(keys, expected);
        assert_eq!(records[0].value, b"first");
        assert_eq!(records[2501].value, b"5");
        assert_eq!(records[2501].expires_at_ms, None);
    }

    pub async fn a_snapshot_keeps_expiry_times_and_omits_expired_records(bed: TestStore) {
        bed.commit([put("short", "").living(10), put("long", "").living(2000)])
            .await;
        bed.commit([put("for-good", ""), put("longest", "").living(u64::MAX)])
            .await;
        bed.clock.advance(10);
        let lives: Vec<_> = bed.snapshot().await;
        let lives: Vec<_> = lives
            .iter()
            .map(|record| (record.key.as_str(), record.expires_at_ms))
            .collect();
        let end = 1_800_000_000_000 + 2000;
        assert_eq!(
            lives,
            [("for-good", None), ("long", Some(end)), ("longest", None)]
        );
    }

    pub async fn a_snapshot_excludes_later_commits(bed: TestStore) {
        let names: Vec<String> = (0..1500).map(|n| format!("{n:04}")).collect();
        let records = names.iter().map(|name| put(name, "old").living(50));
        bed.commit(records.collect::<Vec<_>>()).await;
        let mut snapshot = bed.store.snapshot().await.unwrap();
        // Before its first page, and before its second.
        bed.commit([put("0000", "new"), put("!", "new"), delete("0001")])
            .await;
        let mut records = snapshot.page().await.unwrap();
        bed.commit([put("1400", "new"), put("~", "new"), delete("1401")])
            .await;
        bed.store.add("9", 1, None).await.unwrap();
        // A record that was live when the snapshot began is in it, however long it
        // takes.
        bed.clock.advance(50);
        bed.store.purge(10_000).await.unwrap();
        records.extend(rest(&mut *snapshot).await);
        let keys: Vec<_> = records.iter().map(|record| &record.key).collect();
        assert_eq!(keys, names.iter().collect::<Vec<_>>());
        assert!(records.iter().all(|record| record.value == b"old"));
    }

    pub async fn a_snapshot_of_an_empty_store_is_empty(bed: TestStore) {
        let mut snapshot = bed.store.snapshot().await.unwrap();
        for _ in 0..2 {
            assert_eq!(snapshot.page().await.unwrap(), []);
        }
    }

    pub async fn large_records_come_a_few_at_a_time(bed: TestStore) {
        let large = "x".repeat(MAX_VALUE_BYTES / 2 + 1);
        for key in ["a", "b", "c", "d", "e"] {
            bed.commit([put(key, &large)]).await;
        }
        let mut snapshot = bed.store.snapshot().await.unwrap();
        let mut pages = Vec::new();
        while let page = snapshot.page().await.unwrap()
            && !page.is_empty()
        {
            pages.push(page.len());
        }
        assert!(large.len() * 2 >= SNAPSHOT_PAGE_BYTES);
        assert_eq!(pages, [2, 2, 1]);
    }

    pub async fn a_snapshot_is_consistent_under_constant_writes(bed: TestStore) {
        bed.commit([put("left", "1000"), put("right", "1000")])
            .await;
        let filler: Vec<_> = (0..3000).map(|n| put(&format!("m{n}"), "")).collect();
        bed.commit(filler).await;
        at_once(3, |index| {
            let store = bed.store.clone();
            async move {
                for amount in 1..=40 {
                    if index < 2 {
                        transfer(&*store, amount).await;
                        continue;
                    }
                    let mut snapshot = store.snapshot().await.unwrap();
                    let records = rest(&mut *snapshot).await;
                    let side = |key| records.iter().find(|record| record.key == key).unwrap();
                    let [left, right] = ["left", "right"].map(|key| {
                        let text = std::str::from_utf8(&side(key).value).unwrap();
                        text.parse::<i64>().unwrap()
                    });
                    assert_eq!(left + right, 2000);
                }
            }
        })
        .await;
    }

    /// Moves `amount` from `left` to `right`.
    async fn transfer(store: &dyn Store, amount: i64) {
        let keys = ["left", "right"].map(String::from);
        loop {
            let entries = store.get(&keys).await.unwrap();
            let [left, right] = [0, 1].map(|side| entries[side].as_ref().unwrap());
            let batch = vec![
                put("left", &(number(left) - amount).to_string()).at(&left.version),
                put("right", &(number(right) + amount).to_string()).at(&right.version),
            ];
            if store.commit(batch).await.unwrap() == Outcome::Committed {
                return;
            }
        }
    }

    async fn increment(store: &dyn Store, key: &str) {
        loop {
            let entry = store.get(&[key.into()]).await.unwrap().remove(0).unwrap();
            let next = put(key, &(number(&entry) + 1).to_string()).at(&entry.version);
            if store.commit(vec![next]).await.unwrap() == Outcome::Committed {
                return;
            }
        }
    }

    fn number(entry: &Entry) -> i64 {
        std::str::from_utf8(&entry.value).unwrap().parse().unwrap()
    }
}

/// Guarantees of the SQLite store beyond the contract.
mod sqlite_file {
    use std::pin::pin;
    use std::sync::Barrier;
    use std::task::{Context, Waker};
    use std::thread;

    use rusqlite::Connection;

    use super::*;

    #[tokio::test]
    async fn records_and_versions_outlive_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let store = SqliteStore::open(&path).unwrap();
        store
            .commit(vec![put("a", "1"), put("b", "1")])
            .await
            .unwrap();
        let before = read(&store, "a").await.unwrap();
        let last = read(&store, "b").await.unwrap().version;
        store.commit(vec![delete("b")]).await.unwrap();
        drop(store);
        assert!(
            !folder.path().join("db-wal").exists(),
            "the log was not folded in"
        );

        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(read(&store, "a").await.unwrap(), before);
        store.commit(vec![put("b", "1")]).await.unwrap();
        assert_ne!(read(&store, "b").await.unwrap().version, last);
    }

    #[tokio::test]
    async fn a_commit_survives_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("db")).unwrap();
        store.commit(vec![put("a", "1")]).await.unwrap();
        // The files as they are now, as a killed process would leave them.
        for (from, to) in [("db", "copy"), ("db-wal", "copy-wal")] {
            std::fs::copy(folder.path().join(from), folder.path().join(to)).unwrap();
        }
        let copy = SqliteStore::open(&folder.path().join("copy")).unwrap();
        assert_eq!(read(&copy, "a").await, read(&store, "a").await);
        assert!(read(&copy, "a").await.is_some());
    }

    #[tokio::test]
    async fn dropping_the_store_finishes_abandoned_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let store = SqliteStore::open(&path).unwrap();
        for n in 0..100 {
            let mut commit = pin!(store.commit(vec![put(&format!("{n:03}"), "")]));
            let _ = commit
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(store);
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.scan("", None, 1000).await.unwrap().entries.len(), 100);
    }

    #[tokio::test]
    async fn a_commit_that_fails_is_an_error_and_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let store = SqliteStore::open(&path).unwrap();
        // A deferred constraint violation makes COMMIT itself fail.
        let other = Connection::open(&path).unwrap();
        other
            .execute_batch(
                "CREATE TABLE creditors (id INTEGER PRIMARY KEY);
                 CREATE TABLE debts (
                     creditor REFERENCES creditors (id) DEFERRABLE INITIALLY DEFERRED);
                 CREATE TRIGGER debt AFTER INSERT ON entries WHEN NEW.key = 'bad'
                     BEGIN INSERT INTO debts VALUES (1); END;",
            )
            .unwrap();
        let result = store.commit(vec![put("a", "1"), put("bad", "1")]).await;
        assert!(
            matches!(result, Err(StoreError::Unavailable(_))),
            "{result:?}"
        );
        assert_eq!(read(&store, "a").await, None);

        store.commit(vec![put("a", "2")]).await.unwrap();
        assert!(read(&store, "a").await.is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 8)]
    async fn several_stores_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let stores = [(); 4].map(|()| Arc::new(SqliteStore::open(&path).unwrap()));
        for round in 0..20 {
            let key = format!("key/{round}");
            let outcomes = at_once(8, |creator| {
                let (store, key) = (stores[creator % 4].clone(), key.clone());
                async move {
                    let create = put(&key, "1").expecting(Expect::Absent);
                    let outcome = store.commit(vec![create]).await.unwrap();
                    store.add("rounds", 1, None).await.unwrap();
                    outcome
                }
            })
            .await;
            let winners = outcomes
                .iter()
                .filter(|&&outcome| outcome == Outcome::Committed);
            assert_eq!(winners.count(), 1, "{outcomes:?}");
        }
        let rounds = read(&stores[0], "rounds").await.unwrap();
        assert_eq!(rounds.value, b"160");
        let mut versions = Vec::new();
        for entry in stores[1].scan("", None, 1000).await.unwrap().entries {
            versions.push(entry.version);
        }
        versions.sort();
        versions.dedup();
        assert_eq!(versions.len(), 21, "a version was given out by two stores");
    }

    #[test]
    fn a_new_file_can_be_opened_by_many_at_once() {
        for _ in 0..10 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("db");
            let start = Barrier::new(8);
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        start.wait();
                        SqliteStore::open(&path).map(drop).unwrap();
                    });
                }
            });
        }
    }

    #[test]
    fn an_open_error_names_the_path_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        std::fs::write(
            &text,
            "no database, but long enough to have a header".repeat(9),
        )
        .unwrap();
        let missing = folder.path().join("missing").join("db");
        for (path, reason) in [
            (folder.path(), "not a regular file"),
            (&text, "not a database"),
            (&missing, "No such file"),
        ] {
            let message = open_error(path);
            assert!(message.contains(path.to_str().unwrap()), "{message}");
            assert!(message.contains(reason), "{message}");
        }
        assert!(!missing.exists());
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        drop(SqliteStore::open(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let message = open_error(&path);
        assert!(message.contains("schema version 99"), "{message}");
    }

    #[test]
    fn a_database_of_another_program_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("CREATE TABLE theirs (id)")
            .unwrap();
        drop(connection);
        let before = std::fs::read(&path).unwrap();
        let message = open_error(&path);
        assert!(message.contains("another program"), "{message}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_files_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("db")).unwrap();
        store.commit(vec![put("a", "1")]).await.unwrap();
        for name in ["db", "db-wal", "db-shm"] {
            let file = std::fs::metadata(folder.path().join(name)).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    async fn read(store: &SqliteStore, key: &str) -> Option<Entry> {
        store.get(&[key.into()]).await.unwrap().remove(0)
    }

    fn open_error(path: &Path) -> String {
        match SqliteStore::open(path) {
            Ok(_) => panic!("{} was opened", path.display()),
            Err(error) => error.to_string(),
        }
    }
}
