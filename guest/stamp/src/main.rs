//! Writes the name of a component and the metadata of its Cargo.toml into the
//! component.
//!
//! `make` runs this on the output of the linker, because a Rust program cannot add this
//! metadata itself: a section of a Rust program ends up in the inner module, where
//! registries and `wasm-tools metadata` do not look. The names that the linker adds to
//! the parts are removed, since no tool reads them.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use wasm_encoder::{ComponentNameSection, ComponentSection, CustomSection};
use wasmparser::BinaryReader;

/// Custom sections, by the names that the annotations of OCI images have after
/// `org.opencontainers.image.`; what Cargo.toml does not have is left out.
const SECTIONS: [(&str, &str); 6] = [
    ("version", env!("CARGO_PKG_VERSION")),
    ("description", env!("CARGO_PKG_DESCRIPTION")),
    ("licenses", env!("CARGO_PKG_LICENSE")),
    ("authors", env!("CARGO_PKG_AUTHORS")),
    ("source", env!("CARGO_PKG_REPOSITORY")),
    ("homepage", env!("CARGO_PKG_HOMEPAGE")),
];

/// The preamble of every component, in the only version that exists.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to] = &paths[..] else {
        eprintln!("usage: user-auth-stamp LINKED.wasm NAME.wasm");
        return ExitCode::from(2);
    };
    match stamp(from, to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "cannot write {} from {}: {error}",
                to.display(),
                from.display()
            );
            ExitCode::FAILURE
        }
    }
}

fn stamp(from: &Path, to: &Path) -> io::Result<()> {
    let linked = fs::read(from)?;
    let Some(sections) = linked.strip_prefix(COMPONENT) else {
        return Err(io::Error::other("the file is not a WebAssembly component"));
    };
    let mut component = COMPONENT.to_vec();
    component.extend(without_names(sections).map_err(io::Error::other)?);
    let name = to.file_stem().unwrap_or_default().to_string_lossy();
    append(&mut component, &name);
    // What is as it was keeps its time, so that nothing is built anew because of it.
    match fs::read(to) {
        Ok(present) if present == component => Ok(()),
        _ => fs::write(to, component),
    }
}

/// The sections but those with names. A section is a byte that says what it is, its
/// length, and its content; a custom one, of the kind 0, begins with what it is called.
fn without_names(sections: &[u8]) -> wasmparser::Result<Vec<u8>> {
    let mut kept = Vec::with_capacity(sections.len());
    let mut reader = BinaryReader::new(sections, 0);
    while !reader.eof() {
        let begin = reader.original_position();
        let kind = reader.read_u8()?;
        let length = reader.read_var_u32()? as usize;
        let content = reader.read_bytes(length)?;
        if kind == 0 && BinaryReader::new(content, 0).read_string()? == "component-name" {
            continue;
        }
        kept.extend_from_slice(&sections[begin..reader.original_position()]);
    }
    Ok(kept)
}

/// Custom sections may stand anywhere in a component, so also at its end.
fn append(component: &mut Vec<u8>, name: &str) {
    let mut names = ComponentNameSection::new();
    names.component(name);
    names.append_to_component(component);
    for (name, text) in SECTIONS {
        if text.is_empty() {
            continue;
        }
        let section = CustomSection {
            name: name.into(),
            data: text.as_bytes().into(),
        };
        section.append_to_component(component);
    }
}
