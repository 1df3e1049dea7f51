//! From the options to a plugin that runs.

use std::env;
use std::fs::{self, DirBuilder};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use user_auth_host::api::{Caller, Principal};
use user_auth_host::store::{MemoryStore, SqliteStore, Store};
use user_auth_host::{
    Keys, KeysError, Limits, Plugin, PluginBuilder, default_component_path, settings,
};
use zeroize::Zeroizing;

use super::Failure;
use super::delivery::Reach;
use super::options::{ComponentOptions, Options, StoreLocation, xdg_folder};

/// The code of an error that no client can do anything about.
const RESOURCE_UNAVAILABLE: i32 = -32004;

/// Opens the store, the master key, the delivery and the component. `reach` says who
/// can call.
pub(super) async fn open(
    options: &Options,
    limits: Limits,
    reach: Reach,
) -> Result<(Plugin, StoreLocation), Failure> {
    open_with(options, limits, reach, |builder| builder).await
}

/// The same, of a plugin to which `adapt` has added something.
pub(super) async fn open_with(
    options: &Options,
    limits: Limits,
    reach: Reach,
    adapt: impl FnOnce(PluginBuilder) -> PluginBuilder,
) -> Result<(Plugin, StoreLocation), Failure> {
    let location = match &options.store {
        Some(location) => location.clone(),
        None => StoreLocation::Sqlite(default_database()?),
    };
    // The component first: a mistake there must leave no files behind.
    let builder = component(&options.component)?;
    let delivery = options.delivery.open(reach)?;
    let keys = keys(options, &location)?;
    let store = store(&location)?;
    keys.claim(&*store).await.map_err(Failure::start)?;
    let mut builder = builder.store(store).keys(keys).limits(limits);
    for (name, value) in settings::from_environment() {
        builder = builder.setting(name, value);
    }
    if let Some(delivery) = delivery {
        builder = builder.delivery(delivery);
    }
    let plugin = adapt(builder).build().map_err(Failure::start)?;
    Ok((plugin, location))
}

/// Fails when the component can do nothing at all, as with a setting that cannot
/// be used: whoever starts a server is to learn that, and not its clients.
pub(super) async fn try_out(plugin: &Plugin) -> Result<(), Failure> {
    let caller = Caller {
        principal: Principal::Operator,
        source: None,
    };
    match plugin.invoke(caller, "get_capabilities", "{}").await {
        Ok(Err(error)) if error.code == RESOURCE_UNAVAILABLE => Err(Failure::start(error.message)),
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::no_answer(error)),
    }
}

/// Names the component, and where it is kept compiled.
pub(super) fn component(options: &ComponentOptions) -> Result<PluginBuilder, Failure> {
    let path = match &options.component {
        Some(path) => path.clone(),
        None => {
            let path = default_component_path().map_err(Failure::start)?;
            if !path.exists() {
                return Err(Failure::start(format!(
                    "there is no component at {}; say where it is with `--component FILE`",
                    path.display()
                )));
            }
            path
        }
    };
    let mut builder = Plugin::builder().component(path);
    if !options.no_cache
        && let Some(folder) = xdg_folder("XDG_CACHE_HOME", ".cache")
    {
        builder = builder.cache(folder);
    }
    Ok(builder)
}

fn default_database() -> Result<PathBuf, Failure> {
    let folder = xdg_folder("XDG_DATA_HOME", ".local/share").ok_or_else(|| {
        Failure::start("there is no home directory to keep the store in; use `--store sqlite:PATH`")
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

fn store(location: &StoreLocation) -> Result<Arc<dyn Store>, Failure> {
    match location {
        StoreLocation::Memory => Ok(Arc::new(MemoryStore::new())),
        StoreLocation::Sqlite(path) => match SqliteStore::open(path) {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(Failure::start(error)),
        },
    }
}

/// The key comes before the database, so that a database without its key is
/// never left behind by a first start that fails half-way.
fn keys(options: &Options, location: &StoreLocation) -> Result<Keys, Failure> {
    if let Some(text) = env::var_os("USER_AUTH_MASTER_KEY").filter(|text| !text.is_empty()) {
        let text = Zeroizing::new(text.into_encoded_bytes());
        return str::from_utf8(&text)
            .map_err(|_| KeysError::NotText)
            .and_then(Keys::from_text)
            .map_err(|error| Failure::start(format!("USER_AUTH_MASTER_KEY: {error}")));
    }
    let database = match (location, &options.master_key_file) {
        (StoreLocation::Memory, None) => return Keys::ephemeral().map_err(Failure::start),
        (StoreLocation::Memory, Some(file)) => {
            return Keys::load_or_create(file).map_err(Failure::start);
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
    let file = match &options.master_key_file {
        Some(file) => file.clone(),
        None => folder.join("master.key"),
    };
    if holds_data(database) && !file.exists() {
        return Err(Failure::start(format!(
            "the database {} is there, but not its master key {}: with another key no password \
             and no token in it would be valid any more; put the key back, name it with \
             `--master-key-file FILE` or USER_AUTH_MASTER_KEY, or begin with another database",
            database.display(),
            file.display()
        )));
    }
    Keys::load_or_create(&file).map_err(Failure::start)
}

fn holds_data(database: &Path) -> bool {
    fs::metadata(database).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}
