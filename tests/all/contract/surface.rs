//! Compares contracts item by item and reports which promises of an earlier version a later
//! one breaks.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use semver::Version;
use wit_component::{OutputToString, WitPrinter};
use wit_parser::{
    Function, InterfaceId, PackageId, PackageName, Resolve, Stability, Type, TypeId, TypeOwner,
    WorldId, WorldItem, WorldKey,
};

/// A package of WIT.
pub struct Contract {
    pub version: Version,
    pub items: BTreeMap<String, Item>,
}

/// A promised item.
pub struct Item {
    /// Its WIT text without comments.
    pub text: String,
    pub since: Option<Version>,
}

impl Contract {
    pub fn parse(text: &str) -> Self {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("contract.wit", text).unwrap();
        Self::of(&resolve, package)
    }

    pub fn read(path: &Path) -> Self {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(path).unwrap();
        Self::of(&resolve, package)
    }

    pub fn of(resolve: &Resolve, package: PackageId) -> Self {
        let package = &resolve.packages[package];
        let mut items = BTreeMap::new();
        for (name, id) in &package.interfaces {
            let interface = &resolve.interfaces[*id];
            let whole = item(String::new(), &interface.stability);
            items.insert(format!("interface {name}"), whole);
            for (part, item) in interface_items(resolve, *id) {
                items.insert(format!("interface {name}: {part}"), item);
            }
        }
        for (name, id) in &package.worlds {
            let world = &resolve.worlds[*id];
            let whole = item(String::new(), &world.stability);
            items.insert(format!("world {name}"), whole);
            for (direction, key, entry) in entries(resolve, *id) {
                let text = match entry {
                    WorldItem::Function(function) => function_text(resolve, function),
                    _ => String::new(),
                };
                let key = unversioned(&resolve.name_world_key(key));
                let item = item(text, entry.stability(resolve));
                items.insert(format!("world {name}: {direction} {key}"), item);
            }
        }
        Self {
            version: package.name.version.clone().unwrap(),
            items,
        }
    }

    /// Returns one text for each item of `earlier` that no longer holds. Before 1.0 the
    /// second number of the version decides on compatibility, from 1.0 on the first.
    pub fn breaches(&self, earlier: &Self) -> Vec<String> {
        let line = PackageName::version_compat_track;
        if line(&self.version) > line(&earlier.version) {
            return Vec::new();
        }
        let mut breaches = Vec::new();
        if self.version < earlier.version {
            breaches.push(format!("{} comes before {}", self.version, earlier.version));
        }
        for (name, promised) in &earlier.items {
            match self.items.get(name) {
                None => breaches.push(format!("{name} is gone")),
                Some(item) if item.text != promised.text => breaches.push(format!(
                    "{name} was\n{}and is\n{}",
                    promised.text, item.text
                )),
                Some(_) => {}
            }
        }
        for (name, item) in &self.items {
            let is_new = !earlier.items.contains_key(name);
            if is_new && item.since.as_ref() <= Some(&earlier.version) {
                let version = &earlier.version;
                breaches.push(format!("{name} is new and claims to be in {version}"));
            }
        }
        breaches
    }
}

/// Returns the imports and exports of a world from the packages called `package`, with
/// everything inside them.
pub fn world_items(resolve: &Resolve, world: WorldId, package: &str) -> BTreeMap<String, String> {
    let mut items = BTreeMap::new();
    for (direction, key, entry) in entries(resolve, world) {
        let key = unversioned(&resolve.name_world_key(key));
        let WorldItem::Interface { id, .. } = entry else {
            panic!("{key} is not an interface");
        };
        if !key.starts_with(package) {
            continue;
        }
        items.insert(format!("{direction} {key}"), String::new());
        for (part, item) in interface_items(resolve, *id) {
            items.insert(format!("{direction} {key}: {part}"), item.text);
        }
    }
    items
}

fn entries(
    resolve: &Resolve,
    world: WorldId,
) -> impl Iterator<Item = (&'static str, &WorldKey, &WorldItem)> {
    let world = &resolve.worlds[world];
    let imports = world
        .imports
        .iter()
        .map(|(key, item)| ("import", key, item));
    let exports = world
        .exports
        .iter()
        .map(|(key, item)| ("export", key, item));
    imports.chain(exports)
}

fn interface_items(resolve: &Resolve, id: InterfaceId) -> Vec<(String, Item)> {
    let interface = &resolve.interfaces[id];
    let types = interface.types.iter().map(|(name, ty)| {
        let stability = &resolve.types[*ty].stability;
        let text = type_text(resolve, id, name, *ty);
        (format!("type {name}"), item(text, stability))
    });
    let functions = interface.functions.iter().map(|(name, function)| {
        let text = function_text(resolve, function);
        (format!("function {name}"), item(text, &function.stability))
    });
    types.chain(functions).collect()
}

fn item(text: String, stability: &Stability) -> Item {
    let since = match stability {
        Stability::Stable { since, .. } => Some(since.clone()),
        _ => None,
    };
    Item { text, since }
}

fn type_text(resolve: &Resolve, owner: InterfaceId, name: &str, ty: TypeId) -> String {
    let mut printer = WitPrinter::new(OutputToString::default());
    printer.emit_docs(false);
    let owner = TypeOwner::Interface(owner);
    printer
        .print_types(resolve, owner, [(name, ty)].into_iter(), &HashMap::new())
        .unwrap();
    // The version of `@since` is not part of the type.
    let lines = printer.output.to_string();
    let lines = lines.lines().filter(|line| !line.trim().starts_with('@'));
    lines.map(|line| format!("{line}\n")).collect()
}

