//! Rate limits of callers.
//!
//! A key has rates of its own only once the component has found it valid: one for calls,
//! and one for verifying the credentials of others. Until then its requests count for the
//! source that they come from, so inventing keys gains nothing.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};
use sha2::{Digest as _, Sha256};

use crate::http::policy::{Rate, Rates};
use crate::source::Source;

/// Hash of an API key. A reader of this process's memory learns no key from it.
pub(crate) type KeyHash = [u8; 32];

const MINUTE: Duration = Duration::from_secs(60);
/// Number of rates that callers beyond the capacity share.
const SHARED: u64 = 1_024;
/// Minimum time between two searches for sources that no longer count.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Governor<K> = RateLimiter<K, BoundedStateStore<K>, DefaultClock>;

/// The rates of all callers.
pub(crate) struct Limiter {
    sources: Governor<Source>,
    /// The rates of calls with a key.
    keys: Governor<KeyHash>,
    /// The rates of verifications with a key.
    verifying: Governor<KeyHash>,
    /// Keys that were valid when they were last seen.
    known: Mutex<HashSet<KeyHash>>,
    capacity: usize,
    clock: DefaultClock,
    /// When sources that no longer count were last searched for.
    looked: Mutex<Option<Instant>>,
}

impl Limiter {
    /// Distinguishes up to `capacity` sources, and as many keys.
    pub(crate) fn new(rates: Rates, capacity: usize) -> Self {
        Self {
            sources: limits(rates.calls, capacity),
            keys: limits(rates.calls, capacity),
            verifying: limits(rates.verifications, capacity),
            known: Mutex::default(),
            capacity,
            clock: DefaultClock::default(),
            looked: Mutex::default(),
        }
    }

    /// Counts a request. `Err` is the number of seconds that its caller has to wait.
    pub(crate) fn check(&self, key: Option<&KeyHash>, source: IpAddr) -> Result<(), u64> {
        self.count(&self.keys, key, source)
    }

    /// Counts a request that verifies a credential. Only a known key has a separate rate
    /// for these: other callers gain nothing by naming another tool.
    pub(crate) fn check_verification(
        &self,
        key: Option<&KeyHash>,
        source: IpAddr,
    ) -> Result<(), u64> {
        self.count(&self.verifying, key, source)
    }

    /// Returns whether this key was valid when it was last seen.
    pub(crate) fn knows(&self, key: &KeyHash) -> bool {
        lock(&self.known).contains(key)
    }

    fn count(
        &self,
        of_keys: &Governor<KeyHash>,
        key: Option<&KeyHash>,
        source: IpAddr,
    ) -> Result<(), u64> {
        let checked = match key.filter(|key| self.knows(key)) {
            Some(key) => of_keys.check_key(key),
            None => {
                self.make_room();
                self.sources.check_key(&source.into())
            }
        };
        checked.map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            // Rounded up: a caller that comes back a moment too early is refused again.
            (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
        })
    }

    /// Records that the component has found this key valid.
    pub(crate) fn mark_valid(&self, key: KeyHash) {
        let mut known = lock(&self.known);
        if known.len() >= self.capacity
            && !known.contains(&key)
            && let Some(other) = known.iter().next().copied()
        {
            known.remove(&other);
        }
        known.insert(key);
    }

    /// Records that the component has refused this key.
    pub(crate) fn mark_invalid(&self, key: &KeyHash) {
        lock(&self.known).remove(key);
    }

    /// At capacity, forgets the sources that no longer count: those of a minute ago would
    /// keep all newcomers out.
    fn make_room(&self) {
        if self.sources.len() < self.capacity {
            return;
        }
        let mut looked = lock(&self.looked);
        if looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            *looked = Some(Instant::now());
            self.sources.retain_recent();
        }
    }

    /// Forgets callers that have not called for so long that none of their requests still
    /// counts. It has to be called at intervals.
    pub(crate) fn evict_stale(&self) {
        self.sources.retain_recent();
        self.keys.retain_recent();
        self.verifying.retain_recent();
    }
}

fn limits<K: Group>(rate: Rate, capacity: usize) -> Governor<K> {
    let quota = Quota::per_minute(rate.requests_per_minute).allow_burst(rate.burst_size);
    RateLimiter::new(
        quota,
        BoundedStateStore::new(capacity),
        DefaultClock::default(),
    )
}

/// Interval at which [`Limiter::evict_stale`] is called.
pub(crate) const EVICTION_INTERVAL: Duration = MINUTE;

/// Returns the hash by which a key is remembered.
pub(crate) fn hash(key: &[u8]) -> KeyHash {
    Sha256::digest(key).into()
}

