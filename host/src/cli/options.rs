//! The options that several commands have.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Command};
use user_auth_host::store::{PostgresUrl, PostgresUrlError};

use super::config::Flags;
use super::delivery::DeliveryOptions;

/// Which component runs, on which store, under which key.
#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    state: StateOptions,

    /// A file that a line of JSON is appended to for each operation, or `-` for
    /// standard error; the audit records in the store are there in any case
    #[arg(long, value_name = "FILE")]
    audit_log: Option<String>,

    #[command(flatten)]
    delivery: DeliveryOptions,

    #[command(flatten)]
    component: ComponentOptions,
}

/// What is configured, and where.
#[derive(Args)]
pub(super) struct ConfigOptions {
    /// The configuration, in JSON or TOML; the environment wins over it, and the
    /// options over both
    #[arg(long, env = "USER_AUTH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Set any key of the configuration, such as limits.connections=100; may be
    /// given several times. `user-auth config show` lists all keys
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Where state lives, and under which key.
#[derive(Args)]
pub(super) struct StateOptions {
    #[command(flatten)]
    config: ConfigOptions,

    /// Where state lives: `sqlite:PATH`, `postgres://USER@HOST/DATABASE`, or `memory`
    /// for as long as the process runs [default: sqlite:~/.local/share/user-auth/user-auth.db]
    #[arg(long, value_name = "STORE")]
    store: Option<String>,

    /// The file that holds the master key, created at the first start; unused
    /// when USER_AUTH_MASTER_KEY is set [default: the systemd credential
    /// user-auth-master-key, or else master.key beside the database]
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<String>,
}

/// Which component runs.
#[derive(Args)]
pub(super) struct ComponentOptions {
    /// The component [default: user-auth.wasm beside this program]
    #[arg(long, value_name = "FILE")]
    component: Option<String>,

    /// Compile the component at every start instead of keeping it compiled
    #[arg(long)]
    no_cache: bool,
}

impl Options {
    /// What they set of the configuration.
    pub(super) fn flags(&self) -> Flags {
        let mut flags = self.state.flags();
        flags.text("audit-log", self.audit_log.as_deref());
        self.delivery.add_to(&mut flags);
        self.component.add_to(&mut flags);
        flags
    }
}

impl StateOptions {
    pub(super) fn flags(&self) -> Flags {
        let mut flags = self.config.flags();
        flags.text("store", self.store.as_deref());
        flags.text("master-key-file", self.master_key_file.as_deref());
        flags
    }
}

impl ConfigOptions {
    pub(super) fn flags(&self) -> Flags {
        let mut flags = Flags::of_file(self.config.clone());
        flags.set(&self.set);
        flags
    }
}

impl ComponentOptions {
    pub(super) fn add_to(&self, flags: &mut Flags) {
        flags.text("component", self.component.as_deref());
        flags.switch("no-cache", self.no_cache);
    }
}

/// Where state lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreLocation {
    /// In this process.
    Memory,
    /// In this SQLite database.
    Sqlite(PathBuf),
    /// In this PostgreSQL database.
    Postgres(Box<PostgresUrl>),
}

impl FromStr for StoreLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            Some(("sqlite", path)) => sqlite_path(path).map(Self::Sqlite),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => text
                .parse()
                .map(|url| Self::Postgres(Box::new(url)))
                .map_err(|error: PostgresUrlError| error.to_string()),
            _ => Err(Self::EXPECTED.to_owned()),
        }
    }
}

impl StoreLocation {
    const EXPECTED: &str = "write `sqlite:PATH`, `postgres://USER@HOST/DATABASE` or `memory`";
}

