//! Loading a component: what is given is checked, compiled once, and kept
//! compiled in a private cache.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::Cache;
use crate::files::{self, FileError, Guard};
use crate::inspection::Inspection;
use crate::limits::Limits;

/// The interfaces that this host offers, without their versions, and the
/// versions in which it offers them.
const OFFERED: &[(&str, &str)] = &[
    ("user-auth:plugin/client", CONTRACT),
    ("user-auth:plugin/delivery", CONTRACT),
    ("user-auth:plugin/keys", CONTRACT),
    ("user-auth:plugin/password-hash", CONTRACT),
    ("user-auth:plugin/store", CONTRACT),
    ("user-auth:plugin/telemetry", CONTRACT),
    ("user-auth:plugin/types", CONTRACT),
    ("wasi:cli/environment", WASI),
    ("wasi:cli/exit", WASI),
    ("wasi:cli/stderr", WASI),
    ("wasi:cli/stdin", WASI),
    ("wasi:cli/stdout", WASI),
    ("wasi:cli/terminal-input", WASI),
    ("wasi:cli/terminal-output", WASI),
    ("wasi:cli/terminal-stderr", WASI),
    ("wasi:cli/terminal-stdin", WASI),
    ("wasi:cli/terminal-stdout", WASI),
    ("wasi:clocks/monotonic-clock", WASI),
    ("wasi:clocks/wall-clock", WASI),
    ("wasi:io/error", WASI),
    ("wasi:io/poll", WASI),
    ("wasi:io/streams", WASI),
    ("wasi:random/insecure", WASI),
    ("wasi:random/insecure-seed", WASI),
    ("wasi:random/random", WASI),
];

/// The interfaces that a component must export.
const REQUIRED: &[&str] = &[
    "user-auth:plugin/auth",
    "user-auth:plugin/forward-auth",
    "user-auth:plugin/maintenance",
    "user-auth:plugin/mcp",
];

/// Semantic versioning: before 1.0 the second number is the compatible line.
const CONTRACT: &str = "0.1";
const WASI: &str = "0.2";

/// What a core module begins with.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Where a component comes from.
#[derive(Clone)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Its bytes.
    Bytes(Vec<u8>),
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The file cannot be read, or others have a hand in it.
    #[error("the component {0}")]
    File(#[from] FileError),
    /// It is larger than [`Limits::component_bytes`].
    #[error("{origin} has {size} bytes, and a component may have at most {limit}")]
    TooLarge {
        /// What was given.
        origin: Origin,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// It is no WebAssembly component at all.
    #[error("{origin} is {found}, not a WebAssembly component; {advice}")]
    NotAComponent {
        /// What was given.
        origin: Origin,
        /// What it is instead.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// It begins as a component and is damaged, or uses a feature of
    /// WebAssembly that is switched off.
    #[error("{origin} is not a valid component: {reason}")]
    Invalid {
        /// What was given.
        origin: Origin,
        /// What the compiler says.
        reason: String,
    },
    /// It wants what a sandboxed component does not get.
    #[error(
        "{origin} imports what this host does not offer: {}; `user-auth inspect` lists what it does",
        names.join(", ")
    )]
    ImportsNotOffered {
        /// What was given.
        origin: Origin,
        /// The full names.
        names: Vec<String>,
    },
    /// It does not do what the host is to call.
    #[error(
        "{origin} does not export {}; it is not built for the world user-auth:plugin/plugin@0.1.0",
        names.join(", ")
    )]
    ExportsMissing {
        /// What was given.
        origin: Origin,
        /// Names without versions.
        names: Vec<String>,
    },
    /// The names are right and the functions behind them are not.
    #[error("{origin} does not fit the contract user-auth:plugin@0.1.0: {reason}")]
    Mismatch {
        /// What was given.
        origin: Origin,
        /// Which function, and how.
        reason: String,
    },
}

/// What an error speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// Bytes.
    Bytes,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Bytes => f.write_str("the component"),
        }
    }
}

/// A component that has been compiled.
pub(crate) struct Loaded {
    pub(crate) component: Component,
    pub(crate) origin: Origin,
    pub(crate) inspection: Inspection,
}

/// Reads, checks and compiles; takes compiled code from `cache` if it is there.
pub(crate) fn load(
    engine: &Engine,
    source: &Source,
    cache: Option<&Cache>,
    limits: &Limits,
) -> Result<Loaded, ComponentError> {
    let (origin, bytes) = read(source, limits)?;
    refuse_other_formats(&origin, &bytes)?;
    let sha256: [u8; 32] = Sha256::digest(&bytes).into();
    let component = match cache.and_then(|cache| cache.get(engine, &sha256)) {
        Some(component) => component,
        None => compile(engine, &origin, &bytes, &sha256, cache)?,
    };
    let inspection = look(&origin, &bytes)?;
    Ok(Loaded {
        component,
        origin,
        inspection,
    })
}

/// Reads a component or a core module, and says what it is made of.
pub(crate) fn inspect(source: &Source, limits: &Limits) -> Result<Inspection, ComponentError> {
    let (origin, bytes) = read(source, limits)?;
    if !bytes.starts_with(CORE_MODULE) {
        refuse_other_formats(&origin, &bytes)?;
    }
    look(&origin, &bytes)
}

fn look(origin: &Origin, bytes: &[u8]) -> Result<Inspection, ComponentError> {
    Inspection::of(bytes).map_err(|error| ComponentError::Invalid {
        origin: origin.clone(),
        reason: error.to_string(),
    })
}

