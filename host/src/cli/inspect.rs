//! `user-auth inspect`.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use user_auth_host::settings::SETTINGS;
use user_auth_host::{Inspection, Interface, Limits};

use super::Failure;
use super::config::{Config, Flags};
use super::open::component;
use super::options::{ComponentOptions, ConfigOptions};
use super::show::print;

#[derive(Args)]
#[command(after_help = "\
Examples:
  user-auth inspect
  user-auth inspect other.wasm | jq .imports")]
pub(super) struct Inspect {
    /// The component [default: that of --component]
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
    let list = |interfaces: &[Interface], unknown: &str| {
        interfaces
            .iter()
            .map(|interface| match interface.known {
                true => format!("  {}\n", interface.name),
                false => format!("  {}  ({unknown})\n", interface.name),
            })
            .collect::<String>()
    };
    let mut text = format!(
        "size    {} bytes\nsha256  {}\n\nimports\n{}\nexports\n{}\nlimits\n",
        inspection.size,
        inspection.sha256,
        list(&inspection.imports, "not offered by this host"),
        list(&inspection.exports, "not used by this host"),
    );
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

fn for_programs(inspection: &Inspection, limits: &Limits) -> String {
    let limits: serde_json::Map<_, _> = limits
        .table()
        .into_iter()
        .map(|limit| (limit.name.to_owned(), limit.value.into()))
        .collect();
    let settings: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    let text = json!({
        "size": inspection.size,
        "sha256": inspection.sha256,
        "imports": inspection.imports,
        "exports": inspection.exports,
        "limits": limits,
        "settings": settings,
    });
    format!("{text}\n")
}
