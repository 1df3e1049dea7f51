//! `user-auth stdio`.

use std::process::ExitCode;

use clap::Args;
use user_auth_host::Limits;
use user_auth_host::transport::stdio;

use super::Failure;
use super::delivery::Reach;
use super::open::{open, try_out};
use super::options::Options;
use super::serve::shutdown_signal;

#[derive(Args)]
#[command(after_help = "\
MCP clients start this program themselves. For Claude Code:
  claude mcp add user-auth -- user-auth stdio")]
pub(super) struct Stdio {
    #[command(flatten)]
    pub(super) options: Options,
}

impl Stdio {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let shutdown = shutdown_signal()?;
        let (plugin, _) = open(&self.options, Limits::default(), Reach::Operator).await?;
        try_out(&plugin).await?;
        let served = stdio::serve(
            tokio::io::stdin(),
            tokio::io::stdout(),
            plugin.clone(),
            shutdown,
        )
        .await;
        plugin.drain().await;
        served.map_err(|error| Failure::start(format!("the connection broke: {error}")))?;
        Ok(ExitCode::SUCCESS)
    }
}