impl Loaded {
    /// Holds the names of imports and exports against what the host has: that
    /// says more, and all at once, than linking would.
    pub(crate) fn refuse_foreign_interfaces(&self) -> Result<(), ComponentError> {
        let inspection = &self.inspection;
        let not_offered: Vec<String> = inspection
            .imports
            .iter()
            .filter(|import| !import.known)
            .map(|import| import.name.clone())
            .collect();
        if !not_offered.is_empty() {
            return Err(ComponentError::ImportsNotOffered {
                origin: self.origin.clone(),
                names: not_offered,
            });
        }
        let missing: Vec<String> = REQUIRED
            .iter()
            .filter(|required| {
                !inspection
                    .exports
                    .iter()
                    .any(|export| export.known && base_name(&export.name) == **required)
            })
            .map(|required| format!("{required}@{CONTRACT}.0"))
            .collect();
        if !missing.is_empty() {
            return Err(ComponentError::ExportsMissing {
                origin: self.origin.clone(),
                names: missing,
            });
        }
        Ok(())
    }
}

fn read(source: &Source, limits: &Limits) -> Result<(Origin, Vec<u8>), ComponentError> {
    let too_large = |origin, size| ComponentError::TooLarge {
        origin,
        size,
        limit: limits.component_bytes,
    };
    let path = match source {
        Source::Bytes(bytes) if bytes.len() as u64 > limits.component_bytes => {
            return Err(too_large(Origin::Bytes, bytes.len() as u64));
        }
        Source::Bytes(bytes) => return Ok((Origin::Bytes, bytes.clone())),
        Source::File(path) => path,
    };
    let problem = |error| FileError::io(path, error);
    let file = files::open(path, Guard::Trusted)?;
    let origin = Origin::File(path.clone());
    let size = file.metadata().map_err(problem)?.len();
    if size > limits.component_bytes {
        return Err(too_large(origin, size));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let mut limited = file.take(limits.component_bytes);
    limited.read_to_end(&mut bytes).map_err(problem)?;
    Ok((origin, bytes))
}

/// Recognises what people give by mistake, by its first bytes.
fn refuse_other_formats(origin: &Origin, bytes: &[u8]) -> Result<(), ComponentError> {
    let (found, advice) = match bytes {
        [b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        bytes if bytes.starts_with(CORE_MODULE) => (
            "a core WebAssembly module",
            "build it for the target wasm32-wasip2",
        ),
        [b'\0', b'a', b's', b'm', ..] => (
            "WebAssembly of a version that this host does not know",
            "build it for the target wasm32-wasip2",
        ),
        [] => ("an empty file", "build it again"),
        bytes if Engine::detect_precompiled(bytes).is_some() => (
            "compiled machine code, which cannot be checked",
            "give the .wasm file that it was compiled from",
        ),
        bytes if std::str::from_utf8(bytes).is_ok() => {
            ("text", "give the .wasm file, in the binary format")
        }
        _ => (
            "a file of another format",
            "give a .wasm file built for the target wasm32-wasip2",
        ),
    };
    Err(ComponentError::NotAComponent {
        origin: origin.clone(),
        found,
        advice,
    })
}

fn compile(
    engine: &Engine,
    origin: &Origin,
    bytes: &[u8],
    sha256: &[u8; 32],
    cache: Option<&Cache>,
) -> Result<Component, ComponentError> {
    let component =
        Component::from_binary(engine, bytes).map_err(|error| ComponentError::Invalid {
            origin: origin.clone(),
            reason: format!("{error:#}"),
        })?;
    if let Some(cache) = cache {
        cache.put(&component, sha256);
    }
    Ok(component)
}

/// Whether this host offers the interface of this full name.
pub(crate) fn is_offered(name: &str) -> bool {
    OFFERED
        .iter()
        .any(|(offered, line)| matches(name, offered, line))
}

/// Whether this host calls the interface of this full name.
pub(crate) fn is_used(name: &str) -> bool {
    REQUIRED
        .iter()
        .any(|required| matches(name, required, CONTRACT))
}

/// Whether `name` is the interface `base` in a version of `line`.
fn matches(name: &str, base: &str, line: &str) -> bool {
    let Some((name, version)) = name.split_once('@') else {
        return false;
    };
    name == base
        && version
            .strip_prefix(line)
            .is_some_and(|rest| rest.starts_with('.'))
}

fn base_name(name: &str) -> &str {
    name.split_once('@').map_or(name, |(base, _)| base)
}

/// Where the component is looked for when nobody says where it is: beside the
/// executable, under the name `user-auth.wasm`.
pub fn default_component_path() -> io::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let folder = executable.parent().unwrap_or(Path::new("."));
    Ok(folder.join("user-auth.wasm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        refuse_other_formats(&Origin::Bytes, bytes)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn says_what_was_given_instead_of_a_component() {
        assert!(refused(b"\0asm\x01\0\0\0").contains("a core WebAssembly module"));
        assert!(refused(b"(component)").contains("is text"));
        assert!(refused(b"").contains("an empty file"));
        assert!(refused(b"\x7fELF\xff\xfe").contains("another format"));
    }

    #[test]
    fn a_version_fits_when_it_is_of_the_same_line() {
        assert!(is_offered("wasi:cli/stdout@0.2.6"));
        assert!(!is_offered("wasi:cli/stdout@0.3.0"));
        assert!(!is_offered("wasi:cli/stdout@0.20.0"));
        assert!(!is_offered("wasi:cli/stdout"));
        assert!(!is_offered("wasi:filesystem/types@0.2.6"));
        assert!(!is_offered("wasi:sockets/tcp@0.2.6"));
    }
}
