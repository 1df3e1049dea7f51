//! Components written by hand, with code that no compiler generates.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, WorldItem};

/// Assembles a component that fits the contract from one module with these declarations,
/// which must include its memory. `handle` is the body of `mcp.handle`: it receives the
/// length of the message as parameter 7 and returns the address of its response; at 1024
/// there is one with the status 200. The other functions do nothing.
pub fn component_fixture(declarations: &str, handle: &str) -> Vec<u8> {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).expect("the contract is well-formed");
    let world = resolve
        .select_world(&[package], Some("plugin"))
        .expect("the contract has the world plugin");
    let mut text = format!(
        r#"(module {declarations}
        (data (i32.const 1024) "\c8\00")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)"#
    );
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else {
            continue;
        };
        let interface = resolve.name_world_key(key);
        for (name, function) in &resolve.interfaces[*id].functions {
            let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
            let (params, results) = (types(&signature.params), types(&signature.results));
            let body = match name.as_str() {
                "handle" => handle,
                _ if results.is_empty() => "",
                _ => "i32.const 2048",
            };
            text += &format!(
                r#"(func (export "{interface}#{name}") (param {params}) (result {results}) {body})"#
            );
        }
    }
    text.push(')');
    let mut module = wat::parse_str(&text).expect("valid text");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("the world can be written down");
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .expect("the module fits the world")
}

/// Returns a component that grows its table until it no longer can and then traps, on a
/// message of 7 bytes such as `"table"`.
pub fn table_bomb() -> Vec<u8> {
    component_fixture(
        r#"(memory (export "memory") 1) (table $t 0 funcref)"#,
        "(if (i32.eq (local.get 7) (i32.const 7)) (then
            (loop $more (br_if $more
                (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
            unreachable))
        i32.const 1024",
    )
}

fn types(types: &[WasmType]) -> String {
    let names = types.iter().map(|each| match each {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    });
    names.collect::<Vec<_>>().join(" ")
}
