//! How many documents are fetched: at the same time and within a minute, in all and from one
//! origin. So nobody can make this service flood another one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{FetchError, RETRY};
use crate::limits::Limits;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts fetches.
pub(super) struct Quota {
    counts: Arc<Mutex<Counts>>,
    at_once: usize,
    at_once_per_origin: usize,
    per_minute: usize,
    per_minute_and_origin: usize,
}

/// Both lists are as short as the limits.
#[derive(Default)]
struct Counts {
    running: Vec<String>,
    /// The fetches that began within the last minute.
    begun: VecDeque<(Instant, String)>,
}

/// The place of a fetch until it is dropped.
pub(super) struct Place {
    counts: Arc<Mutex<Counts>>,
    origin: String,
}

impl Quota {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            counts: Arc::default(),
            at_once: limits.documents_at_once,
            at_once_per_origin: limits.documents_at_once_per_origin,
            per_minute: limits.documents_per_minute,
            per_minute_and_origin: limits.documents_per_minute_and_origin,
        }
    }

    /// Counts a fetch from this origin.
    pub(super) fn begin(&self, origin: &str) -> Result<Place, FetchError> {
        self.begin_at(origin, Instant::now())
    }

    fn begin_at(&self, origin: &str, now: Instant) -> Result<Place, FetchError> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((began, _)) = counts.begun.front()
            && now.duration_since(*began) >= MINUTE
        {
            counts.begun.pop_front();
        }
        let of_origin = |count: usize, known: &String| count + usize::from(known == origin);
        let running = counts.running.iter().fold(0, of_origin);
        let begun = counts.begun.iter().map(|(_, known)| known);
        let begun = begun.fold(0, of_origin);
        let is_full = counts.running.len() >= self.at_once
            || counts.begun.len() >= self.per_minute
            || running >= self.at_once_per_origin
            || begun >= self.per_minute_and_origin;
        if is_full {
            return Err(FetchError::Unavailable {
                reason: "too many documents are fetched".to_owned(),
                retry_after: Some(RETRY),
            });
        }
        counts.running.push(origin.to_owned());
        counts.begun.push_back((now, origin.to_owned()));
        Ok(Place {
            counts: Arc::clone(&self.counts),
            origin: origin.to_owned(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = counts.running.iter().position(|it| *it == self.origin) {
            counts.running.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota() -> Quota {
        Quota::new(&Limits {
            documents_at_once: 3,
            documents_at_once_per_origin: 2,
            documents_per_minute: 6,
            documents_per_minute_and_origin: 4,
            ..Limits::default()
        })
    }

    #[test]
    fn few_are_fetched_at_the_same_time_and_fewer_from_one_origin() {
        let quota = quota();
        let now = Instant::now();
        let first = quota.begin_at("a", now).unwrap();
        let _second = quota.begin_at("a", now).unwrap();
        assert!(quota.begin_at("a", now).is_err());
        let _third = quota.begin_at("b", now).unwrap();
        assert!(quota.begin_at("c", now).is_err());
        drop(first);
        assert!(quota.begin_at("a", now).is_ok());
    }

    #[test]
    fn each_minute_has_a_number_of_fetches() {
        let quota = quota();
        let now = Instant::now();
        for _ in 0..4 {
            assert!(quota.begin_at("a", now).is_ok());
        }
        assert!(quota.begin_at("a", now).is_err());
        for origin in ["b", "c"] {
            assert!(quota.begin_at(origin, now).is_ok());
        }
        assert!(quota.begin_at("d", now).is_err());
        assert!(quota.begin_at("a", now + MINUTE).is_ok());
    }
}
