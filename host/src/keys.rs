//! The master key, and how a store is bound to it. The secret never enters the sandbox, the
//! store or a log. What the component does with the keys derived from it is not known here.

pub(crate) mod binding;
pub(crate) mod error;
pub(crate) mod label;
pub(crate) mod master_key;
pub(crate) mod records;
mod wrap;
