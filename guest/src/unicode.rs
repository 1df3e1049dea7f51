//! As much of Unicode as user names and passwords need: the PRECIS profiles of RFC 8265,
//! and Normalization Form KC of UAX #15.
//!
//! The tables are small because the build script asks the libraries for no more than is
//! looked at here, and packs it. A text in ASCII needs none of them.

mod bidi;
mod context;
mod decompositions;
mod format;
mod hangul;
mod normalization;
mod numbers;
#[cfg(test)]
mod oracles;
mod profiles;
mod properties;

pub use normalization::nfkc;
pub use profiles::{opaque_string, username_case_mapped};