fn function_text(resolve: &Resolve, function: &Function) -> String {
    let kind = if function.kind.is_async() {
        "async func"
    } else {
        "func"
    };
    let parameters: Vec<String> = function
        .params
        .iter()
        .map(|parameter| format!("{}: {}", parameter.name, type_name(resolve, &parameter.ty)))
        .collect();
    let result = function.result.as_ref().map(|ty| type_name(resolve, ty));
    let result = result.map_or_else(String::new, |name| format!(" -> {name}"));
    format!("{kind}({}){result}\n", parameters.join(", "))
}

fn type_name(resolve: &Resolve, ty: &Type) -> String {
    let mut printer = WitPrinter::new(OutputToString::default());
    printer.print_type_name(resolve, ty).unwrap();
    printer.output.to_string()
}

fn unversioned(name: &str) -> String {
    name.split('@').next().unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::Contract;

    const EARLIER: &str = "
        package a:b@0.1.0;
        @since(version = 0.1.0)
        interface shop {
            @since(version = 0.1.0)
            record item { name: string, price: u32 }
            @since(version = 0.1.0)
            variant state { open, sold(u32) }
            @since(version = 0.1.0)
            enum kind { book, toy }
            @since(version = 0.1.0)
            flags marks { red, blue }
            @since(version = 0.1.0)
            type id = string;
            @since(version = 0.1.0)
            find: func(id: id) -> option<item>;
            @since(version = 0.1.0)
            drop: func(id: id);
        }
        @since(version = 0.1.0)
        world seller {
            @since(version = 0.1.0)
            export shop;
        }
        @since(version = 0.1.0)
        world buyer {
            @since(version = 0.1.0)
            import shop;
        }";

    /// Returns the breaches after replacing one text in EARLIER by another.
    fn breaches(old: &str, new: &str) -> Vec<String> {
        assert!(EARLIER.contains(old), "{old}");
        let later = Contract::parse(&EARLIER.replacen(old, new, 1));
        later.breaches(&Contract::parse(EARLIER))
    }

    #[test]
    fn unchanged_items_and_new_comments_break_nothing() {
        assert!(breaches("interface shop", "interface shop").is_empty());
        assert!(breaches("interface shop", "/// Sells.\ninterface shop").is_empty());
    }

    #[test]
    fn removed_or_changed_items_are_breaches() {
        let since = "@since(version = 0.1.0)";
        for (old, new) in [
            // Functions.
            (&*format!("{since}\n            drop: func(id: id);"), ""),
            ("drop: func(id: id)", "drop: func(id: string)"),
            ("drop: func(id: id)", "drop: func(item: id)"),
            ("drop: func(id: id)", "drop: func(id: id, why: string)"),
            ("drop: func(id: id)", "drop: func(id: id) -> bool"),
            ("drop: func(id: id)", "drop: async func(id: id)"),
            // Types, their fields and their cases.
            ("type id = string", "type id = u64"),
            ("price: u32 }", "price: u64 }"),
            ("name: string, price: u32", "price: u32, name: string"),
            ("name: string, price: u32", "name: string"),
            ("price: u32 }", "price: u32, weight: u32 }"),
            ("open, sold(u32)", "open"),
            ("sold(u32)", "sold"),
            ("sold(u32)", "sold(u32), lost"),
            ("book, toy", "book, toy, food"),
            ("red, blue", "red, blue, green"),
            (
                "record item { name: string, price: u32 }",
                "type item = string;",
            ),
            // Worlds and their items.
            ("export shop;", "import shop;"),
            ("world buyer", "world client"),
            ("package a:b@0.1.0", "package a:b@0.1.1"),
        ] {
            let told = breaches(old, new);
            match new.starts_with("package") {
                true => assert!(told.is_empty(), "{told:?}"),
                false => assert!(!told.is_empty(), "{old} to {new}"),
            }
        }
    }

    #[test]
    fn added_items_need_the_new_version() {
        let added = |since: &str, version: &str| {
            let function = format!("{since} sell: func(id: id); @since(version = 0.1.0) drop:");
            let text = EARLIER.replacen("@since(version = 0.1.0)\n            drop:", &function, 1);
            let text = text.replacen("a:b@0.1.0", version, 1);
            Contract::parse(&text).breaches(&Contract::parse(EARLIER))
        };
        assert!(added("@since(version = 0.1.1)", "a:b@0.1.1").is_empty());
        assert_eq!(
            added("@since(version = 0.1.0)", "a:b@0.1.1"),
            ["interface shop: function sell is new and claims to be in 0.1.0"]
        );
        assert_eq!(added("", "a:b@0.1.1").len(), 1);
    }

    #[test]
    fn interfaces_worlds_and_items_can_be_added() {
        let later = format!(
            "{} @since(version = 0.1.1) interface till {{}}
             @since(version = 0.1.1) world thief {{ @since(version = 0.1.1) import till; }}",
            EARLIER.replacen("a:b@0.1.0", "a:b@0.1.1", 1).replacen(
                "export shop;",
                "export shop; @since(version = 0.1.1) export till;",
                1
            )
        );
        let told = Contract::parse(&later).breaches(&Contract::parse(EARLIER));
        assert!(told.is_empty(), "{told:?}");
    }

    #[test]
    fn only_compatible_versions_are_held_to_the_earlier_contract() {
        let empty = |version: &str| Contract::parse(&format!("package a:b@{version};"));
        let earlier = Contract::parse(EARLIER);
        assert!(empty("0.2.0").breaches(&earlier).is_empty());
        assert!(empty("1.0.0").breaches(&earlier).is_empty());
        assert!(!empty("0.1.9").breaches(&earlier).is_empty());
        assert!(!empty("0.0.9").breaches(&earlier).is_empty());
        let later = empty("0.2.0");
        assert_eq!(
            empty("0.1.0").breaches(&later),
            ["0.1.0 comes before 0.2.0"]
        );
    }
}
