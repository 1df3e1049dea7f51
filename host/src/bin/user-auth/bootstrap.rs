//! Opens everything that a plugin needs, as configured.

use std::env;
use std::fs::{self, DirBuilder};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio::task::spawn_blocking;
use user_auth_host::api::{Caller, Principal};
use user_auth_host::store::{MemoryStore, PostgresStore, SqliteStore, Store};
use user_auth_host::{
    ErrorCode, KeyError, Limits, MasterKey, Plugin, PluginBuilder, default_component_path,
};
use zeroize::Zeroizing;

use super::config::{Component, Config};
use super::delivery::Reach;
use super::options::{StoreLocation, xdg_folder};
use crate::failure::Failure;

/// A shared PostgreSQL database has no local folder for a key file.
const NO_KEY_BESIDE_POSTGRES: &str = "with PostgreSQL the master key must be named, and all processes on the database need the \
     same one: set USER_AUTH_MASTER_KEY, or name a file with `--master-key-file FILE`; \
     `openssl rand -hex 32` creates one";

/// Opens the store, the master key, the delivery and the component. `reach` is the set
/// of possible callers.
pub(super) async fn open(
    config: &Config,
    limits: Limits,
    reach: Reach,
) -> Result<(Plugin, StoreLocation), Failure> {
    open_with(config, limits, reach, |builder| builder).await
}

/// Does the same as [`open`], with changes to the builder by `adapt`.
pub(super) async fn open_with(
    config: &Config,
    limits: Limits,
    reach: Reach,
    adapt: impl FnOnce(PluginBuilder) -> PluginBuilder,
) -> Result<(Plugin, StoreLocation), Failure> {
    let location = location(config)?;
    // A missing component must leave no files behind.
    let builder = component(&config.component)?.limits(limits);
    // The store mostly waits for the disk, and the component for the processor.
    let loading = spawn_blocking(|| builder.load());
    let delivery = config.delivery.open(reach)?;
    let audit_log = config.audit.open()?;
    let logo = config.oauth.logo()?;
    let master_key = master_key(config, &location, NoKey::Create)?;
    let store = store(&location).await?;
    let keys = master_key.unlock(&*store).await.map_err(Failure::start)?;
    let loaded = loading.await.map_err(Failure::start)?;
    let mut builder = loaded.map_err(Failure::start)?.store(store).keys(keys);
    for (name, value) in config.settings() {
        builder = builder.setting(name, value);
    }
    if let Some(delivery) = delivery {
        builder = builder.delivery(delivery);
    }
    if let Some(log) = audit_log {
        builder = builder.audit_log(log);
    }
    if let Some(logo) = logo {
        builder = builder.logo(logo);
    }
    let plugin = adapt(builder).build().map_err(Failure::start)?;
    Ok((plugin, location))
}

/// Fails if the component cannot work at all, for example because of an invalid
/// setting, so that the operator learns it at the start instead of the clients later.
pub(super) async fn smoke_test(plugin: &Plugin, config: &Config) -> Result<(), Failure> {
    check_password_hashes(config)?;
    let caller = Caller {
        principal: Principal::Operator,
        source: None,
    };
    match plugin.invoke(caller, "get_capabilities", "{}").await {
        Ok(Err(error)) if error.code == ErrorCode::ResourceUnavailable.code() => {
            let details: Value = serde_json::from_str(&error.details).unwrap_or_default();
            let problems = details["problems"].as_array().into_iter().flatten();
            let problems: Vec<String> = problems
                .filter_map(|problem| Some(config.explain(problem.as_str()?)))
                .collect();
            Err(Failure::start(match problems.is_empty() {
                true => error.message,
                false => problems.join("\n"),
            }))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::no_answer(error)),
    }
}

/// Fails if the limits forbid the password hashes that the component will ask for, each with
/// one lane and 32 bytes.
fn check_password_hashes(config: &Config) -> Result<(), Failure> {
    let (passwords, limits) = (&config.passwords, &config.limits.0);
    let costs = [
        (
            "memory_kib",
            passwords.argon2_memory_kib,
            limits.hash_memory_kib,
        ),
        (
            "iterations",
            passwords.argon2_iterations,
            limits.hash_iterations,
        ),
        ("parallelism", 1, limits.hash_parallelism),
        ("output_bytes", 32, limits.hash_output_bytes),
    ];
    match costs.into_iter().find(|(_, cost, most)| cost > most) {
        None => Ok(()),
        Some((name, cost, most)) => Err(Failure::start(format!(
            "no password could be hashed: limits.hash_{name} is {most}, and a hash needs {cost}"
        ))),
    }
}

/// Returns the location of the store.
pub(super) fn location(config: &Config) -> Result<StoreLocation, Failure> {
    match &config.store.url {
        Some(url) => url.parse().map_err(Failure::start),
        None => Ok(StoreLocation::Sqlite(default_database()?)),
    }
}

