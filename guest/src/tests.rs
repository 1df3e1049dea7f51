//! Rules that span several modules, tested natively with ports in memory. Behaviour that
//! clients see is tested end to end, in `tests/`.

mod account;
mod admin;
mod api_keys;
mod audit;
mod authority;
mod clients;
mod forward_auth;
mod governance;
mod import;
mod known_costs;
mod mail;
mod messages;
mod model;
mod next_steps;
mod oauth;
mod oracle;
mod protocol;
mod published_tokens;
mod refresh;
mod refusals;
mod resources;
mod second_factor;
mod sessions;
mod throttle;
mod tokens;
mod toolsets;
mod trail;
mod vectors;