/// Callers of one group share a rate when all places are taken.
trait Group: Hash + Eq + Clone {
    fn group(&self) -> u64;
}

impl Group for Source {
    /// One network may have as many sources as there are places, so these share with each
    /// other.
    fn group(&self) -> u64 {
        match self {
            Self::Local => 0,
            Self::V4(address) => (*address).into(),
            Self::V6(subnet) => subnet >> 16,
        }
    }
}

impl Group for KeyHash {
    fn group(&self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|index| self[index]))
    }
}

/// State of a bounded number of callers. Callers beyond the capacity share a place
/// with others: memory does not grow, and every caller is counted.
struct BoundedStateStore<K> {
    capacity: usize,
    hasher: RandomState,
    callers: Mutex<Callers<K>>,
}

struct Callers<K> {
    own: HashMap<K, Nanos>,
    shared: HashMap<u64, Nanos>,
}

impl<K> BoundedStateStore<K> {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            hasher: RandomState::new(),
            callers: Mutex::new(Callers {
                own: HashMap::new(),
                shared: HashMap::new(),
            }),
        }
    }
}

impl<K: Group> StateStore for BoundedStateStore<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Callers { own, shared } = &mut *lock(&self.callers);
        if own.len() >= self.capacity && !own.contains_key(key) {
            let place = self.hasher.hash_one(key.group()) % SHARED;
            let (outcome, state) = judge(shared.get(&place).copied())?;
            shared.insert(place, state);
            return Ok(outcome);
        }
        let (outcome, state) = judge(own.get(key).copied())?;
        own.insert(key.clone(), state);
        Ok(outcome)
    }
}

