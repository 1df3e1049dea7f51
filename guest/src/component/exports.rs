//! The exports of `wit/` in front of the operations and of MCP, or of `wasi:http` in
//! front of both.
//!
//! No rule belongs here: an export translates between the types of its interface and those
//! of the component.

#[cfg(not(feature = "export-http"))]
mod auth;
#[cfg(feature = "export-http")]
mod edge;
#[cfg(not(feature = "export-http"))]
mod http;
#[cfg(not(feature = "export-http"))]
mod maintenance;
#[cfg(not(feature = "export-http"))]
mod mcp;
