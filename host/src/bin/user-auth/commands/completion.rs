//! Completions for shells. A script asks the program itself for candidates, and the
//! program asks the component, so that no script gets out of date.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{self, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Shells};
use clap_complete::{CompleteEnv, Shell};

use super::{Call, Cli, Command};
use crate::catalog::{self, Field, Operation};
use crate::config::Config;
use crate::failure::Failure;

/// The variable that scripts set to the name of the shell when they ask.
const VARIABLE: &str = "USER_AUTH_COMPLETE";

const SHELLS: Shells<'static> = Shells(&[&Bash, &Elvish, &Fish, &Powershell, &Zsh]);

/// Answers a script that asks for candidates; returns whether one did.
pub(crate) fn answer() -> Result<bool, clap::Error> {
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .shells(SHELLS)
        .try_complete(env::args_os(), env::current_dir().ok().as_deref())
}

/// Returns the script for a shell, which calls this very program.
pub(crate) fn script(shell: Shell) -> Result<String, Failure> {
    let named = PathBuf::from(env::args_os().next().unwrap_or_default());
    let program = match named.components().count() {
        // Found through PATH, now and later.
        0 | 1 => named,
        _ => path::absolute(named).map_err(Failure::start)?,
    };
    let program = program.to_string_lossy();
    let name = shell.to_string();
    let completer = SHELLS
        .completer(&name)
        .ok_or_else(|| Failure::usage(format!("completions for {name} are not supported")))?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "user-auth", "user-auth", &program, &mut script)
        .map_err(Failure::start)?;
    String::from_utf8(script).map_err(Failure::start)
}

/// clap's zsh script, but without a space after the `=` of a field, and complete from the
/// first time on if it is a file in a folder of `fpath`.
struct Zsh;

impl EnvCompleter for Zsh {
    fn name(&self) -> &'static str {
        clap_complete::env::Zsh.name()
    }

    fn is(&self, name: &str) -> bool {
        clap_complete::env::Zsh.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn std::io::Write,
    ) -> Result<(), std::io::Error> {
        let mut script = Vec::new();
        clap_complete::env::Zsh.write_registration(var, name, bin, completer, &mut script)?;
        let script = String::from_utf8_lossy(&script).replace(ZSH_ALL, ZSH_FIELDS);
        buf.write_all(script.as_bytes())?;
        buf.write_all(ZSH_LOADED.as_bytes())
    }

    fn write_complete(
        &self,
        cmd: &mut clap::Command,
        args: Vec<OsString>,
        current_dir: Option<&std::path::Path>,
        buf: &mut dyn std::io::Write,
    ) -> Result<(), std::io::Error> {
        clap_complete::env::Zsh.write_complete(cmd, args, current_dir, buf)
    }
}

const ZSH_ALL: &str = "[[ -n $other ]] && _describe -V 'values' other\n";
const ZSH_FIELDS: &str = "\
        local -a fields=(${(M)other:#[^:]#=(|:*)})
        other=(${other:|fields})
        [[ -n $fields ]] && _describe -V 'fields' fields -S ''
        [[ -n $other ]] && _describe -V 'values' other
";

/// zsh loads such a file by calling it as a function, with the command line to complete.
const ZSH_LOADED: &str = "\
if [[ ${funcstack[1]} == _user-auth ]]; then
    _clap_dynamic_completer_user_auth
fi
";

/// Returns the operations with this prefix.
pub(crate) fn operations(begun: &OsStr) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    let all = known();
    let candidates = all.iter().filter(|one| one.name.starts_with(&*begun));
    let candidate = |operation: &Operation| {
        CompletionCandidate::new(&operation.name).help(Some(operation.title.clone().into()))
    };
    candidates.map(candidate).collect()
}

