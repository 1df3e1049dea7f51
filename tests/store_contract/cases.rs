//! The cases of the contract, which take a new store each. A case that no line of `contract!`
//! names is dead code, which is an error.

#![deny(dead_code)]

mod concurrency;
mod counters;
mod expiry;
mod limits;
mod records;
mod scans;
mod snapshots;

pub use concurrency::*;
pub use counters::*;
pub use expiry::*;
pub use limits::*;
pub use records::*;
pub use scans::*;
pub use snapshots::*;

use super::*;

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
