//! The contract in wit/: the components match it, and it keeps its promises to earlier
//! versions.

mod surface;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use user_auth_tests::built;
use wit_component::{DecodedWasm, decode};
use wit_parser::Resolve;

use surface::{Contract, world_items};

const PACKAGE: &str = "user-auth:plugin/";

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")
}

#[test]
fn every_item_has_a_since_version() {
    for (name, item) in Contract::read(&wit()).items {
        assert!(item.since.is_some(), "{name} has no @since");
    }
}

#[test]
fn released_contracts_are_not_broken() {
    let frozen = fs::read_dir(wit().join("frozen")).unwrap();
    let frozen = frozen.map(|file| Contract::read(&file.unwrap().path()));
    let released = frozen.max_by(|a, b| a.version.cmp(&b.version)).unwrap();
    let breaches = Contract::read(&wit()).breaches(&released);
    assert!(
        breaches.is_empty(),
        "wit/ breaks what version {} has said. Let the version of the package rise (see \
         wit/README.md), or, if that is not released yet, call `make freeze`:\n{}",
        released.version,
        breaches.join("\n")
    );
}

#[test]
fn the_components_match_the_contract() {
    for (component, world) in [
        ("user-auth.wasm", "plugin"),
        ("user-auth-self-contained.wasm", "self-contained"),
        ("user-auth-keyvalue.wasm", "self-contained"),
    ] {
        let built = in_component(&built(component));
        let promised = in_world(world);
        assert!(promised.len() > 30, "{world}");
        for (name, text) in &promised {
            assert_eq!(built.get(name), Some(text), "{component}: {name}");
        }
        for name in built.keys() {
            assert!(promised.contains_key(name), "{component} has {name}");
        }
    }
}

fn in_component(file: &Path) -> BTreeMap<String, String> {
    match decode(&fs::read(file).unwrap()).unwrap() {
        DecodedWasm::Component(resolve, world) => world_items(&resolve, world, PACKAGE),
        DecodedWasm::WitPackage(..) => panic!("{} is not a component", file.display()),
    }
}

fn in_world(name: &str) -> BTreeMap<String, String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit()).unwrap();
    let world = resolve.select_world(&[package], Some(name)).unwrap();
    world_items(&resolve, world, PACKAGE)
}

/// Does what `wkg wit build` does, and reads the package back as its users do.
#[test]
fn the_package_can_be_encoded_and_decoded() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit()).unwrap();
    let bytes = wit_component::encode(&resolve, package).unwrap();
    let DecodedWasm::WitPackage(resolve, package) = decode(&bytes).unwrap() else {
        panic!("expected a package");
    };
    let (read, written) = (Contract::of(&resolve, package), Contract::read(&wit()));
    assert_eq!(read.version, written.version);
    assert!(read.items.keys().eq(written.items.keys()));
    for (name, item) in read.items {
        assert_eq!(item.text, written.items[&name].text, "{name}");
        assert_eq!(item.since, written.items[&name].since, "{name}");
    }
}

#[test]
fn the_package_has_the_licence_of_the_project() {
    let manifest = fs::read_to_string(wit().join("wkg.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    // `wkg` refuses keys that it does not know.
    assert!(manifest.keys().eq(["metadata"]));
    let metadata = manifest["metadata"].as_table().unwrap();
    for key in metadata.keys() {
        let known = ["authors", "description", "licenses", "source", "homepage"];
        assert!(known.contains(&key.as_str()), "{key}");
    }
    assert_eq!(
        metadata["licenses"].as_str(),
        Some(env!("CARGO_PKG_LICENSE"))
    );
    assert!(metadata["description"].as_str().is_some());
}
