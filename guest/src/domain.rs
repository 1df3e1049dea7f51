//! The rules of authentication. Nothing here knows of MCP, WIT or a database.

pub mod access_token;
pub mod account;
pub mod actor;
pub mod api_key;
pub mod audit;
pub mod audit_check;
pub mod code;
pub mod context;
pub mod email;
pub mod id;
pub mod mac;
pub mod message;
pub mod moment;
pub mod password;
pub mod permission;
pub mod records;
pub mod refresh_token;
pub mod role;
pub mod secret;
pub mod session;
pub mod throttle;
pub mod time;
pub mod username;
