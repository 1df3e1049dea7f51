//! The methods of MCP, one file for each group of them.
//!
//! How a message is read, and which version it is of, belongs to the folder above.

pub mod completion;
pub mod lifecycle;
pub mod prompts;
pub mod resources;
pub mod tools;
