//! Counters.

use super::*;

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
