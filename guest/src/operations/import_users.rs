mod entry;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::entry::Entry;
use super::{Effect, Operation, Toolset};
use crate::dispatch::{input, schemas};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::{Account, EmailRecord, UsernameRecord};
use crate::domain::accounts::permission::{Grant, ROLES_WRITE, USERS_WRITE};
use crate::domain::accounts::role::RoleName;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event};
use crate::domain::credentials::foreign_hash::Cost;
use crate::domain::credentials::hash_costs::{self, HashCosts, Held};
use crate::error::{ErrorKind, Result};
use crate::json::Node;
use crate::ports::Ports;
use crate::storage::batch::{Batch, Commit};
use crate::storage::record;
use crate::storage::retry::{self, Race};
use crate::types::id::Id;

/// More users in one call would take too long without a response.
const MAX_USERS: usize = 100;
const NO_ROLE: &str = "there is no such role; define it with define_role, or leave it out";

/// Imports up to 100 users of another system, with their password hashes (bcrypt, scrypt,
/// PBKDF2, Argon2). Returns the outcome of each entry; an invalid one does not stop the
/// others.
///
/// Passwords are rehashed at the first login. Repeating a call is safe: users imported
/// from the same entry before are `unchanged`. Requires `user-auth:users:write`; roles
/// also require `user-auth:roles:write` and must not permit more than the caller may do.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportUsers {
    /// The users: 1 to 100.
    // Each entry is parsed on its own, so an invalid one may contain anything, and is not
    // shown in the audit log.
    #[schemars(extend("writeOnly" = true))]
    pub users: Entries,
    /// Report what would happen without changing anything.
    #[serde(default)]
    pub dry_run: bool,
}

/// Entries that are yet to be parsed, each on its own.
#[derive(Deserialize)]
#[serde(try_from = "Vec<Value>")]
pub struct Entries(Vec<Value>);

impl TryFrom<Vec<Value>> for Entries {
    type Error = &'static str;

    fn try_from(entries: Vec<Value>) -> std::result::Result<Entries, Self::Error> {
        match entries.len() {
            1..=MAX_USERS => Ok(Entries(entries)),
            _ => Err("expected 1 to 100 users"),
        }
    }
}

impl JsonSchema for Entries {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Entries".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_USERS,
            "items": generator.subschema_for::<Entry>(),
        })
    }
}

/// The outcome of an import.
#[derive(Serialize, JsonSchema)]
pub struct Imports {
    /// The outcomes in the order of the entries.
    pub users: Vec<Import>,
}

/// The outcome of one entry.
#[derive(Serialize, JsonSchema)]
pub struct Import {
    /// The user name in its canonical form; absent if it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Username>,
    /// The outcome.
    pub status: ImportStatus,
    /// The id of the account; absent if the entry was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Id>,
    /// The reason why the entry was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether the password hash is weaker than OWASP recommends. It remains so until the
    /// first login.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak_hash: bool,
}

/// The outcome of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// A new account was created.
    Imported,
    /// A new account would be created if this were not a dry run.
    WouldImport,
    /// An account that was imported from the same entry exists.
    Unchanged,
    /// The entry has a problem.
    Refused,
}

fn entry_schema() -> Value {
    let mut schema = schemas::shape(ImportUsers::NAME);
    schema["properties"]["users"]["items"].take()
}

impl Operation for ImportUsers {
    const NAME: &'static str = "import_users";
    const TITLE: &'static str = "Import users";
    const TOOLSET: Option<Toolset> = Some(Toolset::Users);
    const EFFECT: Effect = Effect::Widens;
    const REQUIRES: Requirement = Requirement::Permission(USERS_WRITE);
    type Output = Imports;

