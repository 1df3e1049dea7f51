//! Several processes on one PostgreSQL database, and their behaviour when the database
//! server goes away.

mod faults;
mod processes;
mod store;
mod tls;

use user_auth_tests::{Options, Server};

/// The master key shared by all processes on a database.
pub const MASTER_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Returns the options of a process on the database at this URL.
pub fn on(url: &str) -> Options {
    Options::new()
        .store(url)
        .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
}

/// Starts four processes on one database at the same moment.
fn four_on(url: &str) -> Vec<Server> {
    four(|| on(url))
}

/// Starts four processes with these options at the same moment.
fn four(options: impl Fn() -> Options + Sync) -> Vec<Server> {
    std::thread::scope(|scope| {
        let start = || options().start();
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    })
}
