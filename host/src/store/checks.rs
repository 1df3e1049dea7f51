//! The rules of `wit/store.wit` that are the same for every store: which calls are
//! refused, where a scan begins and ends, and how a counter counts. Helpers for
//! implementations of [`Store`](super::Store).

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::{
    Entry, MAX_ANSWER_BYTES, MAX_BATCH, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_KEYS, MAX_PAGE,
    MAX_VALUE_BYTES, Mutation, Page, Record, SNAPSHOT_PAGE_BYTES, StoreError,
};

/// Up to this many keys are compared pairwise, which is faster than hashing them.
const FEW_KEYS: usize = 8;

/// Accepts a key as the contract defines it: 1 to [`MAX_KEY_BYTES`] bytes of printable
/// ASCII without spaces. Rejects any other with [`StoreError::Refused`].
pub fn key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() {
        return Err(StoreError::Refused("a key is empty".into()));
    }
    characters(key, "key")
}

/// Accepts up to [`MAX_KEYS`] well-formed keys. Rejects others with
/// [`StoreError::Refused`].
pub fn keys(keys: &[String]) -> Result<(), StoreError> {
    at_most("a call names {} records", keys.len(), MAX_KEYS)?;
    keys.iter().try_for_each(|name| key(name))
}

/// Accepts a batch of bounded size with distinct well-formed keys and bounded values.
/// Rejects others with [`StoreError::Refused`].
pub fn batch(batch: &[Mutation]) -> Result<(), StoreError> {
    batch_size(batch)?;
    let mut seen = HashSet::with_capacity(batch.len());
    for mutation in batch {
        key(&mutation.key)?;
        if !seen.insert(mutation.key.as_str()) {
            return Err(StoreError::Refused(format!(
                "the key {:?} occurs twice in a batch",
                mutation.key
            )));
        }
        let bytes = mutation.put.as_ref().map_or(0, Vec::len);
        if bytes > MAX_VALUE_BYTES {
            return Err(StoreError::Refused(format!(
                "the value of {:?} has {bytes} bytes; at most {MAX_VALUE_BYTES} are allowed",
                mutation.key
            )));
        }
    }
    Ok(())
}

/// Accepts a batch of up to [`MAX_BATCH`] mutations and [`MAX_BATCH_BYTES`]; [`batch`]
/// checks this too. Rejects others with [`StoreError::Refused`].
pub fn batch_size(batch: &[Mutation]) -> Result<(), StoreError> {
    at_most("a batch has {} mutations", batch.len(), MAX_BATCH)?;
    let bytes = batch.iter().map(Mutation::bytes).sum();
    at_most("a batch has {} bytes", bytes, MAX_BATCH_BYTES)
}

/// Returns the range of keys that a scan covers, with an exclusive end. Returns
/// [`StoreError::Refused`] if no key can begin with `prefix` or be `after`.
///
/// Both bounds rely on the alphabet of keys, `!` to `~`: a space sorts before every
/// character of a key, and DEL after it. So `after` plus a space is the first position
/// behind `after`, and `prefix` plus DEL the first position behind all keys that begin
/// with `prefix`, including the empty prefix.
pub fn range(prefix: &str, after: Option<&str>) -> Result<Range<String>, StoreError> {
    characters(prefix, "prefix")?;
    let end = format!("{prefix}\x7f");
    let Some(after) = after else {
        return Ok(prefix.to_owned()..end);
    };
    key(after)?;
    // Clamped to the end, since `BTreeMap::range` panics on an inverted range.
    let start = format!("{after} ").max(prefix.to_owned()).min(end.clone());
    Ok(start..end)
}

/// Returns the length of a page for which the caller asks for `limit` entries: 1 to
/// [`MAX_PAGE`].
pub fn page_len(limit: u32) -> u32 {
    limit.clamp(1, MAX_PAGE)
}

/// Builds the response to a `get`. Reads each record once, however often it is named,
/// and stops at the first error, or with [`StoreError::Refused`] once the response
/// would exceed [`MAX_ANSWER_BYTES`].
pub fn get(
    keys: &[String],
    mut read: impl FnMut(&str) -> Result<Option<Entry>, StoreError>,
) -> Result<Vec<Option<Entry>>, StoreError> {
    get_within(MAX_ANSWER_BYTES, keys, |key, _| read(key))
}

