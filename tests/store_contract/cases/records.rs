//! Reading, writing and deleting records, and what a batch expects.

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
