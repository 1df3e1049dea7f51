//! The documents of the repository say what is so.

mod examples;
mod readme;
mod references;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};

/// The top of the repository.
fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("it is in the repository").to_owned()
}

/// The text of a document, by its path in the repository.
fn document(path: &str) -> String {
    let text = fs::read_to_string(repository().join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The blocks of code in this language, in their order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    let blocks = text.split(&start).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}
