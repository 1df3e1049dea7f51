//! Writes into a component what it is: its name, and what its Cargo.toml says of it.
//! `make` calls this on what the linker gave, which has nowhere to say so itself: a
//! section of a Rust program ends up in the module inside, where registries and
//! `wasm-tools metadata` do not look. What the linker called the parts goes: nothing
//! reads it.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use leb128fmt::{decode_uint_slice, encode_u32};

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

/// What every component begins with, of the only version that there is.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The kind of custom sections.
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
                "{} cannot be made of {}: {error}",
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
        return Err(io::Error::other("it is not a component"));
    };
    let mut component = COMPONENT.to_vec();
    component.extend(without_names(sections)?);
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

/// Splits off bytes that follow their own length.
fn take_sized(bytes: &[u8]) -> io::Result<(&[u8], &[u8])> {
    let mut start = 0;
    decode_uint_slice::<u32, 32>(bytes, &mut start)
        .ok()
        .and_then(|size| bytes[start..].split_at_checked(size as usize))
        .ok_or_else(|| io::Error::other("a section of it is damaged"))
}

/// Custom sections may stand anywhere in a component, so also at its end.
fn append(component: &mut Vec<u8>, name: &str) {
    // The part 0 of the names is that of the component.
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
    let size = u32::try_from(bytes.len()).expect("what describes a component is short");
    let (digits, length) = encode_u32(size).expect("every u32 has an encoding");
    into.extend_from_slice(&digits[..length]);
    into.extend_from_slice(bytes);
}
