//! Measures Argon2id alone, as the reference for the rate of logins.

use std::thread;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

/// Returns the hashes per second on this many threads, with the component's default
/// parameters. Each thread keeps its memory.
pub fn rate(threads: usize, duration: Duration) -> f64 {
    let started = Instant::now();
    let hashes: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| hash_until(started + duration)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(0))
            .sum()
    });
    hashes as f64 / started.elapsed().as_secs_f64()
}

fn hash_until(deadline: Instant) -> usize {
    let params = Params::new(19 * 1024, 2, 1, Some(32)).expect("valid parameters");
    let mut memory = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hashes = 0;
    while Instant::now() < deadline {
        let mut output = [0; 32];
        argon2
            .hash_password_into_with_memory(
                b"password",
                b"0123456789abcdef",
                &mut output,
                &mut memory,
            )
            .expect("a hash");
        std::hint::black_box(output);
        hashes += 1;
    }
    hashes
}
