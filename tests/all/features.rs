//! Tests that `make run` compiles only what the program needs, and that `make test` compiles
//! none of it again. Cargo compiles a crate again for each set of features, and everything
//! that depends on it as well.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates by name and version, each with the sets of features that it is compiled with:
/// macros and build scripts may need other features than the program.
type Crates = BTreeMap<String, BTreeSet<Features>>;
type Features = BTreeSet<String>;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a program in the repository, and returns its output.
fn output_of(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.current_dir(repository()).args(arguments);
    // These variables belong to a `make` that runs this test.
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the crates that cargo compiles for this selection of packages.
fn crates(selection: &[&str], edges: &str) -> Crates {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut arguments = vec!["tree", "--offline", "--locked", "--prefix", "none"];
    arguments.extend(["--edges", edges, "--format", "{p} [{f}]"]);
    arguments.extend(selection);
    let mut crates = Crates::new();
    for line in output_of(&cargo, &arguments).lines() {
        let Some((package, features)) = line.split_once('[') else {
            continue;
        };
        // After name and version stands a path, or that it is a macro.
        let mut words = package.split_whitespace();
        let name = [words.next().unwrap(), words.next().unwrap()].join(" ");
        let (features, _) = features.split_once(']').unwrap();
        let features = features.split(',').filter(|feature| !feature.is_empty());
        let features = features.map(str::to_owned).collect();
        crates.entry(name).or_default().insert(features);
    }
    assert!(crates.len() > 100, "{} crates", crates.len());
    crates
}

/// Returns the crates that `make run` compiles besides the component.
fn program() -> Crates {
    let recipe = output_of("make", &["--dry-run", "host"]);
    let build = recipe.lines().find(|line| line.contains(" build "));
    let words: Vec<&str> = build.expect(&recipe).split_whitespace().collect();
    let named = words.windows(2).filter(|pair| pair[0] == "-p");
    let selection: Vec<&str> = named.flatten().copied().collect();
    assert!(!selection.is_empty(), "{recipe}");
    crates(&selection, "normal,build")
}

/// Returns the crates that `make test` compiles.
fn tests() -> Crates {
    crates(&["--workspace"], "normal,build,dev")
}

#[test]
fn the_program_and_the_tests_share_one_build_of_their_dependencies() {
    let tests = tests();
    let manifest = fs::read_to_string(repository().join("host/Cargo.toml")).unwrap();
    let mut direct = Vec::new();
    let mut others = Vec::new();
    for (package, sets) in program() {
        for features in sets.difference(&tests[&package]) {
            let missing = tests[&package]
                .iter()
                .map(|of_tests| of_tests.difference(features).cloned().collect())
                .filter(|missing: &Vec<String>| !missing.is_empty())
                .min_by_key(Vec::len);
            let what = format!("{package} lacks {:?}", missing.unwrap_or_default());
            let (name, _) = package.split_once(' ').unwrap();
            match manifest.contains(&format!("\n{name} = ")) {
                true => direct.push(what),
                false => others.push(what),
            }
        }
    }
    assert!(
        direct.is_empty() && others.is_empty(),
        "`make test` would compile these crates again, and all that depend on them. Add the \
         features to the dependencies in host/Cargo.toml: {direct:#?}\nMost of these follow \
         from the ones above; add as dependencies those that do not: {others:#?}"
    );
}

#[test]
fn the_program_needs_no_crate_of_the_tests() {
    let program = program();
    for name in [
        "k8s-openapi",
        "plotters",
        "proptest",
        "rcgen",
        "serde-saphyr",
        "tempfile",
        "user-auth-guest",
        "user-auth-tests",
        "ureq",
        "wasmtime-cli",
        "wasmtime-wasi-http",
        "wat",
    ] {
        let found = program.keys().find(|package| {
            let (first, _) = package.split_once(' ').unwrap();
            first == name
        });
        assert_eq!(found, None);
    }
}
