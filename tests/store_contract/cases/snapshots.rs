//! Snapshots.

use super::*;

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
