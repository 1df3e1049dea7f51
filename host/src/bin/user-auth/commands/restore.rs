//! The command `user-auth restore`.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use indicatif::ProgressBar;
use tokio::task::spawn_blocking;
use user_auth_host::MasterKey;
use user_auth_host::backup::{BackupError, check, restore};

use super::backup::{STOPPED, show_extent, summary};
use super::serve::shutdown_signal;
use crate::bootstrap::{NoKey, location, master_key, store};
use crate::config::{Config, Flags};
use crate::failure::Failure;
use crate::options::{StateOptions, StoreLocation};
use crate::output::{self, progress};

#[derive(Args)]
#[command(after_help = "\
The store may be of another kind than the one that was backed up, so this is also the
way to migrate between kinds. It has to be empty. It needs the master key that the
original store had when the backup was made.

A file is checked to its end before anything is written. Damaged parts of standard
input are not written either, but missing ones are noticed only at its end. The store
cannot be opened until every record has been written and compared: repeat an
interrupted restore with --replace. Stop servers that use the store.

The summary is text on a terminal, JSON when piped. Exit codes: 0 done, 2 wrong
arguments, 3 not done, 130 stopped by a signal.")]
pub(crate) struct Restore {
    /// The backup; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Delete everything in the store, including the remains of an interrupted restore
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    state: StateOptions,
}

impl Restore {
    pub(crate) fn flags(&self) -> Flags {
        self.state.flags()
    }

    pub(crate) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
        let input = Input::open(&self.file)?;
        let location = location(&config)?;
        if location == StoreLocation::Memory {
            return Err(Failure::usage(
                "a store in memory ends with its process: name another with `--store`",
            ));
        }
        let master = master_key(&config, &location, NoKey::Fail)?;
        let mut stop = pin!(shutdown_signal()?);
        let began = Instant::now();
        let done = async {
            let input = input
                .check(&master)
                .await
                .map_err(|error| self.failed(error))?;
            // Opened only now, so that an unusable backup does not leave an empty
            // database behind.
            let store = store(&location).await?;
            let bar = progress::bar(input.bytes)?;
            let done = restore(input.reader, &master, &*store, self.replace, |extent| {
                show_extent(&bar, extent);
            });
            let done = done.await;
            bar.finish_and_clear();
            done.map_err(|error| self.failed(error))
        };
        let extent = tokio::select! {
            biased;
            () = &mut stop => return Ok(ExitCode::from(STOPPED)),
            done = done => done?,
        };
        output::print(&summary(extent, began).for_output())?;
        Ok(ExitCode::SUCCESS)
    }

    fn failed(&self, error: BackupError) -> Failure {
        let file = self.file.display();
        match error {
            BackupError::NotEmpty | BackupError::Unfinished => Failure::usage(error),
            BackupError::Overtaken | BackupError::Disturbed | BackupError::Store(_) => {
                Failure::start(error)
            }
            _ => Failure::start(format!("the backup {file} cannot be restored: {error}")),
        }
    }
}

/// The backup to restore.
struct Input {
    reader: Box<dyn Read + Send>,
    /// A file that can be read twice.
    file: Option<File>,
    bytes: Option<u64>,
}

impl Input {
    fn open(path: &Path) -> Result<Input, Failure> {
        if path == Path::new("-") {
            return Ok(Input {
                reader: Box::new(io::stdin()),
                file: None,
                bytes: None,
            });
        }
        let unreadable = |error| {
            let path = path.display();
            Failure::usage(format!("the file {path} cannot be read: {error}"))
        };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        let is_file = metadata.is_file();
        let again = file.try_clone().map_err(unreadable)?;
        Ok(Input {
            reader: Box::new(file),
            file: is_file.then_some(again),
            bytes: is_file.then_some(metadata.len()),
        })
    }

    /// Checks a file to its end, and rewinds it.
    async fn check(mut self, master: &MasterKey) -> Result<Input, BackupError> {
        let Some(mut file) = self.file.take() else {
            return Ok(self);
        };
        let master = master.clone();
        let bar = progress::bar(self.bytes).unwrap_or(ProgressBar::hidden());
        spawn_blocking(move || {
            check(&file, &master, |extent| show_extent(&bar, extent))?;
            bar.finish_and_clear();
            file.rewind()?;
            Ok(self)
        })
        .await
        .map_err(io::Error::other)?
    }
}
