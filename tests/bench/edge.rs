//! Compares the edge build under `wasmtime serve` with our own server on the same tokens:
//! the server looks each session up in its store, the edge build trusts the token's claims.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::json;
use user_auth_tests::{Options, built};

use crate::load::Load;
use crate::{CONNECTIONS, FOR, print_row, tool};

const MASTER_KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// Verifies a token in both, in turn.
pub fn measure() -> Result<()> {
    let own = Options::new()
        .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
        .start();
    let tokens = own.new_session("bench");
    let verify = tool("verify_token", json!({"token": tokens["access_token"]}));
    let (_wasmtime, wasmtime) = Wasmtime::start()?;
    println!("\nverify_token             connections   a second        p50        p99");
    for connections in CONNECTIONS {
        for (name, url) in [
            ("our server, SQLite", &own.url),
            ("wasmtime serve, edge", &wasmtime),
        ] {
            let load = Load::new(url, connections, vec![verify.clone()]);
            print_row(name, connections, &load.run(FOR)?);
        }
    }
    Ok(())
}

struct Wasmtime(Child);

impl Wasmtime {
    fn start() -> Result<(Wasmtime, String)> {
        let mut serve = Command::new(built("wasmtime"));
        serve.args(["serve", "--addr", "127.0.0.1:0", "-S", "cli"]);
        serve.args(["--env", &format!("USER_AUTH_MASTER_KEY={MASTER_KEY}")]);
        serve.arg(built("user-auth-edge.wasm"));
        let mut child = serve.stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take();
        let running = Wasmtime(child);
        let mut lines = BufReader::new(stderr.context("stderr is piped")?).lines();
        let line = lines.next().context("wasmtime says where it is")??;
        let (_, url) = line.split_once("Serving HTTP on ").context(line.clone())?;
        Ok((running, url.trim_end_matches('/').to_owned()))
    }
}

impl Drop for Wasmtime {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