/// The path of `sqlite:PATH`, which is taken as it is, or of a URL with an absolute one,
/// `sqlite:///PATH`. Other programs take more in such a place; what is meant by that is
/// not to become part of the name of a file.
fn sqlite_path(text: &str) -> Result<PathBuf, String> {
    let path = match text.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(path) => {
            return Err(format!(
                "in `sqlite://{path}` what follows `//` would be the name of a machine: write \
                 `sqlite:{path}`, or with an absolute path `sqlite:///{path}`"
            ));
        }
        None => text,
    };
    let is_url = text.starts_with("//");
    if ["", ":memory:", "/:memory:"].contains(&path) {
        return Err(match path {
            "" => StoreLocation::EXPECTED.to_owned(),
            _ => "for a store in memory write `memory`".to_owned(),
        });
    }
    if path.contains('?') {
        return Err(format!(
            "a store in SQLite takes no parameters: leave out what begins with `?` in `sqlite:{text}`"
        ));
    }
    if path.contains('#') {
        return Err(format!(
            "a store in SQLite takes no fragment: leave out what begins with `#` in `sqlite:{text}`"
        ));
    }
    if is_url && is_percent_encoded(path) {
        return Err(format!(
            "the path in `sqlite:{text}` is taken as it is: write the characters themselves in the \
             place of `%` and two digits"
        ));
    }
    if path.starts_with("file:") {
        return Err(format!(
            "`{path}` is a URI of SQLite's own: write `sqlite:PATH`"
        ));
    }
    if path == "~" || path.starts_with("~/") {
        return Err(format!(
            "`~` is not replaced by the home directory in `sqlite:{text}`: write the path in full"
        ));
    }
    Ok(path.into())
}

fn is_percent_encoded(path: &str) -> bool {
    path.as_bytes()
        .windows(3)
        .any(|part| part[0] == b'%' && part[1..].iter().all(u8::is_ascii_hexdigit))
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory, gone when this process ends"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            // Without its password.
            Self::Postgres(url) => url.fmt(f),
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
        for (text, path) in [
            ("sqlite:///x/ua.db", "/x/ua.db"),
            ("sqlite:x/ua.db", "x/ua.db"),
            ("sqlite:./%41.db", "./%41.db"),
            ("sqlite:///100%.db", "/100%.db"),
        ] {
            assert_eq!(
                text.parse(),
                Ok(StoreLocation::Sqlite(path.into())),
                "{text}"
            );
        }
        for scheme in ["postgres", "postgresql"] {
            let location: StoreLocation = format!("{scheme}://me:secret@db.example/x")
                .parse()
                .unwrap();
            assert_eq!(location.to_string(), "postgres://me:***@db.example:5432/x");
        }
        for wrong in [
            "",
            "sqlite",
            "sqlite:",
            "sqlite::memory:",
            "redis:x",
            "/a.db",
            "postgres:x",
            "postgres://",
            "mysql://db.example/x",
        ] {
            assert!(wrong.parse::<StoreLocation>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_other_programs_take_in_a_url_becomes_no_part_of_a_name() {
        for (text, says) in [
            ("sqlite:///x/ua.db?mode=rwc", "no parameters"),
            ("sqlite:ua.db?mode=rwc", "no parameters"),
            ("sqlite:ua.db?", "no parameters"),
            ("sqlite:///x/ua.db#main", "no fragment"),
            ("sqlite:///a%20b/ua.db", "as it is"),
            ("sqlite://ua.db", "sqlite:ua.db"),
            ("sqlite://localhost/x/ua.db", "name of a machine"),
            ("sqlite://", "name of a machine"),
            ("sqlite:///:memory:", "write `memory`"),
            ("sqlite://:memory:", "name of a machine"),
            ("sqlite:file:ua.db", "URI"),
            ("sqlite:~/ua.db", "home directory"),
            ("file:ua.db", "sqlite:PATH"),
            ("file:///x/ua.db", "sqlite:PATH"),
            ("SQLITE:ua.db", "sqlite:PATH"),
        ] {
            let told = text.parse::<StoreLocation>().unwrap_err();
            assert!(told.contains(says), "{text}: {told}");
        }
    }
}
