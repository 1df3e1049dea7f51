//! Time and randomness, which every host of components provides.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::ports::{Clock, Random, Unavailable};
use crate::types::time::Timestamp;

/// The clock and the random source of WASI.
pub struct Wasi;

impl Clock for Wasi {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 makes every token expired or not yet good: fail closed.
        let ms = since.map_or(0, |since| since.as_millis());
        Timestamp::from_ms(u64::try_from(ms).unwrap_or(0))
    }

    fn monotonic_us(&self) -> u64 {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        let elapsed = BEGAN.get_or_init(Instant::now).elapsed();
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Random for Wasi {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable> {
        getrandom::fill(buffer).map_err(|error| Unavailable {
            reason: format!("no random bytes: {error}"),
            retry_after_ms: Some(1000),
        })
    }
}
