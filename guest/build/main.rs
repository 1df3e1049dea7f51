//! Prepares the files that the component embeds: the list of common passwords and the schemas
//! for clients are packed, since few calls read them; the shapes of inputs are written as
//! calls read them.

mod lean;
mod public;
mod shapes;
mod two_forms;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// A file to compress, below `src`.
const PASSWORDS: &str = "domain/credentials/blocklist/common-passwords.txt";
/// A file to embed extracts of, below `src`.
const SCHEMAS: &str = "dispatch/schemas.jsonl";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    let out = PathBuf::from(out);
    let passwords = read(PASSWORDS)?;
    pack(passwords.as_bytes(), &out.join("common-passwords.txt"))?;
    let schemas = read(SCHEMAS)?;
    let (inputs, outputs) = public::of(&schemas)?;
    pack(inputs.as_bytes(), &out.join("inputs.tsv"))?;
    pack(outputs.as_bytes(), &out.join("outputs.jsonl"))?;
    fs::write(out.join("shapes.jsonl"), shapes::of(&schemas)?)
}

fn read(file: &str) -> io::Result<String> {
    let path = Path::new("src").join(file);
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read_to_string(&path)
        .map_err(|error| io::Error::other(format!("{} cannot be read: {error}", path.display())))
}

/// Compresses bytes for `assets::Packed` of the component: their number, and what DEFLATE
/// makes of them.
fn pack(bytes: &[u8], to: &Path) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let packed = miniz_oxide::deflate::compress_to_vec(bytes, 10);
    fs::write(to, [&length.to_le_bytes(), &*packed].concat())
}