    fn run(self, call: &ActorCall) -> Result<Imports> {
        let entries = self.users.0.into_iter();
        let entries: Vec<Parsed> = entries.map(parse).collect();
        let mut importer = Importer::new(self.dry_run, call)?;
        let mut together = authority::retry_on_conflict(call, |call| {
            importer.renew(call)?;
            importer.import_together(&entries)
        })?;
        let mut users = Vec::with_capacity(entries.len());
        // Comes after the batch, because an entry in the batch may be what kept one of
        // these out of it.
        for (index, entry) in entries.iter().enumerate() {
            let imported = together.imports.remove(&index);
            users.push(match (entry, imported) {
                (_, Some(imported)) => imported,
                (Err(problem), None) => Import::refused(None, problem.clone()),
                (Ok(entry), None) => {
                    let mut owner = together.owners.get(&index).copied();
                    authority::retry_on_conflict(call, |call| {
                        importer.renew(call)?;
                        importer.import(entry, &mut owner)
                    })?
                }
            });
        }
        Ok(Imports { users })
    }
}

/// An entry, or all of its problems.
type Parsed = std::result::Result<Entry, String>;

fn parse(value: Value) -> Parsed {
    let value = match value {
        Value::String(_) => Node::from(&value).unquoted().into(),
        given => given,
    };
    let value = entry::drop_empty(value);
    input::read(Node::from(&value), entry_schema).map_err(|errors| entry::problem(&errors, &value))
}

/// The import of the entries of one call.
struct Importer<'a> {
    /// The known hash costs of accounts, and those of the entries processed so far.
    costs: HashCosts,
    /// The roles requested so far, each with the reason why it cannot be assigned, if
    /// any.
    roles: Vec<(RoleName, Option<&'static str>)>,
    dry_run: bool,
    call: ActorCall<'a>,
}

/// The outcomes of one batch by the index of the entry, and the accounts that own the
/// user names of the other entries.
struct Together {
    imports: BTreeMap<usize, Import>,
    owners: BTreeMap<usize, Id>,
}

