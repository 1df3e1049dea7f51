//! Names in audit records of events that no operation stands for: decisions on pages, steps
//! of the authorization server, and what ends by itself.

/// A user decides on a call of an agent.
pub const APPROVE_CALL: &str = "approve_call";
/// A user decides on what a client may do.
pub const AUTHORIZE_CLIENT: &str = "authorize_client";
/// A client deletes its registration (RFC 7592 section 2.3).
pub const DELETE_REGISTRATION: &str = "delete_registration";
/// A client exchanges a code.
pub const EXCHANGE_CODE: &str = "exchange_code";
/// The metadata document of a client is new or has changed.
pub const FETCH_CLIENT_DOCUMENT: &str = "fetch_client_document";
/// A client exchanges a refresh token.
pub const REFRESH_DELEGATION: &str = "refresh_delegation";
/// A client registers itself.
pub const REGISTER_CLIENT: &str = "register_client";
/// A session has expired.
pub const SESSION_EXPIRY: &str = "session_expiry";
/// A user decides on a sign-in for an agent.
pub const SIGN_IN_FOR_AGENT: &str = "sign_in_for_agent";
/// A client changes its registration (RFC 7592 section 2.2).
pub const UPDATE_REGISTRATION: &str = "update_registration";
/// A browser uses its cookie.
pub const USE_COOKIE: &str = "use_cookie";

/// All of them.
pub const ALL: [&str; 11] = [
    APPROVE_CALL,
    AUTHORIZE_CLIENT,
    DELETE_REGISTRATION,
    EXCHANGE_CODE,
    FETCH_CLIENT_DOCUMENT,
    REFRESH_DELEGATION,
    REGISTER_CLIENT,
    SESSION_EXPIRY,
    SIGN_IN_FOR_AGENT,
    UPDATE_REGISTRATION,
    USE_COOKIE,
];
