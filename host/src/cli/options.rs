//! The options that several commands have.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Command};

use super::Failure;
use super::config::{Audit, Config};
use super::delivery::DeliveryOptions;

/// Which component runs, on which store, under which key.
#[derive(Args)]
pub(super) struct Options {
    /// The configuration, in JSON or (`.toml`) TOML; what is given here or in the
    /// environment wins over it
    #[arg(long, env = "USER_AUTH_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Where state lives: `sqlite:PATH`, or `memory` for as long as the process
    /// runs [default: sqlite:~/.local/share/user-auth/user-auth.db]
    #[arg(long, env = "USER_AUTH_STORE", value_name = "STORE")]
    pub(super) store: Option<StoreLocation>,

    /// The file that holds the master key, created at the first start; unused
    /// when USER_AUTH_MASTER_KEY is set [default: master.key beside the database]
    #[arg(long, env = "USER_AUTH_MASTER_KEY_FILE", value_name = "FILE")]
    pub(super) master_key_file: Option<PathBuf>,

    /// A file that a line of JSON is appended to for each operation, or `-` for
    /// standard error; the audit records in the store are there in any case
    #[arg(long, env = "USER_AUTH_AUDIT_FILE", value_name = "FILE")]
    pub(super) audit_log: Option<PathBuf>,

    #[command(flatten)]
    pub(super) delivery: DeliveryOptions,

    #[command(flatten)]
    pub(super) component: ComponentOptions,
}

impl Options {
    /// The audit log, as told here or else in the configuration.
    pub(super) fn audit(&self) -> Result<Audit, Failure> {
        match &self.audit_log {
            Some(file) => Ok(Audit {
                file: Some(file.clone()),
            }),
            None => Ok(Config::load(self.config.as_deref())?.audit),
        }
    }
}

/// Which component runs.
#[derive(Args)]
pub(super) struct ComponentOptions {
    /// The component [default: user-auth.wasm beside this program]
    #[arg(long, env = "USER_AUTH_COMPONENT", value_name = "FILE")]
    pub(super) component: Option<PathBuf>,

    /// Compile the component at every start instead of keeping it compiled
    #[arg(
        long,
        env = "USER_AUTH_NO_CACHE",
        action = ArgAction::SetTrue,
        value_parser = BoolishValueParser::new()
    )]
    pub(super) no_cache: bool,
}

/// Where state lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreLocation {
    /// In this process.
    Memory,
    /// In this SQLite database.
    Sqlite(PathBuf),
}

impl FromStr for StoreLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            Some(("sqlite", path)) if !path.is_empty() && path != ":memory:" => {
                Ok(Self::Sqlite(path.into()))
            }
            Some(("sqlite", ":memory:")) => Err("for a store in memory write `memory`".into()),
            _ => Err("write `sqlite:PATH` or `memory`".into()),
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory, gone when this process ends"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

/// Takes an environment variable that is empty for one that is not set, as
/// deployment tools set it that have no value for it.
pub(super) fn without_empty_variables(command: Command) -> Command {
    command
        .mut_args(|argument| {
            let value = argument.get_env().and_then(env::var_os);
            match value.is_some_and(|value| value.is_empty()) {
                true => argument.env(None::<&'static str>),
                false => argument,
            }
        })
        .mut_subcommands(without_empty_variables)
}

/// The folder of this program under an XDG base directory: `variable`, or
/// `fallback` in the home directory. `None`: neither is known.
pub(super) fn xdg_folder(variable: &str, fallback: &str) -> Option<PathBuf> {
    // The XDG specification has relative paths ignored.
    let named = env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let base = match named {
        Some(base) => base,
        None => env::home_dir()
            .filter(|home| home.is_absolute())?
            .join(fallback),
    };
    Some(base.join("user-auth"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_named_by_its_kind() {
        assert_eq!("memory".parse(), Ok(StoreLocation::Memory));
        assert_eq!(
            "sqlite:/a:b.db".parse(),
            Ok(StoreLocation::Sqlite("/a:b.db".into()))
        );
        for wrong in [
            "",
            "sqlite",
            "sqlite:",
            "sqlite::memory:",
            "redis:x",
            "/a.db",
        ] {
            assert!(wrong.parse::<StoreLocation>().is_err(), "{wrong}");
        }
    }
}
