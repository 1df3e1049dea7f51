//! Packs what the component carries about and seldom looks at: a twentieth of it
//! packed, and as it is a sixth.

mod shapes;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The files to pack, below `src`.
const FILES: [&str; 2] = ["domain/blocklist/common-passwords.txt", SCHEMAS];
const SCHEMAS: &str = "operations/schemas.jsonl";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build");
    // Cargo sets it for every build script.
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for file in FILES {
        let path = Path::new("src").join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_name().unwrap_or_default();
        let read = fs::read(&path).map_err(|error| {
            io::Error::other(format!("{} cannot be read: {error}", path.display()))
        })?;
        pack(&read, &out.join(name))?;
    }
    let schemas = fs::read_to_string(Path::new("src").join(SCHEMAS))?;
    pack(shapes::of(&schemas)?.as_bytes(), &out.join("shapes.jsonl"))
}

/// As `packed::Packed` of the component reads it.
fn pack(bytes: &[u8], to: &Path) -> io::Result<()> {
    fs::write(to, miniz_oxide::deflate::compress_to_vec(bytes, 10))
}
