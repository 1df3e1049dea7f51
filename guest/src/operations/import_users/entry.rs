//! A user in an export of another system.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::{Account, Status};
use crate::domain::accounts::email::Email;
use crate::domain::accounts::role::RoleName;
use crate::domain::accounts::username::Username;
use crate::domain::credentials::foreign_hash::{Cost, ForeignHash};
use crate::domain::credentials::password::PasswordRecord;
use crate::error::{FieldError, Result};
use crate::json;
use crate::operations::assign_role::MAX_ROLES;
use crate::ports::Ports;
use crate::types::mac;
use crate::types::moment::CreatedAt;
use crate::types::time::Timestamp;

/// A user of another system.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name to log in with.
    pub username: Username,
    /// The password as the other system hashed it. Without it, the user cannot log in
    /// with a password.
    #[serde(default)]
    pub password_hash: Option<ForeignHash>,
    /// The email address.
    #[serde(default)]
    pub email: Option<Email>,
    /// Whether the user has proved that the address is theirs.
    #[serde(default)]
    pub email_verified: bool,
    /// The roles to assign, which requires the permission for assign_role.
    #[serde(default)]
    pub roles: Roles,
    /// Whether the account is disabled for now.
    #[serde(default)]
    pub disabled: bool,
    /// The time at which the account was created (RFC 3339); now by default.
    #[serde(default)]
    pub created_at: Option<CreatedAt>,
}

/// Names of at most 32 roles, without duplicates.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<RoleName>")]
#[schemars(with = "Vec<RoleName>", extend("maxItems" = MAX_ROLES))]
pub struct Roles(Vec<RoleName>);

impl TryFrom<Vec<RoleName>> for Roles {
    type Error = &'static str;

    fn try_from(mut roles: Vec<RoleName>) -> std::result::Result<Roles, Self::Error> {
        roles.sort_unstable();
        roles.dedup();
        match roles.len() {
            0..=MAX_ROLES => Ok(Roles(roles)),
            _ => Err("a user has at most 32 roles"),
        }
    }
}

impl<'a> IntoIterator for &'a Roles {
    type Item = &'a RoleName;
    type IntoIter = std::slice::Iter<'a, RoleName>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Entry {
    /// Returns a value that identifies exactly this entry, and from which its password
    /// hash cannot be recovered.
    pub fn fingerprint(&self, ports: &Ports) -> Result<String> {
        let hash = self.password_hash.as_ref();
        let text = json::to_vec(&(
            &self.username,
            hash.map(|hash| (hash.cost, &hash.salt, &hash.hash)),
            &self.email,
            self.email_verified,
            &self.roles.0,
            self.disabled,
            self.created_at(),
        ));
        let mac = mac::of("import-fingerprint", &text, ports)?;
        Ok(mac::to_hex(&mac))
    }

    /// Returns the account that the entry becomes.
    pub fn account(&self, fingerprint: &str, call: &ActorCall) -> Result<Account> {
        let ports = &call.ports;
        let password = match &self.password_hash {
            Some(hash) => PasswordRecord::import(hash, ports)?,
            None => PasswordRecord::unusable(call.settings, ports)?,
        };
        let account = Account::new(self.username.clone(), password, call)?;
        Ok(Account {
            email: self.email.clone(),
            email_verified: self.email_verified,
            roles: self.roles.0.clone(),
            status: match self.disabled {
                true => Status::Disabled,
                false => Status::Active,
            },
            created_at: self.created_at().unwrap_or(account.created_at),
            imported: Some(fingerprint.to_owned()),
            ..account
        })
    }

    /// Returns when the account was created, if the entry says so.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.created_at.map(CreatedAt::timestamp)
    }

    /// Returns the cost of its password hash, if it has one.
    pub fn cost(&self) -> Option<Cost> {
        self.password_hash.as_ref().map(|hash| hash.cost)
    }
}

/// Fields whose values may be shown. Any other field, known or not, may hold a password
/// or its hash.
const SHOWN: [&str; 6] = [
    "username",
    "email",
    "email_verified",
    "roles",
    "disabled",
    "created_at",
];
/// A longer value would hide the problem with it.
const MAX_SHOWN_CHARS: usize = 100;

/// Removes optional fields without a value: a table has an empty string where other
/// exports have no field.
pub fn drop_empty(mut entry: Value) -> Value {
    const OPTIONAL: [&str; 6] = [
        "password_hash",
        "email",
        "email_verified",
        "roles",
        "disabled",
        "created_at",
    ];
    if let Value::Object(fields) = &mut entry {
        fields.retain(|name, value| {
            let is_empty = value.as_str().is_some_and(|text| text.trim().is_empty());
            !(is_empty && OPTIONAL.contains(&name.as_str()))
        });
    }
    entry
}

/// Returns all problems of an entry on one line, with the invalid values.
pub fn problem(errors: &[FieldError], entry: &Value) -> String {
    let problems = errors.iter().map(|error| {
        let path = error.path.trim_start_matches("$.");
        match value_at(path, entry) {
            Some((field, value)) => about(field, value, &error.problem),
            None => format!("{path}: {}", error.problem),
        }
    });
    problems.collect::<Vec<_>>().join("; ")
}

/// Returns the problem of a field: its name, its value as JSON unless that is a fraction, and the
/// reason.
pub fn about(field: &str, value: &Value, problem: &str) -> String {
    if value.is_f64() {
        return format!("{field}: {problem}");
    }
    let text = json::text(value);
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{field} {}…: {problem}", &text[..end]),
        None => format!("{field} {text}: {problem}"),
    }
}

/// Returns the field at the path, such as `roles[2]`, with its value, if that may be
/// shown.
fn value_at<'a>(path: &'a str, entry: &'a Value) -> Option<(&'a str, &'a Value)> {
    let (field, index) = match path.split_once('[') {
        Some((field, index)) => (field, Some(index.strip_suffix(']')?.parse::<usize>().ok()?)),
        None => (path, None),
    };
    if !SHOWN.contains(&field) {
        return None;
    }
    let value = entry.get(field)?;
    let value = match index {
        Some(index) => value.get(index)?,
        None => value,
    };
    let is_one = !value.is_array() && !value.is_object();
    is_one.then_some((field, value))
}
