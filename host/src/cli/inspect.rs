//! `user-auth inspect`.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use user_auth_host::settings::SETTINGS;
use user_auth_host::{Inspection, Interface, Kind, Limits, Metadata};

use super::Failure;
use super::config::{Config, Flags};
use super::open::component;
use super::options::{ComponentOptions, ConfigOptions};
use super::show::{json_line, print, printable};

#[derive(Args)]
#[command(after_help = "\
Examples:
  user-auth inspect
  user-auth inspect other.wasm | jq .imports")]
pub(super) struct Inspect {
    /// A component or a core module, whether or not this host could run it [default:
    /// the one of --component]
    file: Option<PathBuf>,

    #[command(flatten)]
    config: ConfigOptions,

    #[command(flatten)]
    component: ComponentOptions,
}

impl Inspect {
    pub(super) fn flags(&self) -> Flags {
        let mut flags = self.config.flags();
        self.component.add_to(&mut flags);
        flags
    }

    pub(super) fn run(self, mut config: Config) -> Result<ExitCode, Failure> {
        if self.file.is_some() {
            config.component.file = self.file;
        }
        let inspection = component(&config.component)?
            .inspect()
            .map_err(Failure::start)?;
        let limits = config.limits.0;
        let text = match io::stdout().is_terminal() {
            true => for_people(&inspection, &limits),
            false => for_programs(&inspection, &limits),
        };
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn for_people(inspection: &Inspection, limits: &Limits) -> String {
    let kind = match inspection.kind {
        Kind::Component => "component",
        Kind::Module => "core module",
    };
    let mut text = row("kind", kind);
    text += &row("size", &format!("{} bytes", inspection.size));
    text += &row("sha256", &inspection.sha256);
    text += &described(&inspection.metadata);
    text += &listed("imports", &inspection.imports, "not offered by this host");
    text += &listed("exports", &inspection.exports, "not used by this host");
    text += "\nlimits\n";
    for limit in limits.table() {
        let (name, value) = (limit.name, limit.value);
        text += &format!("  {name:<28} {value:>8}  {}\n", limit.description);
    }
    text += "\nsettings (environment variables)\n";
    for setting in SETTINGS {
        text += &format!("  {:<36} {}\n", setting.name, setting.description);
    }
    text
}

/// Whoever made the file chose these words, and they reach a terminal.
fn row(name: &str, value: &str) -> String {
    format!("{:<13} {}\n", printable(name), printable(value))
}

fn described(metadata: &Metadata) -> String {
    let texts = metadata.texts.iter();
    let mut rows: String = texts.map(|(name, text)| row(name, text)).collect();
    for (field, values) in &metadata.producers {
        rows += &row(field, &values.join(", "));
    }
    rows
}

fn listed(title: &str, interfaces: &[Interface], unknown: &str) -> String {
    let mut lines = format!("\n{title}\n");
    for interface in interfaces {
        let name = printable(&interface.name);
        lines += &match interface.known {
            true => format!("  {name}\n"),
            false => format!("  {name}  ({unknown})\n"),
        };
    }
    lines
}

fn for_programs(inspection: &Inspection, limits: &Limits) -> String {
    let limits: serde_json::Map<_, _> = limits
        .table()
        .into_iter()
        .map(|limit| (limit.name.to_owned(), limit.value.into()))
        .collect();
    let settings: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    let text = json!({
        "kind": inspection.kind,
        "size": inspection.size,
        "sha256": inspection.sha256,
        "metadata": inspection.metadata,
        "imports": inspection.imports,
        "exports": inspection.exports,
        "limits": limits,
        "settings": settings,
    });
    json_line(&text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_what_a_file_says_and_no_control_characters() {
        let inspection = Inspection {
            kind: Kind::Module,
            size: 8,
            sha256: "00".into(),
            metadata: Metadata {
                texts: [("name", "a\u{1b}[2Jb".into()), ("version", "1.2.3".into())].into(),
                producers: [("language".into(), vec!["Rust".into(), "C 11".into()])].into(),
            },
            imports: vec![Interface {
                name: "env \u{7}bell".into(),
                known: false,
            }],
            exports: Vec::new(),
        };
        let table = for_people(&inspection, &Limits::default());
        for line in [
            "kind          core module\n",
            "name          a\\u{1b}[2Jb\n",
            "version       1.2.3\n",
            "language      Rust, C 11\n",
            "  env \\u{7}bell  (not offered by this host)\n",
        ] {
            assert!(table.contains(line), "{line:?} in {table}");
        }
    }
}
