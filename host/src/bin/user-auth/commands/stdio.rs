//! The command `user-auth stdio`.

use std::process::ExitCode;

use clap::Args;
use user_auth_host::stdio;

use super::serve::shutdown_signal;
use crate::bootstrap::{open, smoke_test};
use crate::config::{Config, Flags};
use crate::delivery::Reach;
use crate::failure::Failure;
use crate::options::Options;

#[derive(Args)]
#[command(after_help = "\
MCP clients start this program themselves. For Claude Code:
  claude mcp add user-auth -- user-auth stdio")]
pub(crate) struct Stdio {
    #[command(flatten)]
    pub(crate) options: Options,
}

impl Stdio {
    pub(crate) fn flags(&self) -> Flags {
        self.options.flags()
    }

    pub(crate) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
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
