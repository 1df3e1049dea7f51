//! The rules of `wit/store.wit` that are the same whatever keeps the records:
//! which calls are refused, where a scan begins and ends, how a counter counts. For
//! those who write a [`Store`](super::Store) of their own.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::{
    Entry, MAX_ANSWER_BYTES, MAX_BATCH, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_KEYS, MAX_PAGE,
    MAX_VALUE_BYTES, Mutation, Page, Record, SNAPSHOT_PAGE_BYTES, StoreError,
};

/// Up to this many names are compared with each other, which is faster than to hash
/// them.
const FEW_KEYS: usize = 8;

/// Accepts keys of the form that the contract names: 1 to [`MAX_KEY_BYTES`] bytes of
/// printable ASCII without blanks. All others are [`StoreError::Refused`].
pub fn key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() {
        return Err(StoreError::Refused("a key is empty".into()));
    }
    characters(key, "key")
}

/// Accepts up to [`MAX_KEYS`] well-formed keys. All else is [`StoreError::Refused`].
pub fn keys(keys: &[String]) -> Result<(), StoreError> {
    at_most("a call names {} records", keys.len(), MAX_KEYS)?;
    keys.iter().try_for_each(|name| key(name))
}

/// Accepts batches of bounded size, whose keys and values are well-formed and whose keys
/// differ. All others are [`StoreError::Refused`].
pub fn batch(batch: &[Mutation]) -> Result<(), StoreError> {
    batch_size(batch)?;
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

/// Accepts batches of up to [`MAX_BATCH`] mutations with up to [`MAX_BATCH_BYTES`], which
/// [`batch`] does as well. All others are [`StoreError::Refused`].
pub fn batch_size(batch: &[Mutation]) -> Result<(), StoreError> {
    at_most("a batch has {} mutations", batch.len(), MAX_BATCH)?;
    let bytes = batch.iter().map(Mutation::bytes).sum();
    at_most("a batch has {} bytes", bytes, MAX_BATCH_BYTES)
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

/// The answer to a `get`. Reads each record once, however often it is named, and ends
/// with the first error, or with [`StoreError::Refused`] as soon as the answer would
/// have more than [`MAX_ANSWER_BYTES`].
pub fn get(
    keys: &[String],
    mut read: impl FnMut(&str) -> Result<Option<Entry>, StoreError>,
) -> Result<Vec<Option<Entry>>, StoreError> {
    get_within(MAX_ANSWER_BYTES, keys, |key, _| read(key))
}

/// The same within `room` bytes. `read` is told how many of them are left, and need
/// not read a record that has more.
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
                // Before the copy is made.
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

/// An answer would have more bytes than it may.
pub(super) struct TooLarge;

impl From<TooLarge> for StoreError {
    fn from(_: TooLarge) -> Self {
        Self::Refused(format!(
            "an answer would have more than {MAX_ANSWER_BYTES} bytes: name fewer records"
        ))
    }
}

/// Where each key stands for the first time, if that is not here. Empty where no key is
/// repeated.
fn earlier_places(keys: &[String]) -> Vec<Option<usize>> {
    if keys.len() <= FEW_KEYS {
        let earlier = |place: usize| keys[..place].iter().position(|key| *key == keys[place]);
        let is_repeated = (1..keys.len()).any(|place| earlier(place).is_some());
        return match is_repeated {
            true => (0..keys.len()).map(earlier).collect(),
            false => Vec::new(),
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

/// The page that these entries begin: up to `limit` of them, and no more than
/// [`MAX_ANSWER_BYTES`]. Takes no more of them than belong to it and one, and ends with
/// the first error.
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
        // Without room only for the first, if a store holds larger values than it
        // may: each page has to go on.
        room = left.unwrap_or_default();
        page.push(entry);
    }
    Ok(Page {
        entries: page,
        next: None,
    })
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

/// `what` has `{}` for the number.
fn at_most(what: &str, number: usize, limit: usize) -> Result<(), StoreError> {
    if number <= limit {
        return Ok(());
    }
    let what = what.replace("{}", &number.to_string());
    Err(StoreError::Refused(format!("{what}, of at most {limit}")))
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
