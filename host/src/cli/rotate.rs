//! `user-auth rotate-master-key`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use user_auth_host::Keys;

use super::config::{Config, Flags};
use super::open::{NoKey, keys, location, require_data, store};
use super::options::{OutputOptions, StateOptions};
use super::show::Screen;
use super::{Failure, show};

const USAGE: &str = "user-auth rotate-master-key [OPTIONS]
       --new-master-key-file <FILE>";

#[derive(Args)]
#[command(override_usage = USAGE, after_help = "\
Tokens, passwords, API keys and second factors stay valid, and servers that run
need not be started anew. What starts from then on takes the new key: put it where
the old one was. The old key opens the store no more, only backups of its time.

It does not help against somebody who had the old key and a copy of the store: they
have what all keys are derived from. Against what they know from that copy, end all
sessions, and have passwords reset and second factors enrolled anew.

Exit codes: 0 done, 2 wrong arguments, 3 not done.")]
pub(super) struct RotateMasterKey {
    /// The file of the new key, created if it is not there
    #[arg(long, value_name = "FILE")]
    new_master_key_file: PathBuf,

    #[command(flatten)]
    output: OutputOptions,

    #[command(flatten)]
    state: StateOptions,
}

impl RotateMasterKey {
    pub(super) fn flags(&self) -> Flags {
        self.state.flags()
    }

    pub(super) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
        let location = location(&config)?;
        require_data(&location)?;
        let master = keys(&config, &location, NoKey::Fail)?;
        let store = store(&location).await?;
        // Before a file is made that would be of no use.
        let _ = master.claim(&*store).await.map_err(Failure::start)?;
        // The new key is on the disk before the store takes it: whatever happens
        // between, one of the two opens it.
        let new = Keys::load_or_create(&self.new_master_key_file).map_err(Failure::start)?;
        master.rotate(&new, &*store).await.map_err(Failure::start)?;
        let file = self.new_master_key_file.display();
        let screen = Screen::of_output();
        let text = match self.output.is_json(screen) {
            false => screen.wrapped(&show::printable_lines(&format!(
                "The master key is the one in {file} now. Put it where the old one is, which opens \
                 the store no more.\n"
            ))),
            true => {
                let file = json!({"master_key_file": self.new_master_key_file});
                show::json_line(&file.to_string())
            }
        };
        show::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
