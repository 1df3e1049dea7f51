//! The command `user-auth stdio`.

use std::process::ExitCode;

use clap::Args;
use user_auth_host::transport::stdio;

use super::Failure;
use super::config::{Config, Flags};
use super::delivery::Reach;
use super::open::{open, smoke_test};
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
    pub(super) fn flags(&self) -> Flags {
        self.options.flags()
    }

    pub(super) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
        let shutdown = shutdown_signal()?;
        let limits = config.limits.0.clone();
        let (plugin, _) = open(&config, limits, Reach::Operator).await?;
        smoke_test(&plugin, &config).await?;
        let served = stdio::serve(
            tokio::io::stdin(),
            tokio::io::stdout(),
            plugin.clone(),
            shutdown,
        )
        .await;
        plugin.drain().await;
        served.map_err(|error| Failure::start(format!("the connection failed: {error}")))?;
        Ok(ExitCode::SUCCESS)
    }
}
