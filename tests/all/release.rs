//! Releases: the same bytes wherever they were built, verifiable by anyone.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use user_auth_tests::{built, folder};

/// The root folder of the sources.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the components that SHA256SUMS lists.
fn published_components() -> Vec<PathBuf> {
    let sums = fs::read_to_string(built("SHA256SUMS")).unwrap();
    let names = sums
        .lines()
        .filter_map(|line| line.split_whitespace().last());
    names.map(built).collect()
}

#[test]
fn builds_in_two_folders_give_the_same_component() {
    let cargo = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let home = env::home_dir().unwrap();
            home.join(".cargo")
        });
    let expected = fs::read(built("user-auth.wasm")).unwrap();
    let scratch = folder();
    // A different path for the home of Cargo as well: a link to the same one, since nothing
    // must be downloaded.
    let other_cargo = scratch.path().join("another-home-of-cargo");
    symlink(&cargo, &other_cargo).unwrap();
    // One of the two folders is that of the project.
    let other = "a/much/longer/path/to/the/sources/than/that/of/the/other/one";
    let copy = scratch.path().join(other);
    copy_sources(&source(), &copy).unwrap();
    make_component(&copy, &other_cargo);
    let component = fs::read(copy.join("target/release/user-auth.wasm")).unwrap();
    assert!(component == expected, "built elsewhere it is another one");
}

#[test]
fn components_have_the_documented_size() {
    let bytes = |name: &str| fs::metadata(built(name)).unwrap().len();
    assert!(bytes("user-auth.wasm") < 2_000_000, "the component");
    assert!(bytes("user-auth-edge.wasm") < 2_000_000, "the edge build");
    let text = fs::read_to_string(source().join("guest/docs/builds.md")).unwrap();
    let row = |begin: &str| -> Vec<String> {
        let row = text.lines().find(|line| line.starts_with(begin)).unwrap();
        let cells = row.trim_matches('|').split('|').skip(1);
        cells
            .map(|cell| cell.replace('`', "").trim().to_owned())
            .collect()
    };
    let names = row("| | `user-auth` | `-self-contained`");
    for (name, written) in names.iter().zip(row("| size |")) {
        let name = match name.as_str() {
            "user-auth" => "user-auth.wasm".to_owned(),
            suffix => format!("user-auth{suffix}.wasm"),
        };
        let millions = bytes(&name) as f64 / 1e6;
        let written: f64 = written.strip_suffix(" MB").unwrap().parse().unwrap();
        assert!((written - millions).abs() < 0.1, "{name}: {millions} MB");
    }
    assert_eq!(names.len(), 5);
}

/// Builds as `make` does, without the network. The program that writes the description into
/// the component need not be built again.
fn make_component(folder: &Path, cargo_home: &Path) {
    let mut make = Command::new("make");
    make.current_dir(folder)
        .args(["component", "CARGO=cargo --offline"])
        .arg(format!("STAMP={}", built("user-auth-stamp").display()))
        .env("CARGO_HOME", cargo_home);
    // These variables belong to the `make` and the `cargo` that run this test.
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "RUSTFLAGS"] {
        make.env_remove(name);
    }
    let output = make.output().unwrap();
    assert!(output.status.success(), "{}", output_of(&output));
}

fn output_of(output: &Output) -> String {
    let texts = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&texts).into_owned()
}

/// Copies the sources without build results, installed packages and files of other
/// programs.
fn copy_sources(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let skipped = ["target", ".git", "node_modules", ".venv"];
        if skipped.iter().any(|skipped| name == *skipped) {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => copy_sources(&entry.path(), &to.join(name))?,
            false => fs::copy(entry.path(), to.join(name)).map(drop)?,
        }
    }
    Ok(())
}

#[test]
fn components_contain_no_build_paths() {
    let mut places = vec![
        source().canonicalize().unwrap().display().to_string(),
        "/registry/src/".to_owned(),
        ".cargo/".to_owned(),
        "/home/".to_owned(),
        "/Users/".to_owned(),
    ];
    for name in ["CARGO_HOME", "HOME"] {
        let place = env::var(name).unwrap_or_default();
        if place.len() > 1 {
            places.push(format!("{place}/"));
        }
    }
    let components = published_components();
    assert_eq!(components.len(), 5);
    for component in components {
        let bytes = fs::read(&component).unwrap();
        for place in &places {
            let found = bytes
                .windows(place.len())
                .any(|part| part == place.as_bytes());
            assert!(!found, "{place} is in {}", component.display());
        }
    }
}

/// Returns the commands of the section of `wit/README.md` with this title.
fn commands(title: &str) -> String {
    let text = fs::read_to_string(source().join("wit/README.md")).unwrap();
    let (_, section) = text.split_once(&format!("## {title}\n")).expect(title);
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    let commands = blocks.collect::<String>();
    assert!(!commands.is_empty(), "{title}");
    commands
}

fn run(folder: &Path, commands: &str) -> Output {
    Command::new("sh")
        .args(["-euc", commands])
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn a_release_can_be_signed_and_verified_as_documented() {
    let release = folder();
    let names = published_components();
    for file in names.iter().chain([&built("SHA256SUMS")]) {
        fs::copy(file, release.path().join(file.file_name().unwrap())).unwrap();
    }
    let at = |name: &str| release.path().join(name);
    let signed = run(release.path(), &commands("Sign without a registry"));
    assert!(signed.status.success(), "{}", output_of(&signed));
    assert!(!at("SHA256SUMS").with_extension("key").exists());

    let verify = commands("Verify without a registry");
    let verified = run(release.path(), &verify);
    assert!(verified.status.success(), "{}", output_of(&verified));

    // An altered component.
    let component = at("user-auth-edge.wasm");
    let genuine = fs::read(&component).unwrap();
    let mut changed = genuine.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&component, changed).unwrap();
    let refused = run(release.path(), &verify);
    assert!(!refused.status.success());
    assert!(
        output_of(&refused).contains("user-auth-edge.wasm: FAILED"),
        "{}",
        output_of(&refused)
    );

    // A list altered to match the component.
    run(release.path(), "sha256sum *.wasm > SHA256SUMS");
    let refused = run(release.path(), &verify);
    assert!(!refused.status.success(), "{}", output_of(&refused));
    fs::write(&component, genuine).unwrap();

    // A signature by another key.
    let forged = commands("Sign without a registry").replace("signing.pub", "other.pub");
    assert!(run(release.path(), &forged).status.success());
    assert!(!run(release.path(), &verify).status.success());
}
