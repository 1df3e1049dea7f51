//! Credentials: passwords and the requirements on them, second factors, recovery codes,
//! codes that are sent by email, and API keys.
//!
//! The tokens of a session belong to [`sessions`](super::sessions).

pub mod api_key;
pub mod blocklist;
pub mod email_code;
pub mod foreign_hash;
pub mod hash_costs;
pub mod otpauth;
pub mod password;
pub mod recovery_code;
pub mod second_factor;
pub mod totp;
