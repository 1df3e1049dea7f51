//! Packs what the component carries about and seldom looks at: a twentieth of it
//! packed, and as it is a sixth.

mod public;
mod shapes;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// A file to pack, below `src`.
const PASSWORDS: &str = "domain/credentials/blocklist/common-passwords.txt";
/// A file to pack extracts of, below `src`.
const SCHEMAS: &str = "dispatch/schemas.jsonl";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build");
    // Cargo sets it for every build script.
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let passwords = read(PASSWORDS)?;
    pack(passwords.as_bytes(), &out.join("common-passwords.txt"))?;
    let schemas = read(SCHEMAS)?;
    pack(public::of(&schemas)?.as_bytes(), &out.join("schemas.jsonl"))?;
    pack(shapes::of(&schemas)?.as_bytes(), &out.join("shapes.jsonl"))
}

fn read(file: &str) -> io::Result<String> {
    let path = Path::new("src").join(file);
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read_to_string(&path)
        .map_err(|error| io::Error::other(format!("{} cannot be read: {error}", path.display())))
}

/// As `assets::Packed` of the component reads it.
fn pack(bytes: &[u8], to: &Path) -> io::Result<()> {
    fs::write(to, miniz_oxide::deflate::compress_to_vec(bytes, 10))
}
