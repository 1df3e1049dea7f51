//! The command `user-auth backup`.

mod target;

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use indicatif::{HumanBytes, ProgressBar};
use serde_json::{Map, Value};
use user_auth_host::StoreKeys;
use user_auth_host::backup::{BackupError, Extent, backup};
use user_auth_host::store::Store;

use self::target::Target;
use super::serve::shutdown_signal;
use crate::bootstrap::{NoKey, location, master_key, require_data, store};
use crate::config::{Config, Flags};
use crate::failure::Failure;
use crate::options::StateOptions;
use crate::output::{self, Screen, progress};

/// Exit code after SIGINT or SIGTERM, as in shells.
pub(crate) const STOPPED: u8 = 130;

#[derive(Args)]
#[command(after_help = "\
Servers may keep using the store: the backup is a snapshot taken when it starts, and
includes everything acknowledged before that. It is written to a temporary file beside
FILE, for its owner only, and renamed to FILE when it is complete and on the disk.

The file contains password hashes, names and addresses: keep it as safe as the store.
It does not contain the master key, without which it cannot be restored: keep the key
separately. Keep rotated keys too: a backup needs the key of its time.

The summary is text on a terminal, JSON when piped. Exit codes: 0 done, 2 wrong
arguments, 3 not done, 130 stopped by a signal.")]
pub(crate) struct Backup {
    /// The file; - is standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    state: StateOptions,
}

impl Backup {
    pub(crate) fn flags(&self) -> Flags {
        self.state.flags()
    }

    pub(crate) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
        let is_file = self.file != Path::new("-");
        if is_file {
            target::refuse(&self.file, self.force)?;
        } else if io::stdout().is_terminal() {
            return Err(Failure::usage(
                "a backup cannot be written to a terminal: name a file, or pipe it",
            ));
        }
        let location = location(&config)?;
        require_data(&location)?;
        let master = master_key(&config, &location, NoKey::Fail)?;
        let store = store(&location).await?;
        let keys = master.unlock(&*store).await.map_err(Failure::start)?;

        let began = Instant::now();
        let extent = if is_file {
            self.to_file(&*store, &keys).await?
        } else {
            let written = write(&*store, &keys, io::stdout()).await?;
            written.map(|(_, extent)| extent)
        };
        let Some(extent) = extent else {
            return Ok(ExitCode::from(STOPPED));
        };
        let summary = summary(extent, began);
        if is_file {
            output::print(&summary.for_output())?
        } else {
            // Standard output is used by the backup.
            output::print_error(&summary.for_people(Screen::of_errors()))
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn to_file(
        &self,
        store: &dyn Store,
        keys: &StoreKeys,
    ) -> Result<Option<Extent>, Failure> {
        let (target, file) = Target::create(&self.file)?;
        match write(store, keys, file).await? {
            None => Ok(None),
            Some((file, extent)) => {
                target.finish(&file, self.force)?;
                Ok(Some(extent))
            }
        }
    }
}

/// Writes the backup, or returns `None` if a signal has stopped it.
async fn write<W: Write + Send + 'static>(
    store: &dyn Store,
    keys: &StoreKeys,
    out: W,
) -> Result<Option<(W, Extent)>, Failure> {
    let mut stop = pin!(shutdown_signal()?);
    let bar = progress::bar(None)?;
    let done = tokio::select! {
        biased;
        () = &mut stop => None,
        done = backup(store, keys, out, |extent| show_extent(&bar, extent)) => Some(done),
    };
    bar.finish_and_clear();
    done.transpose().map_err(failed)
}

fn failed(error: BackupError) -> Failure {
    Failure::start(format!("the backup was not made: {error}"))
}

/// Shows the progress.
pub(crate) fn show_extent(bar: &ProgressBar, extent: Extent) {
    bar.set_position(extent.bytes);
    let bytes = HumanBytes(extent.bytes);
    bar.set_message(format!("{} records, {bytes}", extent.records));
}

/// The summary at the end.
pub(crate) struct Summary(Map<String, Value>);

/// Returns the summary of the work since `began`.
pub(crate) fn summary(extent: Extent, began: Instant) -> Summary {
    let milliseconds = began.elapsed().as_millis() as u64;
    let values = [
        ("records", extent.records),
        ("bytes", extent.bytes),
        ("milliseconds", milliseconds),
    ];
    Summary(Map::from_iter(
        values.map(|(name, value)| (name.to_owned(), value.into())),
    ))
}

impl Summary {
    /// Returns the summary for standard output.
    pub(crate) fn for_output(self) -> String {
        if io::stdout().is_terminal() {
            self.for_people(Screen::of_output())
        } else {
            format!("{}\n", Value::Object(self.0))
        }
    }

    fn for_people(&self, screen: Screen) -> String {
        output::lines(&self.0, "", screen.has_colour)
    }
}
