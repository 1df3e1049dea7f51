//! Guarantees of the SQLite store beyond the contract.

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
