//! The master key, and how it unlocks the keys of a store. Neither secret enters the sandbox
//! or a log. What the component does with the keys derived from them is not known here.

pub(crate) mod binding;
pub(crate) mod error;
pub(crate) mod label;
pub(crate) mod master_key;
pub(crate) mod records;
pub(crate) mod secret;
pub(crate) mod store_keys;
mod wrap;
