use std::io::Cursor;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::keys::records::RESTORING;
use crate::store::{Expect, MemoryStore, Mutation, Outcome};

fn put(key: &str, value: &str, ttl_ms: Option<u64>) -> Mutation {
    Mutation {
        key: key.to_owned(),
        expect: Expect::Any,
        put: Some(value.into()),
        ttl: ttl_ms.map(Duration::from_millis),
    }
}

async fn store_with(records: usize, keys: &MasterKey) -> MemoryStore {
    let store = MemoryStore::new();
    keys.unlock(&store).await.unwrap();
    let batch = (0..records).map(|n| put(&format!("k/{n:05}"), &format!("value {n}"), None));
    store.commit(batch.collect()).await.unwrap();
    store
}

async fn write(store: &dyn Store, master: &MasterKey) -> Vec<u8> {
    let keys = master.unlock(store).await.unwrap();
    let (file, extent) = backup(store, &keys, Vec::new(), |_| {}).await.unwrap();
    assert_eq!(extent.bytes, file.len() as u64);
    file
}

async fn read(file: &[u8], master: &MasterKey, store: &dyn Store) -> Result<Extent, BackupError> {
    let file = Cursor::new(file.to_vec());
    restore(file, master, store, false, |_| {}).await
}

async fn all(store: &dyn Store) -> Vec<Record> {
    let mut snapshot = store.snapshot().await.unwrap();
    let mut records = Vec::new();
    while let page = snapshot.page().await.unwrap()
        && !page.is_empty()
    {
        records.extend(page);
    }
    records
}

#[tokio::test]
async fn a_backup_restores_the_same_records() {
    let keys = MasterKey::ephemeral().unwrap();
    let from = store_with(2500, &keys).await;
    from.commit(vec![put("life", "", Some(60_000)), put("empty", "", None)])
        .await
        .unwrap();
    from.add("count", 7, None).await.unwrap();
    let file = write(&from, &keys).await;

    let to = MemoryStore::new();
    // Another process has opened it with the same key, and written nothing.
    keys.unlock(&to).await.unwrap();
    let extent = read(&file, &keys, &to).await.unwrap();
    assert_eq!(extent.records, 2503);
    let (before, after) = (all(&from).await, all(&to).await);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.key, &before.value), (&after.key, &after.value));
        let ends = (before.expires_at_ms, after.expires_at_ms);
        let drift = ends.0.unwrap_or_default() - ends.1.unwrap_or_default();
        assert!(drift.abs() < 10_000 && ends.0.is_some() == ends.1.is_some());
    }
    assert_eq!(before.len(), after.len());
    assert_eq!(to.add("count", 1, None).await.unwrap(), 8);
    assert!(keys.unlock(&to).await.is_ok());
}

#[tokio::test]
async fn a_corrupted_or_truncated_backup_is_rejected() {
    let keys = MasterKey::ephemeral().unwrap();
    let file = write(&store_with(40, &keys).await, &keys).await;
    for at in 0..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        let cut = &file[..at];
        for (broken, what) in [(&flipped[..], "flipped"), (cut, "cut")] {
            let error = check(broken, &keys, |_| {}).unwrap_err();
            let is_named = match what {
                "cut" if at >= 16 => matches!(error, BackupError::Truncated(n) if n == at as u64),
                "cut" => matches!(error, BackupError::Foreign),
                _ => !matches!(error, BackupError::OtherKey | BackupError::Io(_)),
            };
            assert!(is_named, "{what} at {at}: {error}");
        }
    }
    let longer = [&file[..], b"x"].concat();
    let error = check(&longer[..], &keys, |_| {}).unwrap_err();
    assert!(matches!(error, BackupError::Damaged(_)), "{error}");
    assert!(check(&file[..], &keys, |_| {}).is_ok());

    // With a pipe, the end is seen only after everything before it has been written.
    let store = MemoryStore::new();
    let error = read(&file[..file.len() - 1], &keys, &store).await;
    assert!(matches!(error, Err(BackupError::Truncated(_))), "{error:?}");
    assert!(
        keys.unlock(&store).await.is_err(),
        "half a store was opened"
    );
    let again = read(&file, &keys, &store).await;
    assert!(matches!(again, Err(BackupError::Unfinished)), "{again:?}");
    let file = Cursor::new(file);
    restore(file, &keys, &store, true, |_| {}).await.unwrap();
    assert!(keys.unlock(&store).await.is_ok());
    assert_eq!(all(&store).await.len(), 41);
}

