//! Loads a component: checks it, compiles it once, and keeps the compiled code in a
//! private cache.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::MmapMut;
use sha2::{Digest as _, Sha256};
use tracing::info;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::files::{self, FileError, Guard};
use crate::limits::Limits;
use crate::plugin::cache::Cache;
use crate::plugin::contract::{CONTRACT, REQUIRED, base_name};
use crate::plugin::inspect::Inspection;

/// The first bytes of a core module.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// The source of a component.
#[derive(Clone)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The bytes of the component.
    Bytes(Vec<u8>),
}

/// Reasons why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The file cannot be read, or other users may change it.
    #[error("the component {0}")]
    File(#[from] FileError),
    /// The component is larger than [`Limits::component_bytes`].
    #[error("{origin} has {size} bytes, but a component may have at most {limit}")]
    TooLarge {
        /// The component that was named.
        origin: Origin,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is not a WebAssembly component.
    #[error("{origin} is {found}, not a WebAssembly component; {advice}")]
    NotAComponent {
        /// The component that was named.
        origin: Origin,
        /// The kind of file that was found instead.
        found: &'static str,
        /// Advice for the user.
        advice: &'static str,
    },
    /// The file begins like a component but is damaged, or uses a WebAssembly feature
    /// that is disabled.
    #[error("{origin} is not a valid component: {reason}")]
    Invalid {
        /// The component that was named.
        origin: Origin,
        /// The compiler's error.
        reason: String,
    },
    /// The component imports interfaces that a sandboxed component does not get.
    #[error(
        "{origin} imports what this host does not offer: {}; `user-auth inspect` lists what it offers",
        names.join(", ")
    )]
    ImportsNotOffered {
        /// The component that was named.
        origin: Origin,
        /// Full names of the interfaces.
        names: Vec<String>,
    },
    /// The component lacks exports that the host calls.
    #[error(
        "{origin} does not export {}; build it for the world user-auth:plugin/plugin@0.2.0",
        names.join(", ")
    )]
    ExportsMissing {
        /// The component that was named.
        origin: Origin,
        /// Names of the interfaces, without versions.
        names: Vec<String>,
    },
    /// The interfaces have the right names but different functions.
    #[error("{origin} does not fit the contract user-auth:plugin@0.2.0: {reason}")]
    Mismatch {
        /// The component that was named.
        origin: Origin,
        /// The function, and how it differs.
        reason: String,
    },
}

/// The component that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// Bytes from memory.
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

/// A compiled component.
pub(crate) struct Loaded {
    pub(crate) component: Component,
    pub(crate) origin: Origin,
    pub(crate) inspection: Inspection,
}

/// A component that was read.
pub(crate) struct Binary<'a> {
    origin: Origin,
    bytes: Contents<'a>,
    sha256: [u8; 32],
}

impl<'a> Binary<'a> {
    /// Reads a component.
    pub(crate) fn read(source: &'a Source, limits: &Limits) -> Result<Self, ComponentError> {
        let (origin, bytes) = read(source, limits)?;
        refuse_other_formats(&origin, &bytes)?;
        let sha256 = Sha256::digest(&*bytes).into();
        Ok(Self {
            origin,
            bytes,
            sha256,
        })
    }

    /// Checks and compiles the component, or takes the compiled code from `cache`.
    pub(crate) fn load(
        self,
        engine: &Engine,
        cache: Option<&Cache>,
    ) -> Result<Loaded, ComponentError> {
        let Self {
            origin,
            bytes,
            sha256,
        } = self;
        let component = match cache.and_then(|cache| cache.get(engine, &sha256)) {
            Some(component) => component,
            None => compile(engine, &origin, &bytes, &sha256, cache)?,
        };
        let inspection = look(&origin, &bytes, &sha256)?;
        Ok(Loaded {
            component,
            origin,
            inspection,
        })
    }
}

/// Reads a component or a core module, and describes its contents.
pub(crate) fn inspect(source: &Source, limits: &Limits) -> Result<Inspection, ComponentError> {
    let (origin, bytes) = read(source, limits)?;
    if !bytes.starts_with(CORE_MODULE) {
        refuse_other_formats(&origin, &bytes)?;
    }
    look(&origin, &bytes, &Sha256::digest(&*bytes).into())
}

fn look(origin: &Origin, bytes: &[u8], sha256: &[u8; 32]) -> Result<Inspection, ComponentError> {
    Inspection::of(bytes, sha256).map_err(|error| ComponentError::Invalid {
        origin: origin.clone(),
        reason: error.to_string(),
    })
}

impl Loaded {
    /// Compares the names of imports and exports with those of the host: this reports
    /// more than linking would, and everything at once.
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

/// The bytes of a component.
enum Contents<'a> {
    Given(&'a [u8]),
    Read(MmapMut),
}

impl Deref for Contents<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Given(bytes) => bytes,
            Self::Read(bytes) => bytes,
        }
    }
}

fn read<'a>(source: &'a Source, limits: &Limits) -> Result<(Origin, Contents<'a>), ComponentError> {
    let too_large = |origin, size| ComponentError::TooLarge {
        origin,
        size,
        limit: limits.component_bytes,
    };
    let path = match source {
        Source::Bytes(bytes) if bytes.len() as u64 > limits.component_bytes => {
            return Err(too_large(Origin::Bytes, bytes.len() as u64));
        }
        Source::Bytes(bytes) => return Ok((Origin::Bytes, Contents::Given(bytes))),
        Source::File(path) => path,
    };
    let problem = |error| FileError::io(path, error);
    let file = files::open(path, Guard::Trusted)?;
    let origin = Origin::File(path.clone());
    let size = file.metadata().map_err(problem)?.len();
    if size > limits.component_bytes {
        return Err(too_large(origin, size));
    }
    let Ok(length) = usize::try_from(size) else {
        return Err(too_large(origin, size));
    };
    if length == 0 {
        return Ok((origin, Contents::Given(&[])));
    }
    let bytes = files::read_large(&file, length).map_err(problem)?;
    Ok((origin, Contents::Read(bytes)))
}

/// Recognises files that are named by mistake, by their first bytes.
fn refuse_other_formats(origin: &Origin, bytes: &[u8]) -> Result<(), ComponentError> {
    let (found, advice) = match bytes {
        [b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        bytes if bytes.starts_with(CORE_MODULE) => (
            "a core WebAssembly module",
            "build it for the target wasm32-wasip2",
        ),
        [b'\0', b'a', b's', b'm', ..] => (
            "WebAssembly of a version that this host does not support",
            "build it for the target wasm32-wasip2",
        ),
        [] => ("an empty file", "build it again"),
        bytes if Engine::detect_precompiled(bytes).is_some() => (
            "compiled machine code, which cannot be checked",
            "use the .wasm file that it was compiled from",
        ),
        bytes if std::str::from_utf8(bytes).is_ok() => {
            ("text", "use the .wasm file, in the binary format")
        }
        _ => (
            "a file of another format",
            "use a .wasm file built for the target wasm32-wasip2",
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
    // It takes seconds, in which nothing else is said.
    match cache {
        Some(_) => info!("compiling the component; later starts use the cache"),
        None => info!("compiling the component"),
    }
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

/// Returns the default path of the component: `user-auth.wasm` beside the executable.
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
    fn other_file_formats_are_named() {
        assert!(refused(b"\0asm\x01\0\0\0").contains("a core WebAssembly module"));
        assert!(refused(b"(component)").contains("is text"));
        assert!(refused(b"").contains("an empty file"));
        assert!(refused(b"\x7fELF\xff\xfe").contains("another format"));
    }
}