/// Returns the fields with this prefix of the operation on the command line, or the
/// values of a field that is already named.
pub(crate) fn fields(begun: &OsStr) -> Vec<CompletionCandidate> {
    let line = line();
    let Some(call) = call_on(&line) else {
        return Vec::new();
    };
    let all = known();
    let Some(operation) = all
        .iter()
        .find(|one| Some(&one.name) == call.operation.as_ref())
    else {
        return Vec::new();
    };
    let begun = begun.to_string_lossy();
    let before: Vec<_> = line.iter().map(|word| word.to_string_lossy()).collect();
    let (before, _) = before.split_at(index().min(before.len()));
    if let Some((name, value)) = begun.split_once('=') {
        return values(operation.field(name), value, &format!("{name}="));
    }
    // Bash splits words at `=`, and omits it if nothing follows.
    let name = match before {
        [.., name, sign] if sign == "=" => Some(name),
        [.., name] => Some(name),
        [] => None,
    };
    if let Some(field) = name.and_then(|name| operation.field(name)) {
        return values(Some(field), &begun, "");
    }
    let given = |name: &str| {
        before
            .iter()
            .any(|word| word.split(['=', ':']).next() == Some(name))
    };
    operation
        .fields()
        .into_iter()
        .filter(|field| field.name.starts_with(&*begun) && !given(field.name))
        .map(|field| {
            // The first sentence only.
            let description = field.description();
            let help = description.split_inclusive(". ").next().unwrap_or_default();
            let help = help.trim_end_matches(['.', ' ']).to_owned();
            let sign = if field.usage().contains(":=") {
                ":="
            } else {
                "="
            };
            CompletionCandidate::new(format!("{}{sign}", field.name)).help(Some(help.into()))
        })
        .collect()
}

fn values(field: Option<Field<'_>>, begun: &str, prefix: &str) -> Vec<CompletionCandidate> {
    let Some(field) = field else {
        return Vec::new();
    };
    let choices = if field.is("boolean") {
        vec!["true", "false"]
    } else {
        field.choices()
    };
    let choices = choices
        .into_iter()
        .filter(|choice| choice.starts_with(begun));
    choices
        .map(|choice| CompletionCandidate::new(format!("{prefix}{choice}")))
        .collect()
}

/// Returns the operations of the component that the command line or the configuration
/// names, or none if it cannot be read, since errors cannot be shown here.
fn known() -> Vec<Operation> {
    let flags = call_on(&line())
        .map(|call| call.flags())
        .unwrap_or_default();
    Config::load(&flags)
        .and_then(|loaded| catalog::operations_of(&loaded.config.component))
        .unwrap_or_default()
}

/// Returns the command line being completed, as far as it can be parsed.
fn call_on(line: &[OsString]) -> Option<Call> {
    let matches = Cli::command()
        .ignore_errors(true)
        .try_get_matches_from(line)
        .ok()?;
    match Cli::from_arg_matches(&matches).ok()?.command {
        Command::Call(call) => Some(call),
        _ => None,
    }
}

/// Returns the words that a script passes after `--`.
fn line() -> Vec<OsString> {
    let words = env::args_os().skip_while(|word| word != "--");
    words.skip(1).collect()
}

/// Returns the index of the word to complete; scripts that do not set it complete the
/// last.
fn index() -> usize {
    let index = env::var("_CLAP_COMPLETE_INDEX").ok();
    let index = index.and_then(|index| index.parse().ok());
    index.unwrap_or_else(|| line().len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_that_asks_the_program() {
        for shell in [
            Shell::Bash,
            Shell::Elvish,
            Shell::Fish,
            Shell::PowerShell,
            Shell::Zsh,
        ] {
            let script = script(shell).unwrap();
            assert!(script.contains(VARIABLE), "{shell}: {script}");
        }
        let zsh = script(Shell::Zsh).unwrap();
        assert!(
            zsh.contains(ZSH_FIELDS) && zsh.ends_with(ZSH_LOADED),
            "{zsh}"
        );
    }
}