#[tokio::test]
async fn blocks_of_another_backup_are_rejected() {
    let keys = MasterKey::ephemeral().unwrap();
    let store = store_with(40, &keys).await;
    let (one, other) = (write(&store, &keys).await, write(&store, &keys).await);
    assert_eq!(one.len(), other.len());
    let header = one.len() - 200;
    let spliced = [&one[..header], &other[header..]].concat();
    let error = check(&spliced[..], &keys, |_| {}).unwrap_err();
    assert!(matches!(error, BackupError::Damaged(_)), "{error}");
}

#[tokio::test]
async fn a_backup_requires_the_master_key_of_its_time() {
    let [old, new, other] = [(); 3].map(|()| MasterKey::ephemeral().unwrap());
    let store = store_with(3, &old).await;
    let derived = old.unlock(&store).await.unwrap().derive("x");
    let before = write(&store, &old).await;
    old.rotate(&new, &store).await.unwrap();
    let after = write(&store, &new).await;
    for (file, right) in [(&before, &old), (&after, &new)] {
        for wrong in [&old, &new, &other] {
            if std::ptr::eq(wrong, right) {
                continue;
            }
            let to = MemoryStore::new();
            let error = read(file, wrong, &to).await;
            assert!(matches!(error, Err(BackupError::OtherKey)), "{error:?}");
            assert_eq!(all(&to).await, []);
        }
        let to = MemoryStore::new();
        read(file, right, &to).await.unwrap();
        let unlocked = right.unlock(&to).await.unwrap();
        assert_eq!(unlocked.derive("x"), derived);
    }
}

#[tokio::test]
async fn a_store_is_emptied_only_on_request() {
    let keys = MasterKey::ephemeral().unwrap();
    let file = write(&store_with(3, &keys).await, &keys).await;
    let full = store_with(1500, &keys).await;
    full.commit(vec![put("mine", "1", None)]).await.unwrap();
    let before = all(&full).await;
    let error = read(&file, &keys, &full).await;
    assert!(matches!(error, Err(BackupError::NotEmpty)), "{error:?}");
    assert_eq!(all(&full).await, before);
    // A store of another key, even if it is otherwise empty.
    let foreign = store_with(0, &MasterKey::ephemeral().unwrap()).await;
    let error = read(&file, &keys, &foreign).await;
    assert!(matches!(error, Err(BackupError::NotEmpty)), "{error:?}");

    restore(Cursor::new(file), &keys, &full, true, |_| {})
        .await
        .unwrap();
    assert_eq!(all(&full).await.len(), 4, "three records and the check");
}

/// Waits until a restore has written this key to the store.
async fn until_there(store: &dyn Store, key: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while store.get(&[key.to_owned()]).await.unwrap()[0].is_none() {
        assert!(Instant::now() < deadline, "{key} was not written");
        tokio::task::yield_now().await;
    }
}

/// A reader that returns its content up to byte `at`, and then runs a function.
struct Disturbed<F>(Cursor<Vec<u8>>, u64, Option<F>);