impl<K: Group> ShrinkableKeyedStateStore<K> for BoundedStateStore<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut callers = lock(&self.callers);
        callers.own.retain(|_, state| *state > drop_below);
        callers.own.shrink_to_fit();
        callers.shared.retain(|_, state| *state > drop_below);
    }

    fn len(&self) -> usize {
        let callers = lock(&self.callers);
        callers.own.len() + callers.shared.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn burst(size: u32) -> Rate {
        Rate {
            requests_per_minute: NonZeroU32::MIN,
            burst_size: NonZeroU32::new(size).unwrap(),
        }
    }

    fn limiter(size: u32, capacity: usize) -> Limiter {
        Limiter::new(rates(burst(size)), capacity)
    }

    /// The same for everything.
    fn rates(rate: Rate) -> Rates {
        Rates {
            calls: rate,
            verifications: rate,
        }
    }

    fn from(limiter: &Limiter, address: &str) -> Result<(), u64> {
        limiter.check(None, address.parse().unwrap())
    }

    #[test]
    fn a_burst_is_let_through_and_what_follows_waits() {
        let limiter = limiter(3, 10);
        for _ in 0..3 {
            assert_eq!(from(&limiter, "192.0.2.1"), Ok(()));
        }
        let wait = from(&limiter, "192.0.2.1").unwrap_err();
        assert!((30..=60).contains(&wait), "{wait}");
        assert_eq!(from(&limiter, "192.0.2.2"), Ok(()));
    }

    #[test]
    fn the_spellings_of_one_source_are_one() {
        let limiter = limiter(1, 10);
        for (first, second) in [
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"),
        ] {
            assert_eq!(from(&limiter, first), Ok(()));
            assert!(from(&limiter, second).is_err(), "{second}");
        }
        assert_eq!(from(&limiter, "2001:db8:0:2::1"), Ok(()));
    }

    #[test]
    fn a_key_counts_for_itself_once_it_is_known() {
        let limiter = limiter(1, 10);
        let source = "192.0.2.1".parse().unwrap();
        let key = hash(b"good");
        assert_eq!(limiter.check(Some(&key), source), Ok(()));
        for made_up in 0..100_u8 {
            let key = hash(&[made_up]);
            assert!(limiter.check(Some(&key), source).is_err());
        }
        limiter.mark_valid(key);
        assert_eq!(limiter.check(Some(&key), source), Ok(()));
        assert!(limiter.check(Some(&key), source).is_err());
        limiter.mark_invalid(&key);
        let elsewhere = "192.0.2.2".parse().unwrap();
        assert_eq!(limiter.check(Some(&key), elsewhere), Ok(()));
        assert!(from(&limiter, "192.0.2.2").is_err(), "it counted for that");
    }

    #[test]
    fn a_known_key_verifies_at_a_rate_that_its_calls_do_not_use_up_nor_use() {
        let rates = Rates {
            calls: burst(1),
            verifications: burst(3),
        };
        let limiter = Limiter::new(rates, 10);
        let source = "192.0.2.1".parse().unwrap();
        for (name, verifies_first) in [(b"one", true), (b"two", false)] {
            let key = hash(name);
            limiter.mark_valid(key);
            for verifies in [verifies_first, !verifies_first] {
                let (burst, check): (_, fn(&_, _, _) -> _) = if verifies {
                    (3, Limiter::check_verification)
                } else {
                    (1, Limiter::check)
                };
                for _ in 0..burst {
                    assert_eq!(check(&limiter, Some(&key), source), Ok(()));
                }
                let wait = check(&limiter, Some(&key), source).unwrap_err();
                assert!((30..=60).contains(&wait), "{wait}");
            }
        }
        assert_eq!(
            limiter.check(None, source),
            Ok(()),
            "it is not the source's"
        );
    }

    #[test]
    fn a_caller_without_a_known_key_has_one_rate_for_everything() {
        let rates = Rates {
            calls: burst(2),
            verifications: burst(100),
        };
        let limiter = Limiter::new(rates, 10);
        let source = "192.0.2.1".parse().unwrap();
        let key = hash(b"once good");
        limiter.mark_valid(key);
        assert_eq!(limiter.check_verification(Some(&key), source), Ok(()));
        limiter.mark_invalid(&key);
        assert_eq!(limiter.check_verification(None, source), Ok(()));
        assert_eq!(limiter.check_verification(Some(&key), source), Ok(()));
        for key in [None, Some(&key), Some(&hash(b"made up"))] {
            assert!(limiter.check_verification(key, source).is_err());
            assert!(limiter.check(key, source).is_err());
        }
    }

    #[test]
    fn many_sources_and_keys_fill_no_memory_and_get_nothing_uncounted() {
        let limiter = limiter(1, 100);
        assert_eq!(from(&limiter, "192.0.2.1"), Ok(()));
        let mut let_through = 0;
        for number in 0..50_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            let_through += u64::from(limiter.check(None, address).is_ok());
            limiter.mark_valid(hash(&number.to_be_bytes()));
        }
        assert!(let_through <= 100 + SHARED, "{let_through}");
        assert!(limiter.sources.len() <= 100 + SHARED as usize);
        assert_eq!(lock(&limiter.known).len(), 100);
        // The first source keeps its own rate.
        assert!(from(&limiter, "192.0.2.1").is_err());
    }

    #[test]
    fn the_sources_of_one_network_do_not_keep_others_out() {
        let limiter = limiter(1, 100);
        for subnet in 0..50_000_u64 {
            let address = (0x2001_0db8_0001_0000 + subnet) as u128;
            let _ = limiter.check(None, IpAddr::from((address << 64).to_be_bytes()));
        }
        let newcomers = (0..20_u8).map(|number| IpAddr::from([192, 0, 2, number]));
        let let_through = newcomers.filter(|address| limiter.check(None, *address).is_ok());
        // Two of them may happen to share a place.
        assert!(let_through.count() >= 15);
    }

    #[test]
    fn a_source_that_no_longer_counts_makes_room_for_a_new_one() {
        let rate = Rate {
            requests_per_minute: NonZeroU32::MAX,
            burst_size: NonZeroU32::MIN,
        };
        let limiter = Limiter::new(rates(rate), 1);
        from(&limiter, "192.0.2.1").unwrap();
        // A fraction of a microsecond later it no longer counts.
        let called = Instant::now();
        while called.elapsed() < Duration::from_micros(10) {
            std::hint::spin_loop();
        }
        from(&limiter, "192.0.2.2").unwrap();
        assert_eq!(limiter.sources.len(), 1, "the second has its place");
    }

    #[test]
    fn callers_that_have_not_called_for_long_are_forgotten() {
        let rate = Rate {
            requests_per_minute: NonZeroU32::MAX,
            burst_size: NonZeroU32::MIN,
        };
        let limiter = Limiter::new(rates(rate), 10);
        from(&limiter, "192.0.2.1").unwrap();
        let (key, elsewhere) = (hash(b"good"), "192.0.2.3".parse().unwrap());
        limiter.mark_valid(key);
        limiter.check(Some(&key), elsewhere).unwrap();
        limiter.check_verification(Some(&key), elsewhere).unwrap();
        // A fraction of a microsecond later it could call again.
        while from(&limiter, "192.0.2.2").is_err() {}
        std::hint::spin_loop();
        let keys = [&limiter.keys, &limiter.verifying];
        while !limiter.sources.is_empty() || keys.iter().any(|keys| !keys.is_empty()) {
            limiter.evict_stale();
        }
    }
}
