//! Two records that must always hold the same number, and traps around the commits that
//! change them.

use crate::user_auth::plugin::store::{self, Entry, Expect, Mutation};

const PAIR: [&str; 2] = ["hostile/left", "hostile/right"];

/// Returns both numbers as JSON.
pub fn show() -> String {
    let [left, right] = read().map(|entry| number(entry.as_ref()));
    format!("{{\"left\":{left},\"right\":{right}}}")
}

/// Sets both to 1.
pub fn begin() {
    let batch = PAIR.map(|key| mutation(key, Expect::Any, 1));
    let _ = store::commit(&batch);
}

/// Increments both, and traps as soon as the store has answered.
pub fn commit_and_trap() -> ! {
    let entries = read();
    let batch: Vec<Mutation> = PAIR
        .into_iter()
        .zip(entries)
        .map(|(key, entry)| {
            let next = number(entry.as_ref()) + 1;
            let expect = entry.map_or(Expect::Absent, |entry| Expect::At(entry.version));
            mutation(key, expect, next)
        })
        .collect();
    let _ = store::commit(&batch);
    std::process::abort()
}

/// Changes the first in a batch that conflicts on the second, and traps.
pub fn conflict_and_trap() -> ! {
    let _ = store::commit(&[
        mutation(PAIR[0], Expect::Any, 1_000),
        mutation(PAIR[1], Expect::Absent, 1_000),
    ]);
    std::process::abort()
}

/// Changes the first in a batch that the host refuses, and traps.
pub fn refused_and_trap() -> ! {
    let _ = store::commit(&[
        mutation(PAIR[0], Expect::Any, 2_000),
        mutation("a key with blanks", Expect::Any, 2_000),
    ]);
    std::process::abort()
}

/// Keys of the host's own records.
const OF_THE_HOST: [&str; 4] = [
    "host/key-check",
    "host/root-key",
    "host/restoring",
    "host/x",
];

/// Returns as JSON what could be done with the records of the host.
pub fn of_the_host() -> String {
    let mut done = Vec::new();
    for key in OF_THE_HOST {
        let delete = Mutation {
            put: None,
            ..mutation(key, Expect::Any, 0)
        };
        let tries = [
            (
                "read",
                store::get(&["hostile/left".to_owned(), key.to_owned()]).is_ok(),
            ),
            ("scanned", store::scan(key, None, 10).is_ok()),
            ("scanned after", store::scan("", Some(key), 10).is_ok()),
            ("counted", store::add(key, 1, None).is_ok()),
            (
                "written",
                store::commit(&[mutation(key, Expect::Any, 1)]).is_ok(),
            ),
            (
                "created",
                store::commit(&[mutation(key, Expect::Absent, 1)]).is_ok(),
            ),
            (
                "deleted",
                key != "host/restoring" && store::commit(&[delete]).is_ok(),
            ),
        ];
        let tries = tries.iter().filter(|(_, went_well)| *went_well);
        done.extend(tries.map(|(what, _)| format!("\"{what} {key}\"")));
    }
    for limit in [1, 2, 1_000] {
        for prefix in ["", "h", "ho", "hos", "host"] {
            let seen = keys_under(prefix, limit);
            let of_the_host = seen.iter().filter(|key| key.starts_with("host/"));
            done.extend(of_the_host.map(|key| format!("\"seen {key}\"")));
        }
    }
    format!("{{\"done\":[{}]}}", done.join(","))
}

/// Returns the keys that pages show under a prefix.
fn keys_under(prefix: &str, limit: u32) -> Vec<String> {
    let mut keys = Vec::new();
    let mut after = None;
    for _ in 0..100 {
        let Ok(page) = store::scan(prefix, after.as_deref(), limit) else {
            break;
        };
        keys.extend(page.entries.into_iter().map(|entry| entry.key));
        keys.extend(page.next.clone());
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    keys
}

fn read() -> [Option<Entry>; 2] {
    let entries = store::get(&PAIR.map(str::to_owned)).unwrap_or_default();
    entries.try_into().unwrap_or([None, None])
}

fn number(entry: Option<&Entry>) -> u64 {
    entry
        .and_then(|entry| std::str::from_utf8(&entry.value).ok())
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn mutation(key: &str, expect: Expect, number: u64) -> Mutation {
    Mutation {
        key: key.to_owned(),
        expect,
        put: Some(number.to_string().into_bytes()),
        ttl_ms: None,
    }
}
