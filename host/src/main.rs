//! `user-auth`: the authentication service as a program.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

/// Many threads allocate and free megabytes for password hashes: with the system's
/// allocator the heap grew many times over, with this one it does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
