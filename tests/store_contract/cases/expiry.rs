//! Records that expire, and their removal.

use super::*;

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