impl<F: FnOnce()> Read for Disturbed<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.position() >= self.1
            && let Some(disturb) = self.2.take()
        {
            disturb();
        }
        let length = buffer.len().min(512);
        self.0.read(&mut buffer[..length])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_fails_if_another_process_writes_meanwhile() {
    let keys = MasterKey::ephemeral().unwrap();
    let file = write(&store_with(10, &keys).await, &keys).await;
    let to = Arc::new(MemoryStore::new());
    let writer = to.clone();
    let runtime = tokio::runtime::Handle::current();
    let at = file.len() as u64 - 44;
    let input = Disturbed(
        Cursor::new(file.clone()),
        at,
        Some(move || {
            runtime.block_on(async {
                // After the last check of the previous content.
                until_there(&*writer, "k/00000").await;
                let batch = vec![put("stranger", "", None)];
                writer.commit(batch).await.unwrap();
            });
        }),
    );
    let error = restore(input, &keys, &*to, false, |_| {}).await;
    assert!(matches!(error, Err(BackupError::Disturbed)), "{error:?}");
    assert!(keys.unlock(&*to).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_concurrent_restores_is_aborted() {
    let keys = MasterKey::ephemeral().unwrap();
    let file = write(&store_with(10, &keys).await, &keys).await;
    let to = Arc::new(MemoryStore::new());
    let outcome = Arc::new(Mutex::new(None));
    let runtime = tokio::runtime::Handle::current();
    let second = {
        let (file, keys, to, outcome) = (file.clone(), keys.clone(), to.clone(), outcome.clone());
        move || {
            let done = runtime.block_on(async {
                until_there(&*to, RESTORING).await;
                restore(Cursor::new(file), &keys, &*to, true, |_| {}).await
            });
            *outcome.lock().unwrap() = Some(done.is_ok());
        }
    };
    let at = file.len() as u64 - 44;
    let input = Disturbed(Cursor::new(file), at, Some(second));
    let first = restore(input, &keys, &*to, false, |_| {}).await;
    assert!(matches!(first, Err(BackupError::Overtaken)), "{first:?}");
    assert_eq!(*outcome.lock().unwrap(), Some(true));
    assert!(keys.unlock(&*to).await.is_ok());
}

#[tokio::test]
async fn a_store_cannot_be_opened_during_a_restore() {
    let keys = MasterKey::ephemeral().unwrap();
    let store = store_with(0, &keys).await;
    let done = store.commit(vec![put(RESTORING, "", None)]).await.unwrap();
    assert_eq!(done, Outcome::Committed);
    assert!(keys.unlock(&store).await.is_err());
    let header = Header::of(&store).await;
    assert!(matches!(header, Err(BackupError::Unfinished)));
}

/// A store with an interruption at the worst moment.
struct Interrupted<F> {
    store: MemoryStore,
    /// Called before the mark of a restore is set, or before a snapshot.
    interruption: F,
}

#[async_trait::async_trait]
impl<F: Fn() -> Mutation + Send + Sync + 'static> Store for Interrupted<F> {
    fn kind(&self) -> &'static str {
        self.store.kind()
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<crate::store::Entry>>, StoreError> {
        self.store.get(keys).await
    }

    async fn commit(&self, batch: Vec<Mutation>) -> Result<Outcome, StoreError> {
        let is_mark =
            |mutation: &Mutation| mutation.key == RESTORING && mutation.expect == Expect::Absent;
        if batch.iter().any(is_mark) {
            self.store.commit(vec![(self.interruption)()]).await?;
        }
        self.store.commit(batch).await
    }

    async fn add(&self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, StoreError> {
        self.store.add(key, delta, ttl).await
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<crate::store::Page, StoreError> {
        self.store.scan(prefix, after, limit).await
    }

    async fn purge(&self, limit: u32) -> Result<u32, StoreError> {
        self.store.purge(limit).await
    }

    async fn snapshot(&self) -> Result<Box<dyn crate::store::Snapshot>, StoreError> {
        self.store.commit(vec![(self.interruption)()]).await?;
        self.store.snapshot().await
    }
}

#[tokio::test]
async fn records_written_before_the_restore_mark_are_kept() {
    let keys = MasterKey::ephemeral().unwrap();
    let file = write(&store_with(10, &keys).await, &keys).await;
    let to = Interrupted {
        store: MemoryStore::new(),
        interruption: || put("account/carol", "hers", None),
    };
    keys.unlock(&to).await.unwrap();
    let refused = read(&file, &keys, &to).await;
    assert!(matches!(refused, Err(BackupError::NotEmpty)), "{refused:?}");
    let left = to.store.get(&["account/carol".to_owned()]).await.unwrap();
    assert!(left[0].is_some());
    // It can be opened as before.
    keys.unlock(&to).await.unwrap();
}

#[tokio::test]
async fn a_store_cannot_be_backed_up_during_a_restore() {
    let keys = MasterKey::ephemeral().unwrap();
    let other = MasterKey::ephemeral().unwrap();
    let elsewhere = MemoryStore::new();
    other.unlock(&elsewhere).await.unwrap();
    let check = elsewhere.get(&[KEY_CHECK.to_owned()]).await.unwrap();
    let check = String::from_utf8(check[0].clone().unwrap().value).unwrap();
    for (key, value) in [(RESTORING, "token".to_owned()), (KEY_CHECK, check)] {
        let from = Interrupted {
            store: store_with(10, &keys).await,
            interruption: move || put(key, &value, None),
        };
        let keys = keys.unlock(&from.store).await.unwrap();
        let refused = backup(&from, &keys, Vec::new(), |_| {}).await;
        assert!(
            matches!(
                refused,
                Err(BackupError::Unfinished | BackupError::Overtaken)
            ),
            "{key}"
        );
    }
}