/// Does the same as [`get`] within `room` bytes. `read` gets the number of bytes left,
/// and need not read a larger record.
pub(super) fn get_within<E: From<TooLarge>>(
    mut room: usize,
    keys: &[String],
    mut read: impl FnMut(&str, usize) -> Result<Option<Entry>, E>,
) -> Result<Vec<Option<Entry>>, E> {
    let mut entries: Vec<Option<Entry>> = Vec::with_capacity(keys.len());
    let earlier = earlier_places(keys);
    for (place, key) in keys.iter().enumerate() {
        let repeated = earlier.get(place).copied().flatten();
        let entry = match repeated {
            None => read(key, room)?,
            Some(place) => {
                let bytes = entries[place].as_ref().map_or(0, Entry::bytes);
                // Checked before the copy is made.
                room.checked_sub(bytes).ok_or(TooLarge)?;
                entries[place].clone()
            }
        };
        let bytes = entry.as_ref().map_or(0, Entry::bytes);
        room = room.checked_sub(bytes).ok_or(TooLarge)?;
        entries.push(entry);
    }
    Ok(entries)
}

/// Error for a response that would exceed its size limit.
pub(super) struct TooLarge;

impl From<TooLarge> for StoreError {
    fn from(_: TooLarge) -> Self {
        Self::Refused(format!(
            "a response would have more than {MAX_ANSWER_BYTES} bytes: name fewer records"
        ))
    }
}

/// Returns for each key the position of its first occurrence, if that is an earlier
/// one. The result is empty if no key is repeated.
fn earlier_places(keys: &[String]) -> Vec<Option<usize>> {
    if keys.len() <= FEW_KEYS {
        let earlier = |place: usize| keys[..place].iter().position(|key| *key == keys[place]);
        let is_repeated = (1..keys.len()).any(|place| earlier(place).is_some());
        return if is_repeated {
            (0..keys.len()).map(earlier).collect()
        } else {
            Vec::new()
        };
    }
    let mut first = HashMap::with_capacity(keys.len());
    let places = keys.iter().enumerate();
    places
        .map(|(place, key)| {
            let found = *first.entry(key.as_str()).or_insert(place);
            (found < place).then_some(found)
        })
        .collect()
}

/// Builds a page from these entries: up to `limit` of them and [`MAX_ANSWER_BYTES`].
/// Consumes at most one entry beyond the page, and stops at the first error.
pub fn page<E>(entries: impl IntoIterator<Item = Result<Entry, E>>, limit: u32) -> Result<Page, E> {
    let len = page_len(limit) as usize;
    let mut room = MAX_ANSWER_BYTES;
    let mut page: Vec<Entry> = Vec::new();
    for entry in entries {
        let entry = entry?;
        let left = room.checked_sub(entry.bytes());
        if let Some(last) = page.last()
            && (page.len() == len || left.is_none())
        {
            let next = Some(last.key.clone());
            return Ok(Page {
                entries: page,
                next,
            });
        }
        // Only the first entry can exceed the room, if a store holds values over the
        // limit: each page has to make progress.
        room = left.unwrap_or_default();
        page.push(entry);
    }
    Ok(Page {
        entries: page,
        next: None,
    })
}

/// Collects the next page of a [`Snapshot`](super::Snapshot) from `records`. Consumes
/// no entry beyond the page, and stops at the first error.
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

/// Returns the value of the counter under `key` after adding `delta` to its current
/// `value`, if any. Returns [`StoreError::Refused`] if the record is not a number or
/// the sum does not fit into 64 bits.
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
    StoreError::Refused(format!("the record {key:?} is not a counter"))
}

pub(super) fn out_of_range(key: &str) -> StoreError {
    StoreError::Refused(format!("the counter {key:?} would exceed the range of s64"))
}

/// Rejects numbers over `limit`; `{}` in `what` stands for the number.
fn at_most(what: &str, number: usize, limit: usize) -> Result<(), StoreError> {
    if number <= limit {
        return Ok(());
    }
    let what = what.replace("{}", &number.to_string());
    Err(StoreError::Refused(format!(
        "{what}; at most {limit} are allowed"
    )))
}

fn characters(text: &str, what: &str) -> Result<(), StoreError> {
    if text.len() > MAX_KEY_BYTES {
        return Err(StoreError::Refused(format!(
            "a {what} has {} bytes; at most {MAX_KEY_BYTES} are allowed",
            text.len()
        )));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(StoreError::Refused(format!(
            "the {what} {text:?} may contain only printable ASCII without spaces"
        )));
    }
    Ok(())
}
