//! The pages on which people sign in and decide what a client may do. They work without
//! scripts, and are one more door onto the operations and the domain.

pub mod apps;
pub mod authorize;
pub mod consent;
pub mod cookies;
pub mod form_token;
pub mod language;
pub mod page;
pub mod sign_in;
pub mod sign_out;
pub mod texts;
pub mod visit;

/// The paths of the pages, below the issuer.
pub const SIGN_IN: &str = "/sign-in";
/// The second step of signing in.
pub const SECOND_FACTOR: &str = "/sign-in/second";
/// The answer to the consent page.
pub const CONSENT: &str = "/consent";
/// Connected apps.
pub const APPS: &str = "/apps";
/// Signing out.
pub const SIGN_OUT: &str = "/sign-out";
/// The style sheet of all pages.
pub const STYLE: &str = "/style.css";
