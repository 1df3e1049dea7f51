//! The shared harness of the end-to-end tests: starts the real binary with the real
//! component on a free port with a store of its own, and stops it again.

use std::time::Duration;

mod clock;
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
mod terminal;
mod totp;
mod webhook;

pub use clock::Clock;
pub use collector::{Collector, Span};
pub use consul::{Consul, ConsulEvent};
pub use files::{built, command, folder, write_private};
pub use handmade::{component_fixture, table_bomb};
pub use server::{Answer, Options, Server};
pub use smtp::{Mail, Smtp};
pub use stdio::Stdio;
pub use terminal::Terminal;
pub use totp::{step, totp_code};
pub use webhook::{Delivered, Webhook};

/// How long a program may take to start. The first of many that start at the same time
/// compile the component, each for itself.
const START: Duration = Duration::from_secs(300);

/// Long enough for the password policy.
pub const PASSWORD: &str = "correct horse battery staple";
