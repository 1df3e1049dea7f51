//! Tests that `make run` compiles only what the program needs, and that `make test` compiles
//! none of it again. Cargo compiles a crate again for each set of features, and everything
//! that depends on it as well.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Something that cargo compiles or runs: a crate, a macro or a build script.
#[derive(Clone)]
struct Unit {
    package: String,
    /// All that a second build would differ in, but for features and dependencies: which part
    /// of the package this is, and its profile. Build scripts and macros have a profile of
    /// their own.
    part: String,
    features: BTreeSet<String>,
    /// Their digests.
    dependencies: BTreeSet<u64>,
    /// Differs where anything above differs.
    digest: u64,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a program in the repository, and returns its output.
fn output_of(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.current_dir(repository()).args(arguments);
    // The stable cargo prints what it would compile, with this variable only.
    command.env("RUSTC_BOOTSTRAP", "1");
    // These variables belong to a `make` that runs this test.
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns what a target of the Makefile has cargo compile with this command (`build`, `test`).
fn units(target: &str, command: &str) -> Vec<Unit> {
    let recipe = output_of("make", &["--dry-run", target]);
    let line = recipe
        .lines()
        .find(|line| line.contains(&format!(" {command} ")) && line.contains("--release"));
    let words = line.expect(&recipe).split_whitespace().skip(1);
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut arguments: Vec<&str> = words.collect();
    arguments.extend(["--offline", "--unit-graph", "-Zunstable-options"]);
    let graph: Value = serde_json::from_str(&output_of(&cargo, &arguments)).unwrap();
    let graph = graph["units"].as_array().unwrap();
    assert!(graph.len() > 100, "{} units", graph.len());

    let mut units = BTreeMap::new();
    (0..graph.len())
        .map(|index| unit(graph, index, &mut units))
        .collect()
}

fn unit(graph: &[Value], index: usize, known: &mut BTreeMap<usize, Unit>) -> Unit {
    if let Some(unit) = known.get(&index) {
        return unit.clone();
    }
    let described = &graph[index];
    let target = &described["target"];
    let list = |value: &Value| value.as_array().unwrap().clone();
    let dependencies = list(&described["dependencies"])
        .iter()
        .map(|of| unit(graph, of["index"].as_u64().unwrap() as usize, known).digest)
        .collect();
    let id = described["pkg_id"].as_str().unwrap();
    let mut unit = Unit {
        package: id.rsplit(['/', '#']).next().unwrap().replace('@', " "),
        part: format!(
            "{} {} {} {}",
            target["kind"], target["name"], described["mode"], described["profile"]
        ),
        features: list(&described["features"])
            .iter()
            .map(|feature| feature.as_str().unwrap().to_owned())
            .collect(),
        dependencies,
        digest: 0,
    };
    let mut hasher = DefaultHasher::new();
    (
        &unit.package,
        &unit.part,
        &unit.features,
        &unit.dependencies,
    )
        .hash(&mut hasher);
    unit.digest = hasher.finish();
    known.insert(index, unit.clone());
    unit
}

#[test]
fn the_program_and_the_tests_share_one_build_of_their_dependencies() {
    let tests = units("test", "test");
    let compiled: BTreeSet<u64> = tests.iter().map(|unit| unit.digest).collect();
    let mut causes = BTreeSet::new();
    for unit in units("host", "build") {
        let ours = unit.package.starts_with("user-auth");
        // Where only a dependency differs, that one is the cause.
        let follows = unit.dependencies.iter().any(|of| !compiled.contains(of));
        if ours || follows || compiled.contains(&unit.digest) {
            continue;
        }
        let missing = tests
            .iter()
            .filter(|test| test.package == unit.package && test.part == unit.part)
            .map(|test| test.features.difference(&unit.features).collect())
            .filter(|missing: &Vec<&String>| !missing.is_empty())
            .min_by_key(Vec::len);
        let part = unit.part.split(['"', '[']).find(|word| !word.is_empty());
        causes.insert(format!(
            "{} ({}) lacks {:?}",
            unit.package,
            part.unwrap_or_default(),
            missing.unwrap_or_default()
        ));
    }
    assert!(
        causes.is_empty(),
        "`make test` would compile these crates again, and all that depend on them. Add their \
         features to host/Cargo.toml: as dependencies, or as build dependencies where macros \
         and build scripts need them: {causes:#?}"
    );
}

#[test]
fn the_program_needs_no_crate_of_the_tests() {
    let program = units("host", "build");
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
        let found = program.iter().find(|unit| {
            let (first, _) = unit.package.split_once(' ').unwrap();
            first == name
        });
        assert!(found.is_none(), "{name}");
    }
}
