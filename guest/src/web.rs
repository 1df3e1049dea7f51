//! The pages on which people sign in and decide what a client may do. They work without
//! scripts, and are one more door onto the operations and the domain.

pub mod agent_sign_in;
pub mod approve;
pub mod apps;
pub mod authorize;
pub mod consent;
pub mod cookies;
pub mod form;
pub mod form_token;
pub mod language;
pub mod mailed_code;
pub mod new_password;
pub mod page;
pub mod reset_password;
pub mod sign_in;
pub mod sign_out;
pub mod sign_up;
pub mod texts;
pub mod verify_email;
pub mod visit;

use crate::domain::delegations::approval;

/// The paths of the pages, below the issuer.
pub const SIGN_IN: &str = "/sign-in";
/// The second step of signing in.
pub const SECOND_FACTOR: &str = "/sign-in/second";
/// Creating an account.
pub const SIGN_UP: &str = "/sign-up";
/// Asking for a code to reset a password.
pub const RESET_PASSWORD: &str = "/reset-password";
/// Setting a new password with that code.
pub const NEW_PASSWORD: &str = "/new-password";
/// Verifying an email address with a code.
pub const VERIFY_EMAIL: &str = "/verify-email";
/// The answer to the consent page.
pub const CONSENT: &str = "/consent";
/// Signing in for an agent.
pub const AGENT_SIGN_IN: &str = "/agent-sign-in";
/// Approving a call of an agent.
pub const APPROVE: &str = approval::PAGE;
/// Connected apps.
pub const APPS: &str = "/apps";
/// Signing out.
pub const SIGN_OUT: &str = "/sign-out";
/// The style sheet of all pages.
pub const STYLE: &str = "/style.css";
