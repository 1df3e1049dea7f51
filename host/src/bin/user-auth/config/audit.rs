//! `audit`: the destination of audit lines, in addition to the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use user_auth_host::AuditLog;

use crate::failure::Failure;

/// The destination of audit lines, in addition to the store.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Audit {
    /// A file to which a line of JSON is appended for each operation; `-` is standard
    /// error. Default: no such log.
    pub(crate) file: Option<PathBuf>,
}

impl Audit {
    /// Opens the log, if one is configured.
    pub(crate) fn open(&self) -> Result<Option<Arc<AuditLog>>, Failure> {
        let log = match self.file.as_deref() {
            None => return Ok(None),
            Some(path) if path == Path::new("-") => AuditLog::stderr(),
            Some(path) => AuditLog::file(path)
                .map_err(|error| Failure::start(format!("the audit log {error}")))?,
        };
        Ok(Some(Arc::new(log)))
    }
}
