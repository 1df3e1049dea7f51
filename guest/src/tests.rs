//! Rules that take more than one module to show, natively and against ports in
//! memory. What a client notices is tested end to end, in `tests/`.

mod account;
mod admin;
mod api_keys;
mod audit;
mod mail;
mod protocol;
mod sessions;
mod tokens;
