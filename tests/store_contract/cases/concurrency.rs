//! Guarantees among concurrent callers.

use super::*;

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

pub async fn reads_at_the_same_time_return_their_own_records(bed: TestStore) {
    for n in 0..16 {
        bed.commit([put(&format!("key/{n}"), &n.to_string())]).await;
    }
    at_once(16, |reader| {
        let store = bed.store.clone();
        async move {
            let keys = [format!("key/{reader}"), "absent".into(), "key/3".into()];
            for _ in 0..50 {
                let entries = store.get(&keys).await.unwrap();
                let [Some(own), None, Some(shared)] = &entries[..] else {
                    panic!("{entries:?}");
                };
                assert_eq!((number(own), number(shared)), (reader as i64, 3));
            }
        }
    })
    .await;
}

pub async fn a_read_that_is_too_large_fails_alone(bed: TestStore) {
    let largest = "v".repeat(MAX_VALUE_BYTES);
    let keys: Vec<String> = (0..6).map(|n| format!("key/{n}")).collect();
    for key in &keys {
        bed.commit([put(key, &largest)]).await;
    }
    at_once(9, |reader| {
        let (store, keys) = (bed.store.clone(), keys.clone());
        async move {
            if reader == 0 {
                return assert_refused(store.get(&keys).await);
            }
            // Other halves, which are too large together.
            let half = &keys[reader % 2 * 3..][..3];
            let found = store.get(half).await.unwrap();
            let bytes: usize = found.iter().flatten().map(|entry| entry.value.len()).sum();
            assert_eq!(bytes, 3 * MAX_VALUE_BYTES);
        }
    })
    .await;
}
