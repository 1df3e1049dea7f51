//! The command `user-auth rotate-master-key`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use user_auth_host::MasterKey;

use crate::bootstrap::{NoKey, location, master_key, require_data, store};
use crate::config::{Config, Flags};
use crate::failure::Failure;
use crate::options::{OutputOptions, StateOptions};
use crate::output::{self, Screen};

const USAGE: &str = "user-auth rotate-master-key [OPTIONS]
       --new-master-key-file <FILE>";

#[derive(Args)]
#[command(override_usage = USAGE, after_help = "\
Tokens, passwords, API keys and second factors stay valid, and running servers need
not be restarted. Processes that start later need the new key: put it in the place of
the old one. The old key no longer opens the store, only backups of its time.

Rotation does not help against an attacker who has both the old key and a copy of the
store, from which all keys can be derived. To invalidate what that copy contains, end
all sessions, and have passwords reset and second factors enrolled again.

Exit codes: 0 done, 2 wrong arguments, 3 not done.")]
pub(crate) struct RotateMasterKey {
    /// The file of the new key, created if it does not exist
    #[arg(long, value_name = "FILE")]
    new_master_key_file: PathBuf,

    #[command(flatten)]
    output: OutputOptions,

    #[command(flatten)]
    state: StateOptions,
}

impl RotateMasterKey {
    pub(crate) fn flags(&self) -> Flags {
        self.state.flags()
    }

    pub(crate) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
        let location = location(&config)?;
        require_data(&location)?;
        let master = master_key(&config, &location, NoKey::Fail)?;
        let store = store(&location).await?;
        // Checked before a file is created that would be of no use.
        master.unlock(&*store).await.map_err(Failure::start)?;
        // The new key is on the disk before the store uses it: whatever happens in
        // between, one of the two opens the store.
        let new = MasterKey::load_or_create(&self.new_master_key_file).map_err(Failure::start)?;
        master.rotate(&new, &*store).await.map_err(Failure::start)?;
        let file = self.new_master_key_file.display();
        let screen = Screen::of_output();
        let text = if self.output.is_json(screen) {
            let file = json!({"master_key_file": self.new_master_key_file});
            output::json_line(&file.to_string())
        } else {
            screen.wrapped(&output::printable_lines(&format!(
                "The master key is now the one in {file}. Put it in the place of the old one, which \
                 no longer opens the store.\n"
            )))
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
