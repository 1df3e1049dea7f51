//! Writes the metadata of a component into it: its name, and the description from its
//! Cargo.toml. `make` runs this on the output of the linker, because a custom section of a
//! Rust program ends up in the core module inside the component, where registries and
//! `wasm-tools metadata` do not look. The names that the linker gave to the parts are
//! removed, because nothing reads them.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use leb128fmt::{decode_uint_slice, encode_u32};

/// The custom sections, named like the annotations of OCI images without the prefix
/// `org.opencontainers.image.`. Fields that Cargo.toml does not have are left out.
const SECTIONS: [(&str, &str); 6] = [
    ("version", env!("CARGO_PKG_VERSION")),
    ("description", env!("CARGO_PKG_DESCRIPTION")),
    ("licenses", env!("CARGO_PKG_LICENSE")),
    ("authors", env!("CARGO_PKG_AUTHORS")),
    ("source", env!("CARGO_PKG_REPOSITORY")),
    ("homepage", env!("CARGO_PKG_HOMEPAGE")),
];

/// The header of every component, in the only version that exists.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The id of custom sections.
const CUSTOM: u8 = 0;

/// The custom section with the names of the component and of its parts.
const NAMES: &str = "component-name";

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
        return Err(io::Error::other("the file is not a component"));
    };
    let mut component = COMPONENT.to_vec();
    component.extend(without_names(sections)?);
    let name = to.file_stem().unwrap_or_default().to_string_lossy();
    append(&mut component, &name);
    // An unchanged file keeps its modification time, so that nothing is rebuilt because of
    // it.
    match fs::read(to) {
        Ok(present) if present == component => Ok(()),
        _ => fs::write(to, component),
    }
}

/// Returns all sections except those with names. A section consists of a byte for its id,
/// its length, and its content; the content of a custom section, with id 0, begins with its
/// name.
fn without_names(sections: &[u8]) -> io::Result<Vec<u8>> {
    let mut kept = Vec::with_capacity(sections.len());
    let mut rest = sections;
    while let Some((kind, after)) = rest.split_first() {
        let (content, next) = take_sized(after)?;
        let (section, _) = rest.split_at(rest.len() - next.len());
        rest = next;
        if *kind == CUSTOM && take_sized(content)?.0 == NAMES.as_bytes() {
            continue;
        }
        kept.extend_from_slice(section);
    }
    Ok(kept)
}

/// Splits off the bytes that follow a length prefix.
fn take_sized(bytes: &[u8]) -> io::Result<(&[u8], &[u8])> {
    let mut start = 0;
    decode_uint_slice::<u32, 32>(bytes, &mut start)
        .ok()
        .and_then(|size| bytes[start..].split_at_checked(size as usize))
        .ok_or_else(|| io::Error::other("a section of the component is damaged"))
}

/// Appends the name and the custom sections, which may be anywhere in a component.
fn append(component: &mut Vec<u8>, name: &str) {
    // Subsection 0 of the names contains the name of the component.
    let mut names = vec![0];
    push_sized(&mut names, &sized(name.as_bytes()));
    push_custom(component, NAMES, &names);
    for (name, text) in SECTIONS {
        if !text.is_empty() {
            push_custom(component, name, text.as_bytes());
        }
    }
}

fn push_custom(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    component.push(CUSTOM);
    push_sized(component, &[&sized(name.as_bytes()), data].concat());
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let mut sized = Vec::new();
    push_sized(&mut sized, bytes);
    sized
}

fn push_sized(into: &mut Vec<u8>, bytes: &[u8]) {
    let size = u32::try_from(bytes.len()).expect("the metadata of a component is short");
    let (digits, length) = encode_u32(size).expect("every u32 has an encoding");
    into.extend_from_slice(&digits[..length]);
    into.extend_from_slice(bytes);
}
