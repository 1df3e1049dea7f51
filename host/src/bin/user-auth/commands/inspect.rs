//! The command `user-auth inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use user_auth_host::settings::SETTINGS;
use user_auth_host::{Inspection, Interface, Kind, Limits, Metadata};

use crate::bootstrap::component;
use crate::config::{Config, Flags};
use crate::failure::Failure;
use crate::options::{ComponentOptions, ConfigOptions, OutputOptions};
use crate::output::table::grid;
use crate::output::{Screen, json_line, print, printable};

#[derive(Args)]
#[command(after_help = "\
Examples:
  user-auth inspect
  user-auth inspect other.wasm | jq .imports")]
pub(crate) struct Inspect {
    /// A component or a core module, whether or not this host could run it [default:
    /// the one of --component]
    file: Option<PathBuf>,

    #[command(flatten)]
    output: OutputOptions,

    #[command(flatten)]
    config: ConfigOptions,

    #[command(flatten)]
    component: ComponentOptions,
}

impl Inspect {
    pub(crate) fn flags(&self) -> Flags {
        let mut flags = self.config.flags();
        self.component.add_to(&mut flags);
        flags
    }

    pub(crate) fn run(self, mut config: Config) -> Result<ExitCode, Failure> {
        if self.file.is_some() {
            config.component.file = self.file;
        }
        let inspection = component(&config.component)?
            .inspect()
            .map_err(Failure::start)?;
        let limits = config.limits.0;
        let screen = Screen::of_output();
        let text = if self.output.is_json(screen) {
            for_programs(&inspection, &limits)
        } else {
            for_people(&inspection, &limits, screen)
        };
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn for_people(inspection: &Inspection, limits: &Limits, screen: Screen) -> String {
    let kind = match inspection.kind {
        Kind::Component => "component",
        Kind::Module => "core module",
    };
    let mut rows = vec![
        row("kind", kind),
        row("size", &format!("{} bytes", inspection.size)),
        row("sha256", &inspection.sha256),
    ];
    rows.extend(described(&inspection.metadata));
    let mut text = grid(&rows, "", screen.width);
    text += &listed("imports", &inspection.imports, "not offered by this host");
    text += &listed("exports", &inspection.exports, "not used by this host");
    text += "\nlimits\n";
    let limits = limits.table().into_iter().map(|limit| {
        let description = limit.description.to_owned();
        [limit.name.to_owned(), limit.value.to_string(), description]
    });
    text += &grid(&limits.collect::<Vec<_>>(), "  ", screen.width);
    text += "\nsettings (environment variables)\n";
    let settings = SETTINGS
        .iter()
        .map(|setting| [setting.name, setting.description].map(str::to_owned));
    text += &grid(&settings.collect::<Vec<_>>(), "  ", screen.width);
    text
}

/// Escapes the text: the author of the file chose it, and it goes to a terminal.
fn row(name: &str, value: &str) -> [String; 2] {
    [printable(name), printable(value)]
}

fn described(metadata: &Metadata) -> Vec<[String; 2]> {
    let texts = metadata.texts.iter().map(|(name, text)| row(name, text));
    let producers = metadata.producers.iter();
    let producers = producers.map(|(field, values)| row(field, &values.join(", ")));
    texts.chain(producers).collect()
}

fn listed(title: &str, interfaces: &[Interface], unknown: &str) -> String {
    let mut lines = format!("\n{title}\n");
    for interface in interfaces {
        let name = printable(&interface.name);
        lines += &if interface.known {
            format!("  {name}\n")
        } else {
            format!("  {name}  ({unknown})\n")
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
    fn a_table_escapes_control_characters() {
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
        let table = for_people(&inspection, &Limits::default(), Screen::of_output());
        for line in [
            "kind      core module\n",
            "name      a\\u{1b}[2Jb\n",
            "version   1.2.3\n",
            "language  Rust, C 11\n",
            "  env \\u{7}bell  (not offered by this host)\n",
        ] {
            assert!(table.contains(line), "{line:?} in {table}");
        }
    }
}