impl<'a> Importer<'a> {
    fn new(dry_run: bool, call: &ActorCall<'a>) -> Result<Importer<'a>> {
        Ok(Importer {
            costs: HashCosts::read(&call.ports)?,
            roles: Vec::new(),
            dry_run,
            call: call.clone(),
        })
    }

    /// Starts over if the authority has changed, since decisions under the previous one
    /// do not count.
    fn renew(&mut self, call: &ActorCall<'a>) -> Result<()> {
        if !self.call.is_of_same_authority(call) {
            *self = Importer::new(self.dry_run, call)?;
        }
        Ok(())
    }

    /// Creates the accounts of all entries without a known problem in one batch, or none of
    /// them.
    fn import_together(&mut self, entries: &[Parsed]) -> Result<Race<Together>> {
        let mut together = Together {
            imports: BTreeMap::new(),
            owners: owners(entries, &self.call.ports)?,
        };
        let mut accounts = Vec::new();
        let mut claimed = BTreeSet::new();
        for (index, entry) in entries.iter().enumerate() {
            let Ok(entry) = entry else {
                continue;
            };
            if together.owners.contains_key(&index) {
                continue;
            }
            if let Some(account) = self.draft(entry, &mut claimed)? {
                let user_id = Some(account.user_id);
                let import = Import::of(entry, ImportStatus::Imported, user_id);
                together.imports.insert(index, import);
                accounts.push(account);
            }
        }
        if accounts.is_empty() {
            return Ok(Race::Won(together));
        }
        Ok(create(&accounts, &self.call)?.then(together))
    }

    /// Returns the account of an entry that can be created together with the others,
    /// whose names and addresses are `claimed`, or `None` if it has to be imported
    /// individually.
    fn draft(&mut self, entry: &Entry, claimed: &mut BTreeSet<String>) -> Result<Option<Account>> {
        if self.dry_run || self.problem(entry)?.is_some() {
            return Ok(None);
        }
        let fingerprint = entry.fingerprint(&self.call.ports)?;
        let account = entry.account(&fingerprint, &self.call)?;
        let keys = claims(&account, &self.call)?;
        if keys.iter().any(|key| claimed.contains(key)) {
            return Ok(None);
        }
        claimed.extend(keys);
        Ok(Some(account))
    }

    /// Imports one entry individually; `owner` is the account that has its user name, as
    /// far as known.
    fn import(&mut self, entry: &Entry, owner: &mut Option<Id>) -> Result<Race<Import>> {
        let ports = self.call.ports;
        let fingerprint = entry.fingerprint(&ports)?;
        if let Some(user_id) = *owner {
            if let Some(existing) = existing(user_id, entry, &fingerprint, &ports)? {
                return Ok(Race::Won(existing));
            }
            // The account was deleted concurrently, and its name may have been registered
            // again.
            *owner = Account::id_of(&entry.username, &ports)?;
            return Ok(Race::Lost);
        }
        if !self.dry_run {
            // Other calls may have taken the last place for a cost, or freed one.
            self.costs = HashCosts::read(&ports)?;
        }
        if let Some(problem) = self.problem(entry)? {
            // The same entry may have just been imported, which then is the problem.
            *owner = Account::id_of(&entry.username, &ports)?;
            if owner.is_some() {
                return Ok(Race::Lost);
            }
            return Ok(Race::Won(Import::refused(Some(entry), problem)));
        }
        if self.dry_run {
            let import = Import::of(entry, ImportStatus::WouldImport, None);
            return Ok(Race::Won(import));
        }
        let account = entry.account(&fingerprint, &self.call)?;
        if create([&account], &self.call)? == Commit::Conflict {
            *owner = Account::id_of(&entry.username, &ports)?;
            return Ok(Race::Lost);
        }
        let user_id = Some(account.user_id);
        let import = Import::of(entry, ImportStatus::Imported, user_id);
        Ok(Race::Won(import))
    }

    /// Returns the reason why the entry cannot become an account, other than its name.
    fn problem(&mut self, entry: &Entry) -> Result<Option<String>> {
        let about = |field: &str, value: &str, problem: &str| {
            Ok(Some(entry::about(field, &Value::from(value), problem)))
        };
        if entry.email_verified {
            match &entry.email {
                None => {
                    let problem = "requires an email";
                    return Ok(Some(entry::about(
                        "email_verified",
                        &Value::from(true),
                        problem,
                    )));
                }
                Some(email) if Account::id_of_email(email, &self.call)?.is_some() => {
                    return about("email", email.as_str(), "is verified for another account");
                }
                Some(_) => {}
            }
        }
        if let Some(at) = entry.created_at().filter(|at| *at > self.call.now()) {
            return about("created_at", &at.to_string(), "is in the future");
        }
        for role in &entry.roles {
            if let Some(problem) = self.role_problem(role)? {
                return about("roles", role.as_str(), problem);
            }
        }
        let has_place = entry.cost().is_none_or(|cost| self.costs.add(cost));
        Ok((!has_place).then(|| hash_costs::TOO_MANY.to_owned()))
    }

    fn role_problem(&mut self, role: &RoleName) -> Result<Option<&'static str>> {
        if let Some((_, known)) = self.roles.iter().find(|(name, _)| name == role) {
            return Ok(*known);
        }
        let problem = match self.require_may_give(role) {
            Ok(Some(_)) => None,
            Ok(None) => Some(NO_ROLE),
            Err(error) if error.kind == ErrorKind::Authorization => {
                Some("you may not assign this role")
            }
            Err(error) => return Err(error),
        };
        self.roles.push((role.clone(), problem));
        Ok(problem)
    }

    /// Requires what `assign_role` requires.
    fn require_may_give(&self, role: &RoleName) -> Result<Option<Vec<Grant>>> {
        authority::require_permission(ROLES_WRITE, &self.call)?;
        authority::require_role(role, &self.call)
    }
}

