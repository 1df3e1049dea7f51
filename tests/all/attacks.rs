//! Attacks, each through the real door: the built component in the real host.

mod logins;
mod sessions;
mod tokens;
