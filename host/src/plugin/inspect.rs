//! Describes WebAssembly files from their own metadata. Nothing is compiled, so files
//! that this host could never run can be inspected too.

use std::collections::BTreeMap;

use serde::Serialize;
use wasmparser::{
    BinaryReaderError, ComponentName, CustomSectionReader, Encoding, KnownCustom, Name, Parser,
    Payload, ProducersSectionReader,
};

use crate::plugin::contract::{is_offered, is_used};

/// The description of a component or a core module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Whether it is a component or a core module.
    pub kind: Kind,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// The metadata in its custom sections.
    pub metadata: Metadata,
    /// Its imports, sorted by name.
    pub imports: Vec<Interface>,
    /// Its exports, sorted by name.
    pub exports: Vec<Interface>,
}

/// The two kinds of WebAssembly files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A component.
    #[default]
    Component,
    /// A core module outside of a component.
    Module,
}

/// The metadata in a file's custom sections, where present: the sections that become
/// annotations when a component is published in an OCI registry, and the tools that
/// produced it. Its content is untrusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Texts by section: `name`, `version`, `description`, `licenses` (an SPDX
    /// expression), `authors`, `source`, `homepage` and `revision`.
    #[serde(flatten)]
    pub texts: BTreeMap<&'static str, String>,
    /// Languages and tools with their versions, for example `wit-component 0.254.0`
    /// under `processed-by`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub producers: BTreeMap<String, Vec<String>>,
}

/// An import or export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// Full name, for example `wasi:cli/stdout@0.2.6`.
    pub name: String,
    /// Whether the host provides the import or uses the export.
    pub known: bool,
}

/// The custom sections that contain text.
const TEXTS: [&str; 7] = [
    "version",
    "description",
    "licenses",
    "authors",
    "source",
    "homepage",
    "revision",
];

impl Inspection {
    /// Describes the outermost level of `bytes`, which have this SHA-256. Fails if they are
    /// damaged.
    pub(crate) fn of(bytes: &[u8], sha256: &[u8; 32]) -> Result<Self, BinaryReaderError> {
        let mut kind = Kind::Component;
        let mut metadata = Metadata::default();
        let (mut imports, mut exports) = (Vec::new(), Vec::new());
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ if depth > 0 => {}
                Payload::Version {
                    encoding: Encoding::Module,
                    ..
                } => kind = Kind::Module,
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        imports.push(format!("{} {}", import.module, import.name));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        exports.push(export?.name.to_owned());
                    }
                }
                Payload::CustomSection(section) => metadata.read(&section),
                _ => {}
            }
        }
        Ok(Self {
            kind,
            size: bytes.len() as u64,
            sha256: base16ct::lower::encode_string(sha256),
            metadata,
            imports: interfaces(imports, is_offered),
            exports: interfaces(exports, is_used),
        })
    }
}

impl Metadata {
    /// Reads a section. A malformed one is ignored, so that the rest of the file can
    /// still be described.
    fn read(&mut self, section: &CustomSectionReader<'_>) {
        match section.as_known() {
            KnownCustom::ComponentName(names) => {
                for name in names.into_iter().flatten() {
                    if let ComponentName::Component { name, .. } = name {
                        self.texts.insert("name", name.to_owned());
                    }
                }
            }
            KnownCustom::Name(names) => {
                for name in names.into_iter().flatten() {
                    if let Name::Module { name, .. } = name {
                        self.texts.insert("name", name.to_owned());
                    }
                }
            }
            KnownCustom::Producers(fields) => self.read_producers(fields),
            _ => {
                let text = TEXTS.into_iter().find(|text| *text == section.name());
                if let Some(text) = text {
                    let content = String::from_utf8_lossy(section.data()).into_owned();
                    self.texts.insert(text, content);
                }
            }
        }
    }

    fn read_producers(&mut self, fields: ProducersSectionReader<'_>) {
        for field in fields.into_iter().flatten() {
            let values = field.values.into_iter().flatten();
            let values = values.map(|value| format!("{} {}", value.name, value.version));
            let known = self.producers.entry(field.name.to_owned()).or_default();
            known.extend(values.map(|value| value.trim_end().to_owned()));
        }
    }
}

fn interfaces(mut names: Vec<String>, known: fn(&str) -> bool) -> Vec<Interface> {
    names.sort();
    names
        .into_iter()
        .map(|name| Interface {
            known: known(&name),
            name,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a custom section with a short name and short data.
    fn section(name: &str, data: &[u8]) -> Vec<u8> {
        let size = 1 + name.len() + data.len();
        let head = [0, size as u8, name.len() as u8];
        [&head, name.as_bytes(), data].concat()
    }

    fn file(header: &[u8; 8], sections: &[Vec<u8>]) -> Inspection {
        Inspection::of(&[&header[..], &sections.concat()].concat(), &[0; 32]).unwrap()
    }

    #[test]
    fn metadata_is_read_from_components_and_modules() {
        let sections = [
            section("version", b"1.2.3"),
            section("licenses", b"no licence\x1b that is known"),
            section("something else", b"1"),
        ];
        let component = file(b"\0asm\x0d\0\x01\0", &sections);
        let module = file(b"\0asm\x01\0\0\0", &sections);
        assert_eq!(component.kind, Kind::Component);
        assert_eq!(module.kind, Kind::Module);
        assert_eq!(component.metadata, module.metadata);
        assert_eq!(component.metadata.texts["version"], "1.2.3");
        assert_eq!(component.metadata.texts.len(), 2);
    }

    #[test]
    fn a_malformed_section_is_ignored() {
        let sections = [
            section("component-name", b"\0\x7f"),
            section("producers", b"\xff\xff"),
            section("authors", b"\xff"),
            section("version", b"1.2.3"),
        ];
        let inspection = file(b"\0asm\x0d\0\x01\0", &sections);
        assert_eq!(inspection.metadata.texts["version"], "1.2.3");
        assert_eq!(inspection.metadata.texts["authors"], "\u{fffd}");
    }

    #[test]
    fn nested_modules_are_ignored() {
        let inner = [b"\0asm\x01\0\0\0", &section("version", b"inner")[..]].concat();
        let module = [&[1, inner.len() as u8], &inner[..]].concat();
        let inspection = file(
            b"\0asm\x0d\0\x01\0",
            &[module, section("version", b"outer")],
        );
        assert_eq!(inspection.metadata.texts["version"], "outer");
        assert_eq!(inspection.kind, Kind::Component);
    }

    #[test]
    fn a_truncated_file_is_damaged() {
        let whole = [&b"\0asm\x0d\0\x01\0"[..], &section("version", b"1.2.3")].concat();
        assert!(Inspection::of(&whole[..whole.len() - 1], &[0; 32]).is_err());
    }
}
