//! Tokens for other services, which those services verify by the published keys alone, with
//! libraries that others have written.

mod attacks;
pub(crate) mod issuer;
mod libraries;
mod rotation;
mod services;
