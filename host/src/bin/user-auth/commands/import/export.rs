//! Converts the exports of other systems into users to import.
//!
//! The module of each system maps its fields to those of `import_users`; the formats of
//! the files are common to all systems.

mod auth0;
mod devise;
mod django;
mod fields;
mod firebase;
mod keycloak;
mod laravel;
mod records;

use std::io::Read;
use std::path::Path;

use clap::ValueEnum;
use serde_json::{Map, Value};

use self::firebase::HashConfig;
use self::records::Layout;
use super::portions::{Portions, Stop};
use crate::failure::Failure;

/// A system that users come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum System {
    /// A realm with its users
    Keycloak,
    /// Users with their password hashes
    Auth0,
    /// firebase auth:export
    Firebase,
    /// manage.py dumpdata
    Django,
    /// The table of users of a Rails application with Devise
    Devise,
    /// The table of users of a Laravel application
    Laravel,
}

/// A record of an export: the fields of a user, or of something else.
type Record = Map<String, Value>;

/// A user in the form of `import_users`, or `None` if the record is not a user. An error
/// is the reason why the user cannot be imported.
type Converted = Result<Option<Record>, String>;

/// How to read an export.
pub(super) enum Export {
    Keycloak,
    Auth0,
    Firebase(HashConfig),
    Django,
    Devise,
    Laravel,
}

impl Export {
    /// Returns `None` if the file is not an export, but has UserAuth's own lines.
    pub(super) fn new(
        system: Option<System>,
        firebase_hash_config: Option<&Path>,
    ) -> Result<Option<Export>, Failure> {
        if firebase_hash_config.is_some() && system != Some(System::Firebase) {
            return Err(Failure::usage(
                "`--firebase-hash-config` requires `--from firebase`".to_owned(),
            ));
        }
        let Some(system) = system else {
            return Ok(None);
        };
        Ok(Some(match system {
            System::Keycloak => Export::Keycloak,
            System::Auth0 => Export::Auth0,
            System::Firebase => Export::Firebase(HashConfig::read(firebase_hash_config)?),
            System::Django => Export::Django,
            System::Devise => Export::Devise,
            System::Laravel => Export::Laravel,
        }))
    }

    /// Reads all users, and numbers them from 1.
    pub(super) fn read(&self, reader: impl Read, portions: &mut Portions) -> Result<(), Stop> {
        let mut number = 0;
        let mut unused_bytes = 0;
        let layout = match self {
            Export::Keycloak | Export::Firebase(_) => Layout::InUsers,
            Export::Auth0 | Export::Django | Export::Devise | Export::Laravel => Layout::Plain,
        };
        let found = records::read(reader, layout, &mut |record, bytes| {
            unused_bytes += bytes;
            let user = match self.convert(&record) {
                Ok(None) => return Ok(()),
                Ok(Some(user)) => Ok(Value::Object(user).to_string()),
                Err(problem) => Err(problem),
            };
            number += 1;
            let user = match &user {
                Ok(user) => Ok(user.as_str()),
                Err(problem) => Err(problem.clone()),
            };
            portions.push(number, std::mem::take(&mut unused_bytes), user)
        })?;
        if found && number > 0 {
            Ok(())
        } else {
            Err(Stop::Broken(format!(
                "the file has no users; {}",
                self.advice()
            )))
        }
    }

    fn convert(&self, record: &Record) -> Converted {
        match self {
            Export::Keycloak => keycloak::user(record),
            Export::Auth0 => auth0::user(record),
            Export::Firebase(config) => firebase::user(record, config),
            Export::Django => django::user(record),
            Export::Devise => devise::user(record),
            Export::Laravel => laravel::user(record),
        }
    }

    /// Returns how to obtain a file with users.
    const fn advice(&self) -> &'static str {
        match self {
            Export::Keycloak => {
                "export them with `kc.sh export --realm NAME --users realm_file --file FILE` (an \
                 export from the console has none)"
            }
            Export::Auth0 => {
                "expected a JSON array or JSON Lines of users with `email` or `username`"
            }
            Export::Firebase(_) => "export them with `firebase auth:export FILE --format=json`",
            Export::Django => "export them with `manage.py dumpdata auth.user > FILE`",
            Export::Devise | Export::Laravel => {
                "expected CSV with the names of the columns in the first line, a JSON array or \
                 JSON Lines"
            }
        }
    }
}

/// The users of an export, as the tests of each system need them.
#[cfg(test)]
fn users(export: &Export, text: &str) -> Result<Vec<Result<Value, String>>, String> {
    let mut users: Vec<(u64, Result<Value, String>)> = Vec::new();
    let mut send = |chunk: super::portions::Chunk| {
        let read: Vec<Value> = serde_json::from_str(&format!("[{}]", chunk.users)).unwrap();
        users.extend(chunk.lines.into_iter().zip(read.into_iter().map(Ok)));
        let problems = chunk.problems.into_iter();
        users.extend(problems.map(|problem| (problem.line, Err(problem.text))));
        true
    };
    let mut portions = Portions::new(1, &mut send);
    let read = export.read(text.as_bytes(), &mut portions);
    assert!(portions.flush().is_ok());
    if let Err(Stop::Broken(reason)) = read {
        return Err(reason);
    }
    users.sort_by_key(|(number, _)| *number);
    Ok(users.into_iter().map(|(_, user)| user).collect())
}
