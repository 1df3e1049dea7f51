//! The limits on keys, values, batches and answers.

use super::*;

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
