//! The options shared by several commands.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Command, ValueEnum, ValueHint};
use user_auth_host::store::{PostgresUrl, PostgresUrlError};

use super::config::Flags;
use super::delivery::DeliveryOptions;
use crate::output::Screen;

/// The component, the store and the key.
#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    state: StateOptions,

    /// A file to which a line of JSON is appended for each operation, or `-` for
    /// standard error; the audit records in the store are always written
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    audit_log: Option<String>,

    #[command(flatten)]
    delivery: DeliveryOptions,

    #[command(flatten)]
    component: ComponentOptions,
}

/// The tools that MCP clients get.
#[derive(Args)]
pub(super) struct McpOptions {
    /// The toolsets that clients get, separated by commas: auth, account, tokens, users,
    /// roles, keys, clients, audit, service, or all [default: auth,account,tokens]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    toolsets: Vec<String>,

    /// Give clients only tools that change nothing
    #[arg(long)]
    read_only: bool,
}

/// The form of a command's output.
#[derive(Args)]
pub(super) struct OutputOptions {
    /// Text and tables, or JSON [default: text on a terminal, JSON when piped]
    #[arg(long, value_name = "FORMAT")]
    output: Option<OutputFormat>,
}

/// A form of output. Its variants have no descriptions, which would make clap print
/// each on a line of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Table,
    Json,
}

/// The source of the configuration.
#[derive(Args)]
pub(super) struct ConfigOptions {
    /// The configuration, in JSON or TOML; the environment overrides it, and options
    /// override both
    #[arg(
        long,
        env = "USER_AUTH_CONFIG",
        hide_env_values = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,

    /// Set any key of the configuration, such as limits.connections=100; may be given
    /// several times. `user-auth config show` lists all keys
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// The store and its key.
#[derive(Args)]
pub(super) struct StateOptions {
    #[command(flatten)]
    config: ConfigOptions,

    /// The store: `sqlite:PATH`, `postgres://USER@HOST/DATABASE`, or `memory`, which
    /// lasts as long as the process [default:
    /// sqlite:~/.local/share/user-auth/user-auth.db]
    #[arg(long, value_name = "STORE")]
    store: Option<String>,

    /// The file with the master key, created at the first start; ignored if
    /// USER_AUTH_MASTER_KEY is set [default: the systemd credential
    /// user-auth-master-key, or else master.key beside the database]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    master_key_file: Option<String>,
}

/// The component to run.
#[derive(Args)]
pub(super) struct ComponentOptions {
    /// The component [default: user-auth.wasm beside this program]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    component: Option<String>,

    /// Compile the component at every start instead of caching the compiled code
    #[arg(long)]
    no_cache: bool,
}

impl Options {
    /// Returns the configuration keys that these options set.
    pub(super) fn flags(&self) -> Flags {
        let mut flags = self.state.flags();
        flags.text("audit-log", self.audit_log.as_deref());
        self.delivery.add_to(&mut flags);
        self.component.add_to(&mut flags);
        flags
    }
}

impl McpOptions {
    pub(super) fn add_to(&self, flags: &mut Flags) {
        flags.list("toolsets", &self.toolsets);
        flags.switch("read-only", self.read_only);
    }
}

impl OutputOptions {
    /// Returns whether the output on this screen is for programs.
    pub(super) fn is_json(&self, screen: Screen) -> bool {
        match self.output {
            Some(format) => format == OutputFormat::Json,
            None => screen.width.is_none(),
        }
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

/// The location of a store.
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

/// Returns the path of `sqlite:PATH`, which is used as it is, or of a URL with an
/// absolute path, `sqlite:///PATH`. Other programs accept more there; such extensions
/// must not become part of a file name.
fn sqlite_path(text: &str) -> Result<PathBuf, String> {
    let path = match text.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(path) => {
            return Err(format!(
                "in `sqlite://{path}` the part after `//` would be the name of a machine: write \
                 `sqlite:{path}`, or with an absolute path `sqlite:///{path}`"
            ));
        }
        None => text,
    };
    let is_url = text.starts_with("//");
    if ["", ":memory:", "/:memory:"].contains(&path) {
        return Err(match path {
            "" => StoreLocation::EXPECTED.to_owned(),
            _ => "write `memory` for a store in memory".to_owned(),
        });
    }
    if path.contains('?') {
        return Err(format!(
            "an SQLite store has no parameters: leave out the part from `?` in `sqlite:{text}`"
        ));
    }
    if path.contains('#') {
        return Err(format!(
            "an SQLite store has no fragment: leave out the part from `#` in `sqlite:{text}`"
        ));
    }
    if is_url && is_percent_encoded(path) {
        return Err(format!(
            "the path in `sqlite:{text}` is used as it is: write the characters themselves in \
             place of `%` and two digits"
        ));
    }
    if path.starts_with("file:") {
        return Err(format!("`{path}` is an SQLite URI: write `sqlite:PATH`"));
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
            // Shown without its password.
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// Treats an empty environment variable as not set: deployment tools set empty
/// variables for missing values.
pub(super) fn without_empty_variables(command: Command) -> Command {
    command
        .mut_args(|argument| {
            let value = argument.get_env().and_then(env::var_os);
            if value.is_some_and(|value| value.is_empty()) {
                argument.env(None::<&'static str>)
            } else {
                argument
            }
        })
        .mut_subcommands(without_empty_variables)
}

/// Returns this program's folder under an XDG base directory: `variable`, or `fallback`
/// in the home directory. Returns `None` if neither is known.
pub(super) fn xdg_folder(variable: &str, fallback: &str) -> Option<PathBuf> {
    // The XDG specification requires relative paths to be ignored.
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
    fn url_extensions_of_other_programs_are_rejected() {
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
