//! What the end-to-end tests have in common: the real binary with the real
//! component, started on a free port with a store of its own, and stopped again.

mod collector;
mod consul;
mod files;
mod handmade;
mod http;
pub mod postgres;
mod server;
mod smtp;
mod source;
mod stdio;
mod totp;
mod webhook;

pub use collector::{Collector, Span};
pub use consul::{Consul, ConsulEvent};
pub use files::{built, command, folder, write_private};
pub use handmade::{handmade, table_bomb};
pub use server::{Answer, Options, Server};
pub use smtp::{Mail, Smtp};
pub use stdio::Stdio;
pub use totp::{shown, step};
pub use webhook::{Delivered, Webhook};

/// Long enough for the password policy.
pub const PASSWORD: &str = "correct horse battery staple";
