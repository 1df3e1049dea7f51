//! Tests that the references of the documents exist: links, paths of the repository and
//! targets of make.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{document, repository};

/// The documents, by their paths in the repository.
fn documents() -> Vec<String> {
    let mut found = Vec::new();
    collect(&repository(), "", &mut found);
    assert!(found.len() > 20, "{found:?}");
    found
}

/// Without what was built, installed or kept by other programs.
fn collect(top: &Path, folder: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(top.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = match folder {
            "" => name.clone(),
            _ => format!("{folder}/{name}"),
        };
        let is_ours = !["target", "node_modules"].contains(&name.as_str());
        if entry.file_type().unwrap().is_dir() {
            if is_ours && !name.starts_with('.') {
                collect(top, &path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut broken = Vec::new();
    let mut links = 0;
    for path in documents() {
        let text = prose(&document(&path));
        for link in text.split("](").skip(1) {
            let (link, _) = link.split_once(')').expect(&path);
            if link.contains("://") {
                continue;
            }
            links += 1;
            if !leads_somewhere(&path, link) {
                broken.push(format!("{path}: {link}"));
            }
        }
    }
    assert!(links > 50, "{links}");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_document_is_linked_from_another() {
    let documents = documents();
    let mut linked = BTreeSet::from(["README.md".to_owned()]);
    for path in &documents {
        for link in prose(&document(path)).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if let Some(target) = resolved(path, target) {
                linked.insert(target);
            }
        }
    }
    let lost: Vec<&String> = documents
        .iter()
        .filter(|path| !linked.contains(*path))
        .collect();
    assert!(lost.is_empty(), "no document links to {lost:?}");
}

#[test]
fn every_target_of_make_in_a_document_exists() {
    let makefile = document("Makefile");
    for path in documents() {
        for code in code(&document(&path)) {
            for command in code.lines().filter_map(|line| line.strip_prefix("make ")) {
                let mut targets = command.split_whitespace();
                let target = targets.find(|word| !word.contains('=')).expect(&path);
                let exists = makefile
                    .lines()
                    .any(|line| line.starts_with(&format!("{target}:")));
                assert!(exists, "{path}: make {target}");
            }
        }
    }
}

#[test]
fn every_path_of_the_repository_in_a_document_exists() {
    let mut missing = Vec::new();
    for path in documents() {
        for code in code(&document(&path)) {
            let is_path = ["guest/", "host/", "tests/", "wit/"]
                .iter()
                .any(|top| code.starts_with(top))
                && code
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c));
            if is_path && !repository().join(&code).exists() {
                missing.push(format!("{path}: {code}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether the target of a link in this document exists, and its heading, if it names one.
fn leads_somewhere(from: &str, link: &str) -> bool {
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (link, None),
    };
    let Some(target) = (match file {
        "" => Some(from.to_owned()),
        _ => resolved(from, file),
    }) else {
        return false;
    };
    match anchor {
        None => true,
        Some(anchor) => anchors(&document(&target)).contains(anchor),
    }
}

/// The path in the repository of a file or folder that a document names by a relative path.
fn resolved(from: &str, link: &str) -> Option<String> {
    let top = repository().canonicalize().unwrap();
    let folder = Path::new(from).parent()?;
    let path = top.join(folder).join(link).canonicalize().ok()?;
    Some(path.strip_prefix(&top).ok()?.to_str()?.to_owned())
}

/// The anchors that GitHub makes of headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let text = without_blocks(text);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter_map(|c| match c {
                ' ' => Some('-'),
                '-' | '_' => Some(c),
                _ => c.is_alphanumeric().then_some(c),
            });
            kept.collect()
        })
        .collect()
}

/// A document without its blocks of code.
fn without_blocks(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// A document without its code.
fn prose(text: &str) -> String {
    let text = without_blocks(text);
    text.split('`').step_by(2).collect()
}

/// The pieces of code of a document: its blocks, without the language, and what stands
/// between back-ticks.
fn code(text: &str) -> Vec<String> {
    let blocks = text.split("```").skip(1).step_by(2);
    let blocks = blocks.map(|block| block.split_once('\n').map_or("", |(_, code)| code));
    let mut found: Vec<String> = blocks.map(str::to_owned).collect();
    let text = without_blocks(text);
    found.extend(text.split('`').skip(1).step_by(2).map(str::to_owned));
    found
}
