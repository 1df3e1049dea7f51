//! The command `user-auth stdio`.

use std::process::ExitCode;

use clap::Args;
use tracing::warn;
use user_auth_host::stdio;

use super::serve::shutdown_signal;
use crate::bootstrap::{open, smoke_test};
use crate::config::{Config, Flags, Mcp};
use crate::delivery::Reach;
use crate::failure::Failure;
use crate::options::{McpOptions, Options};

#[derive(Args)]
#[command(after_help = "\
The client acts as the operator of this machine, within the toolsets that it gets.

MCP clients start this program themselves. For Claude Code:
  claude mcp add user-auth -- user-auth stdio")]
pub(crate) struct Stdio {
    /// Give the client all toolsets: it may do whatever the operator may
    #[arg(long, conflicts_with = "toolsets")]
    operator: bool,

    #[command(flatten)]
    mcp: McpOptions,

    #[command(flatten)]
    pub(crate) options: Options,
}

impl Stdio {
    pub(crate) fn flags(&self) -> Flags {
        let mut flags = self.options.flags();
        self.mcp.add_to(&mut flags);
        if self.operator {
            flags.list("toolsets", &["all".to_owned()]);
        }
        flags
    }

    pub(crate) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
        let shutdown = shutdown_signal()?;
        let limits = config.limits.0.clone();
        let (plugin, _) = open(&config, limits, Reach::Operator).await?;
        smoke_test(&plugin, &config).await?;
        announce(&config.mcp);
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

/// Reports what the client may do. It is a warning since that is with the rights of the
/// operator.
fn announce(mcp: &Mcp) {
    let (toolsets, read_only) = (mcp.toolsets.join(","), mcp.read_only);
    if mcp.toolsets.iter().any(|name| name == "all") {
        warn!(
            read_only,
            "the client acts as the operator, with all toolsets"
        );
        return;
    }
    warn!(
        toolsets,
        read_only,
        "the client acts as the operator, in these toolsets; --toolsets adds others, and \
         --operator all"
    );
}
