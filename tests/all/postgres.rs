//! Several processes on one PostgreSQL database, and what becomes of them when the
//! server goes away.

mod faults;
mod processes;
mod store;
mod tls;

use user_auth_tests::{Options, Server};

/// One for all processes on a database.
pub const MASTER_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// How to start a process on the database at this URL.
pub fn on(url: &str) -> Options {
    Options::new()
        .store(url)
        .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
}

/// Four processes that start on one database at the same moment.
fn four_on(url: &str) -> Vec<Server> {
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| on(url).start())).collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    })
}