/// Returns the accounts that own the user names of entries, by the index of the entry, in
/// a single lookup. The batch of each entry decides.
fn owners(entries: &[Parsed], ports: &Ports) -> Result<BTreeMap<usize, Id>> {
    let readable = entries.iter().enumerate();
    let (indexes, keys): (Vec<usize>, Vec<String>) = readable
        .filter_map(|(index, entry)| {
            let entry = entry.as_ref().ok()?;
            Some((index, Account::username_key(&entry.username)))
        })
        .unzip();
    let found = indexes.into_iter().zip(ports.store.get(&keys)?);
    let mut owners = BTreeMap::new();
    for (index, entry) in found {
        let record = record::parse::<UsernameRecord>(entry, ports)?;
        owners.extend(record.map(|record| (index, record.value.user_id)));
    }
    Ok(owners)
}

/// Returns the outcome of an entry whose user name is taken, or `None` if it no longer
/// is.
fn existing(
    user_id: Id,
    entry: &Entry,
    fingerprint: &str,
    ports: &Ports,
) -> Result<Option<Import>> {
    let account = Account::find(user_id, ports)?;
    Ok(account.map(|account| match account.value.imported {
        Some(imported) if imported == fingerprint => {
            Import::of(entry, ImportStatus::Unchanged, Some(user_id))
        }
        _ => {
            let name = Value::from(entry.username.as_str());
            let problem = entry::about("username", &name, "the user name is taken");
            Import::refused(Some(entry), problem)
        }
    }))
}

/// Returns the store keys that no two accounts may share: that of the name and, if the
/// address is verified, that of the address.
fn claims(account: &Account, call: &ActorCall) -> Result<Vec<String>> {
    let mut keys = vec![Account::username_key(&account.username)];
    if let Some(email) = account.verified_email() {
        keys.push(Account::email_key(email, call)?);
    }
    Ok(keys)
}

/// Creates accounts in one batch, each with its own audit chain. A conflict is one over a
/// name, an address or the last place for a cost.
fn create<'a>(
    accounts: impl IntoIterator<Item = &'a Account> + Clone,
    call: &ActorCall,
) -> Result<Commit> {
    retry::retry_on_conflict(|| {
        let mut costs = Held::read(&call.ports)?;
        let mut batch = Batch::new();
        for account in accounts.clone() {
            match account.password.imported_cost() {
                Some(cost) if !costs.known.add(cost) => {
                    return Ok(Race::Won(Commit::Conflict));
                }
                Some(_) => {}
                None => costs.known.add_own(call.settings),
            }
            add(account, &mut batch, call)?;
        }
        costs.store(&mut batch);
        let commit = call.commit(batch)?;
        // The race for the costs is lost to another import, or to a login with such a
        // hash.
        if commit == Commit::Conflict && !costs.is_current(&call.ports)? {
            return Ok(Race::Lost);
        }
        Ok(Race::Won(commit))
    })
}

fn add(account: &Account, batch: &mut Batch, call: &ActorCall) -> Result<()> {
    let user_id = account.user_id;
    batch.create(
        Account::username_key(&account.username),
        &UsernameRecord { user_id },
    );
    batch.create(Account::key(user_id), account);
    if let Some(email) = account.verified_email() {
        batch.create(Account::email_key(email, call)?, &EmailRecord { user_id });
    }
    let mut event = Event::success(ImportUsers::NAME);
    if !account.roles.is_empty() {
        let roles: Vec<&str> = account.roles.iter().map(RoleName::as_str).collect();
        event = event.detail("roles", roles);
    }
    Chain::new(user_id).append(event, batch, call)
}

impl Import {
    fn of(entry: &Entry, status: ImportStatus, user_id: Option<Id>) -> Import {
        Import {
            username: Some(entry.username.clone()),
            status,
            user_id,
            problem: None,
            weak_hash: entry.cost().is_some_and(Cost::is_weak),
        }
    }

    fn refused(entry: Option<&Entry>, problem: String) -> Import {
        Import {
            username: entry.map(|entry| entry.username.clone()),
            status: ImportStatus::Refused,
            user_id: None,
            problem: Some(problem),
            weak_hash: false,
        }
    }
}
