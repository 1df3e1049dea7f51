//! `wasmtime serve` as a program of this workspace: to install the published one would
//! build wasmtime once more.

use std::process::ExitCode;

use clap::Parser;
use wasmtime_cli::commands::ServeCommand;

/// The part of wasmtime's command line that the tests call.
#[derive(Parser)]
#[command(name = "wasmtime")]
enum Wasmtime {
    /// Serves a component of wasi:http.
    Serve(ServeCommand),
}

fn main() -> ExitCode {
    let Wasmtime::Serve(serve) = Wasmtime::parse();
    match serve.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
