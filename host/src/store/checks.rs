//! The rules of `wit/store.wit` that are the same whatever keeps the records:
//! which calls are refused, where a scan begins and ends, how a counter counts. For
//! those who write a [`Store`](super::Store) of their own.

use std::collections::HashSet;
use std::ops::Range;

use super::{
    Entry, MAX_KEY_BYTES, MAX_PAGE, MAX_VALUE_BYTES, Mutation, Page, Record, SNAPSHOT_PAGE_BYTES,
    StoreError,
};

/// Accepts keys of the form that the contract names: 1 to [`MAX_KEY_BYTES`] bytes of
/// printable ASCII without blanks. All others are [`StoreError::Refused`].
pub fn key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() {
        return Err(StoreError::Refused("a key is empty".into()));
    }
    characters(key, "key")
}

/// Accepts batches whose keys and values are well-formed and whose keys differ. All
/// others are [`StoreError::Refused`].
pub fn batch(batch: &[Mutation]) -> Result<(), StoreError> {
    let mut seen = HashSet::with_capacity(batch.len());
    for mutation in batch {
        key(&mutation.key)?;
        if !seen.insert(mutation.key.as_str()) {
            return Err(StoreError::Refused(format!(
                "the key {:?} stands twice in a batch",
                mutation.key
            )));
        }
        let bytes = mutation.put.as_ref().map_or(0, Vec::len);
        if bytes > MAX_VALUE_BYTES {
            return Err(StoreError::Refused(format!(
                "the value of {:?} has {bytes} bytes, of at most {MAX_VALUE_BYTES}",
                mutation.key
            )));
        }
    }
    Ok(())
}

/// The keys that a scan covers, from the first to before the last.
/// [`StoreError::Refused`] if `prefix` or `after` cannot be of a key.
///
/// Both bounds lean on the alphabet of keys, `!` to `~`: a blank sorts before
/// all that may follow in a key, DEL after it. So `after` and a blank is the
/// first place behind `after`, and `prefix` and DEL is the first place behind
/// all that begins with `prefix`, the empty prefix included.
pub fn range(prefix: &str, after: Option<&str>) -> Result<Range<String>, StoreError> {
    characters(prefix, "prefix")?;
    let end = format!("{prefix}\x7f");
    let Some(after) = after else {
        return Ok(prefix.to_owned()..end);
    };
    key(after)?;
    // Not past the end: `BTreeMap::range` panics on a range that runs backwards.
    let start = format!("{after} ").max(prefix.to_owned()).min(end.clone());
    Ok(start..end)
}

/// How many entries a page may have when the caller asks for `limit`: 1 to
/// [`MAX_PAGE`].
pub fn page_len(limit: u32) -> u32 {
    limit.clamp(1, MAX_PAGE)
}

/// Makes a page of at most `len` entries of those that were read: one more than
/// that where there is another page.
pub fn page(mut entries: Vec<Entry>, len: u32) -> Page {
    let len = len as usize;
    let more = entries.len() > len;
    entries.truncate(len);
    let next = more.then(|| entries.last().map(|entry| entry.key.clone()));
    Page {
        next: next.flatten(),
        entries,
    }
}

/// The first page of a [`Snapshot`](super::Snapshot) that these are the next records
/// of. Takes no more of them than belong to it, and ends with the first error.
pub fn snapshot_page<E>(
    records: impl Iterator<Item = Result<Record, E>>,
) -> Result<Vec<Record>, E> {
    let mut page = Vec::new();
    let mut bytes = 0;
    for record in records.take(MAX_PAGE as usize) {
        let record = record?;
        bytes += record.key.len() + record.value.len();
        page.push(record);
        if bytes >= SNAPSHOT_PAGE_BYTES {
            break;
        }
    }
    Ok(page)
}

/// What the counter under `key` shows after `delta`; `value` is what it shows
/// now, if it is there. [`StoreError::Refused`] if that is no number, or the sum is
/// none that 64 bits hold.
pub fn sum(key: &str, value: Option<&[u8]>, delta: i64) -> Result<i64, StoreError> {
    let Some(value) = value else {
        return Ok(delta);
    };
    let count: i64 = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| no_counter(key))?;
    count.checked_add(delta).ok_or_else(|| out_of_range(key))
}

pub(super) fn no_counter(key: &str) -> StoreError {
    StoreError::Refused(format!("the record {key:?} is no counter"))
}

pub(super) fn out_of_range(key: &str) -> StoreError {
    StoreError::Refused(format!("the counter {key:?} would leave the range of s64"))
}

fn characters(text: &str, what: &str) -> Result<(), StoreError> {
    if text.len() > MAX_KEY_BYTES {
        return Err(StoreError::Refused(format!(
            "a {what} has {} bytes, of at most {MAX_KEY_BYTES}",
            text.len()
        )));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(StoreError::Refused(format!(
            "the {what} {text:?} has other characters than printable ASCII without blanks"
        )));
    }
    Ok(())
}
