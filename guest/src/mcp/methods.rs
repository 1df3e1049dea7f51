//! The methods of MCP, one file for each group of them.
//!
//! The parent folder parses messages and determines their version.

pub mod completion;
pub mod lifecycle;
pub mod prompts;
pub mod resources;
pub mod tools;
