//! Attacks, each through the real door: the built component in the real host.

mod accounts;
mod floods;
mod logins;
mod resets;
mod second_factor;
mod sessions;
mod tokens;
