//! The properties of each code point.

use std::sync::LazyLock;

use super::numbers::Numbers;
use crate::packed::packed;

/// What one code point is.
#[derive(Clone, Copy, Default)]
pub struct Properties {
    flags: u32,
    /// Canonical_Combining_Class.
    pub combining_class: u8,
}

impl Properties {
    /// Of this code point.
    pub fn of(c: char) -> Properties {
        let after = RUNS.partition_point(|(from, _)| *from <= u32::from(c));
        let run = after.checked_sub(1).and_then(|index| RUNS.get(index));
        run.map_or(Properties::default(), |(_, properties)| *properties)
    }

    /// Whether any of these is so (constants of `format`).
    pub fn any(self, flags: u32) -> bool {
        self.flags & flags != 0
    }
}

/// Whether any of these is so of a code point.
pub fn is(c: char, flags: u32) -> bool {
    Properties::of(c).any(flags)
}

/// Where each run of code points alike begins.
static RUNS: LazyLock<Vec<(u32, Properties)>> = LazyLock::new(|| {
    let table = packed!("unicode-properties");
    let mut numbers = Numbers::new(table.bytes());
    let kinds: Vec<Properties> = (0..numbers.next_count())
        .map(|_| Properties {
            flags: numbers.next(),
            combining_class: numbers.next() as u8,
        })
        .collect();
    let mut next = 0;
    let mut runs: Vec<_> = (0..numbers.next_count())
        .map(|_| {
            let from = next;
            next += numbers.next();
            (from, Properties::default())
        })
        .collect();
    for (_, properties) in &mut runs {
        let kind = kinds.get(numbers.next() as usize);
        *properties = kind.copied().unwrap_or_default();
    }
    runs
});
