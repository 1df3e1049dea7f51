//! Rules that take more than one module to show, natively and against ports in
//! memory. What a client notices is tested end to end, in `tests/`.

mod account;
mod admin;
mod api_keys;
mod audit;
mod authority;
mod forward_auth;
mod governance;
mod import;
mod known_costs;
mod mail;
mod messages;
mod model;
mod oracle;
mod protocol;
mod refusals;
mod second_factor;
mod sessions;
mod throttle;
mod tokens;
mod trail;
mod vectors;