/// Returns a builder with the component and the cache of its compiled code.
pub(super) fn component(config: &Component) -> Result<PluginBuilder, Failure> {
    let path = match &config.file {
        Some(path) => path.clone(),
        None => {
            let path = default_component_path().map_err(Failure::start)?;
            if !path.exists() {
                return Err(Failure::start(format!(
                    "no component found at {}; name it with `--component FILE`",
                    path.display()
                )));
            }
            path
        }
    };
    let mut builder = Plugin::builder().component(path).perf_map(config.perf_map);
    if !config.no_cache
        && let Some(folder) = xdg_folder("XDG_CACHE_HOME", ".cache")
    {
        builder = builder.cache(folder);
    }
    Ok(builder)
}

/// Fails unless the store outlives this process and already contains data.
pub(super) fn require_data(location: &StoreLocation) -> Result<(), Failure> {
    match location {
        StoreLocation::Memory => Err(Failure::usage(
            "a store in memory ends with its process: name another with `--store`",
        )),
        StoreLocation::Sqlite(path) if !holds_data(path) => Err(Failure::start(format!(
            "no database found at {}; name it with `--store sqlite:PATH`",
            path.display()
        ))),
        // A PostgreSQL server reports a missing database itself.
        StoreLocation::Sqlite(_) | StoreLocation::Postgres(_) => Ok(()),
    }
}

fn default_database() -> Result<PathBuf, Failure> {
    let folder = xdg_folder("XDG_DATA_HOME", ".local/share").ok_or_else(|| {
        Failure::start("no home directory found for the store; use `--store sqlite:PATH`")
    })?;
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).map_err(|error| {
        Failure::start(format!(
            "the folder {} for the store cannot be created: {error}; use `--store sqlite:PATH`",
            folder.display()
        ))
    })?;
    Ok(folder.join("user-auth.db"))
}

pub(super) async fn store(location: &StoreLocation) -> Result<Arc<dyn Store>, Failure> {
    match location {
        StoreLocation::Memory => Ok(Arc::new(MemoryStore::new())),
        StoreLocation::Sqlite(path) => match SqliteStore::open(path) {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(Failure::start(error)),
        },
        StoreLocation::Postgres(url) => match PostgresStore::open(url).await {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(Failure::start(error)),
        },
    }
}

/// The treatment of a missing master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// Create one, for a new database.
    Create,
    /// Fail: the data was written under a key that must exist.
    Fail,
}

/// Returns the master key. It is opened before the database, so that a first start that
/// fails never leaves a database without its key behind.
pub(super) fn master_key(
    config: &Config,
    location: &StoreLocation,
    no_key: NoKey,
) -> Result<MasterKey, Failure> {
    if let Some(text) = env::var_os("USER_AUTH_MASTER_KEY").filter(|text| !text.is_empty()) {
        let text = Zeroizing::new(text.into_encoded_bytes());
        return str::from_utf8(&text)
            .map_err(|_| KeyError::NotText)
            .and_then(MasterKey::from_text)
            .map_err(|error| Failure::start(format!("USER_AUTH_MASTER_KEY: {error}")));
    }
    if config.master_key.file.is_none()
        && let Some(credential) = credential()
    {
        return MasterKey::load_credential(&credential).map_err(Failure::start);
    }
    let database = match (location, &config.master_key.file) {
        (StoreLocation::Memory, None) => return MasterKey::ephemeral().map_err(Failure::start),
        (StoreLocation::Memory, Some(file)) => {
            return MasterKey::load_or_create(file).map_err(Failure::start);
        }
        (StoreLocation::Postgres(_), None) => return Err(Failure::start(NO_KEY_BESIDE_POSTGRES)),
        // Never created: each machine would have its own, and one in a container would
        // be lost with it.
        (StoreLocation::Postgres(_), Some(file)) => {
            return MasterKey::load(file).map_err(Failure::start);
        }
        (StoreLocation::Sqlite(database), _) => database,
    };
    let folder = match database.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(Failure::start(format!(
            "the folder {} of the database does not exist; create it first",
            folder.display()
        )));
    }
    let file = match &config.master_key.file {
        Some(file) => file.clone(),
        None => folder.join("master.key"),
    };
    if holds_data(database) && !file.exists() {
        return Err(Failure::start(format!(
            "the database {} exists, but not its master key {}: with another key no password \
             or token in it would be valid; restore the key, name it with \
             `--master-key-file FILE` or USER_AUTH_MASTER_KEY, or start with another database",
            database.display(),
            file.display()
        )));
    }
    let loaded = match no_key {
        NoKey::Create => MasterKey::load_or_create(&file),
        NoKey::Fail => MasterKey::load(&file),
    };
    loaded.map_err(|error| match error {
        KeyError::File(absent) if absent.is_absent() => Failure::start(format!(
            "the master key file {} does not exist; copy the key of the original store there, or \
             name it with `--master-key-file FILE` or USER_AUTH_MASTER_KEY",
            file.display()
        )),
        error => Failure::start(error),
    })
}

/// Returns the path of the master key from the service manager, if there is one: see
/// <https://systemd.io/CREDENTIALS>.
fn credential() -> Option<PathBuf> {
    let folder = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)?;
    let file = folder.join("user-auth-master-key");
    (folder.is_absolute() && file.exists()).then_some(file)
}

fn holds_data(database: &Path) -> bool {
    fs::metadata(database).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}
