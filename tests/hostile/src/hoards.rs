//! Deeds that take all the processor time, memory or handles they can get.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

#[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.2.6")]
unsafe extern "C" {
    /// Returns a handle, which is never dropped here.
    #[link_name = "subscribe-duration"]
    fn subscribe_duration(nanoseconds: u64) -> i32;
}

pub fn endless_loop() -> ! {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

pub fn memory() -> ! {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(black_box(vec![1; 1024 * 1024]));
    }
}

pub fn recursion() {
    black_box(deeper(1));
}

#[allow(unconditional_recursion)]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    black_box(deeper(depth + 1)) + frame[63]
}

/// Creates handles, each of which is an object in the host.
pub fn handles() {
    for _ in 0..100_000 {
        // SAFETY: takes and returns numbers.
        black_box(unsafe { subscribe_duration(1) });
    }
}

static REMEMBERED: AtomicU64 = AtomicU64::new(0);

pub fn remember() -> u64 {
    REMEMBERED.fetch_add(1, Ordering::Relaxed)
}

pub fn remembered() -> u64 {
    REMEMBERED.load(Ordering::Relaxed)
}
