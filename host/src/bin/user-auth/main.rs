//! `user-auth`: the authentication service as a program. Everything that serves and judges
//! is in the library or in the component; here are the command line, the configuration,
//! and what is shown at a terminal.

#![forbid(unsafe_code)]

mod bootstrap;
mod catalog;
mod commands;
mod config;
mod delivery;
mod failure;
mod json;
mod nearest;
mod options;
mod output;
mod runtime;

use std::process::ExitCode;

use self::failure::Failure;
use self::output::Screen;

/// Many threads allocate and free megabytes for password hashes: with the system's
/// allocator the heap grew many times over, with this one it does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run().unwrap_or_else(|failure| fail(&failure))
}

fn fail(failure: &Failure) -> ExitCode {
    // Arguments may contain control characters, which must not reach the terminal.
    let text = output::printable_lines(&format!("error: {failure}\n"));
    output::print_error(&Screen::of_errors().wrapped(&text));
    ExitCode::from(failure.code)
}
