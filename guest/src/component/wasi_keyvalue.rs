//! Keeps state in `wasi:keyvalue@0.2.0-draft`.

use std::cell::OnceCell;
use std::env;

use super::builtin::{Bucket, KeyvalueStore, SINGLE_WRITER};
use super::standalone_log::log_unavailable;
use super::wasi::Wasi;
use crate::ports::{Clock, Entry, Mutation, Outcome, Page, Store, Unavailable};

use bindings::wasi::keyvalue::store;

#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package user-auth:keyvalue;

            world state {
                import wasi:keyvalue/store@0.2.0-draft;
            }

            package wasi:keyvalue@0.2.0-draft {
                interface store {
                    variant error {
                        no-such-store,
                        access-denied,
                        other(string),
                    }

                    record key-response {
                        keys: list<string>,
                        cursor: option<u64>,
                    }

                    open: func(identifier: string) -> result<bucket, error>;

                    resource bucket {
                        get: func(key: string) -> result<option<list<u8>>, error>;
                        set: func(key: string, value: list<u8>) -> result<_, error>;
                        delete: func(key: string) -> result<_, error>;
                        exists: func(key: string) -> result<bool, error>;
                        list-keys: func(cursor: option<u64>) -> result<key-response, error>;
                    }
                }
            }
        ",
        generate_all,
    });
}

/// The setting that names the bucket; the default is `default`.
const BUCKET: &str = "USER_AUTH_KEYVALUE_BUCKET";

thread_local! {
    // Opened once, because some hosts return an empty bucket each time it is opened.
    static OPENED: OnceCell<store::Bucket> = const { OnceCell::new() };
}

/// The store in the bucket.
pub struct Keyvalue;

impl Bucket for &store::Bucket {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        store::Bucket::get(self, key).map_err(unavailable)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), Unavailable> {
        store::Bucket::set(self, key, value).map_err(unavailable)
    }

    fn delete(&self, key: &str) -> Result<(), Unavailable> {
        store::Bucket::delete(self, key).map_err(unavailable)
    }

    fn keys(&self) -> Result<Vec<String>, Unavailable> {
        let mut keys = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.list_keys(cursor).map_err(unavailable)?;
            keys.extend(page.keys);
            match page.cursor {
                Some(next) if cursor != Some(next) => cursor = Some(next),
                _ => return Ok(keys),
            }
        }
    }
}

impl Store for Keyvalue {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        with(|store| store.get(keys))
    }

    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        with(|store| store.commit(batch))
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
        with(|store| store.add(key, delta, ttl_ms))
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        with(|store| store.scan(prefix, after, limit))
    }
}

fn with<T>(
    run: impl FnOnce(KeyvalueStore<&store::Bucket>) -> Result<T, Unavailable>,
) -> Result<T, Unavailable> {
    let result = OPENED.with(|opened| {
        let bucket = match opened.get() {
            Some(bucket) => bucket,
            None => {
                let bucket = open()?;
                opened.get_or_init(|| bucket)
            }
        };
        run(KeyvalueStore {
            bucket,
            is_single_writer: env::var(SINGLE_WRITER).is_ok_and(|value| value == "true"),
            now: Wasi.now(),
            random: &Wasi,
        })
    });
    result.inspect_err(log_unavailable)
}

fn open() -> Result<store::Bucket, Unavailable> {
    let name = env::var(BUCKET).unwrap_or_else(|_| "default".to_owned());
    store::open(&name).map_err(unavailable)
}

fn unavailable(error: store::Error) -> Unavailable {
    Unavailable {
        reason: format!(
            "wasi:keyvalue: {error:?}; set {BUCKET} to the name of a bucket that the host provides"
        ),
        retry_after_ms: Some(1000),
    }
}
