//! The exports of `wit/` in front of the operations and of MCP, or of `wasi:http` in
//! front of both.
//!
//! No rule belongs here: an export translates between the types of its interface and those
//! of the component.

#[cfg(not(feature = "edge"))]
mod auth;
#[cfg(not(feature = "edge"))]
mod forward_auth;
#[cfg(feature = "edge")]
mod http;
#[cfg(not(feature = "edge"))]
mod maintenance;
#[cfg(not(feature = "edge"))]
mod mcp;
