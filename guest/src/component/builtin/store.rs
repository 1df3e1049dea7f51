//! State inside the component: in the memory of the instance, in a bucket, or not kept
//! at all.

mod keyvalue;
mod memory;

pub use keyvalue::{Bucket, KeyvalueStore, SINGLE_WRITER};
pub use memory::MemoryStore;

use crate::ports::{Entry, Mutation, Outcome, Page, Store, Unavailable};

/// The store of builds that keep no state. Without state, tokens can be verified, and
/// the decision can rest on what they say.
pub struct NoStore;

impl Store for NoStore {
    fn is_there(&self) -> bool {
        false
    }

    fn get(&self, _: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        Err(none())
    }

    fn commit(&self, _: &[Mutation]) -> Result<Outcome, Unavailable> {
        Err(none())
    }

    fn add(&self, _: &str, _: i64, _: Option<u64>) -> Result<i64, Unavailable> {
        Err(none())
    }

    fn scan(&self, _: &str, _: Option<&str>, _: u32) -> Result<Page, Unavailable> {
        Err(none())
    }
}

fn none() -> Unavailable {
    Unavailable::for_good("this build keeps no state")
}
