//! The master key, and how it unlocks the keys of a store. Neither secret enters the sandbox
//! or a log. The host computes codes for the component under keys derived from them, and does
//! not know what the codes are for.

pub(crate) mod binding;
pub(crate) mod error;
pub(crate) mod label;
pub(crate) mod master_key;
pub(crate) mod records;
pub(crate) mod secret;
pub(crate) mod store_keys;
mod wrap;
