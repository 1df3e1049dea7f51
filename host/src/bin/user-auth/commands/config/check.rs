//! `user-auth config check` finds the errors that a start would report, without
//! starting.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tracing::Level;
use user_auth_host::store::MemoryStore;
use user_auth_host::{MasterKey, StoreKeys};

use crate::bootstrap::{self, NoKey, component, location, smoke_test};
use crate::commands::serve::{load_tls, policy, refuse_to_be_open};
use crate::config::registry::keys;
use crate::config::{Config, Flags};
use crate::delivery::Reach;
use crate::failure::Failure;
use crate::options::StoreLocation;
use crate::output;
use crate::runtime::configure;

pub(crate) async fn run(file: PathBuf) -> Result<ExitCode, Failure> {
    let shown = file.display().to_string();
    // An invalid file is an invalid argument here.
    let config = configure(&Flags::of_file(Some(file)), Level::WARN).map_err(Failure::usage)?;
    check(&config).await?;
    let set = config.origins.len();
    let text = format!(
        "{shown} is valid; {set} of {} keys are set\n",
        keys().all.len()
    );
    output::print(&output::printable_lines(&text))?;
    Ok(ExitCode::SUCCESS)
}

/// Checks everything that can be known before a start, and reports all errors at once.
async fn check(config: &Config) -> Result<(), Failure> {
    let reach = reach(config);
    let mut problems: Vec<String> = [
        check_address(config),
        check_policy(config),
        config.logging.traces_url().map(drop),
        check_consul(config),
        load_tls(config).map(drop),
        config.delivery.open(reach).map(drop),
        config.oauth.logo().map(drop),
        check_store(config),
        check_master_key(config),
        check_audit_log(config),
        check_component(config).await,
    ]
    .into_iter()
    .filter_map(Result::err)
    .map(|failure| failure.to_string())
    .collect();
    // A store in PostgreSQL needs the same key.
    problems.dedup();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::start(problems.join("\n")))
    }
}

fn check_consul(config: &Config) -> Result<(), Failure> {
    let listening = address(config).unwrap_or((Ipv4Addr::LOCALHOST, 8000).into());
    match &config.discovery.consul {
        Some(consul) => consul.open(listening, false).map(drop),
        None => Ok(()),
    }
}

fn check_policy(config: &Config) -> Result<(), Failure> {
    let policy = policy(config, config.server.tls.is_some())?;
    policy.check(config.requires_key()).map_err(Failure::usage)
}

/// Returns the address if it is numeric. Names are resolved only at a start.
fn address(config: &Config) -> Option<SocketAddr> {
    config.server.listen.parse().ok()
}

/// Returns the reach for the delivery. On the operator's own machine no warning is
/// needed before a server runs.
fn reach(config: &Config) -> Reach {
    match address(config).map(|address| Reach::of(address.ip())) {
        Some(Reach::Network) => Reach::Network,
        _ => Reach::Operator,
    }
}

fn check_address(config: &Config) -> Result<(), Failure> {
    address(config).map_or(Ok(()), |address| refuse_to_be_open(address, config))
}

/// Checks that the folders of files created at the first start exist, and all other
/// files.
fn check_store(config: &Config) -> Result<(), Failure> {
    if config.store.url.is_none() {
        return Ok(());
    }
    match location(config)? {
        StoreLocation::Sqlite(database) => check_folder(&database),
        postgres @ StoreLocation::Postgres(_) => {
            bootstrap::master_key(config, &postgres, NoKey::Fail).map(drop)
        }
        StoreLocation::Memory => Ok(()),
    }
}

fn check_audit_log(config: &Config) -> Result<(), Failure> {
    match &config.audit.file {
        Some(file) if file != Path::new("-") => check_folder(file),
        _ => Ok(()),
    }
}

/// Reads the file with the master key, if it is there already: a start could create it.
fn check_master_key(config: &Config) -> Result<(), Failure> {
    match &config.master_key.file {
        Some(file) if file.exists() => MasterKey::load(file).map(drop).map_err(Failure::start),
        Some(file) => check_folder(file),
        None => Ok(()),
    }
}

fn check_folder(file: &Path) -> Result<(), Failure> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(Failure::start(format!(
                "the folder {} of {} does not exist",
                folder.display(),
                file.display()
            )))
        }
        _ => Ok(()),
    }
}

/// Lets the component check its settings, on a temporary store.
async fn check_component(config: &Config) -> Result<(), Failure> {
    let mut builder = component(&config.component)?
        .store(Arc::new(MemoryStore::new()))
        .keys(StoreKeys::ephemeral().map_err(Failure::start)?)
        .limits(config.limits.0.clone());
    for (name, value) in config.settings() {
        builder = builder.setting(name, value);
    }
    let plugin = builder.build().map_err(Failure::start)?;
    smoke_test(&plugin, config).await
}
