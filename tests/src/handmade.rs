//! Components written by hand, with code that no compiler generates.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, WorldItem};

/// The offset of the length of the body in a request.
const BODY_LENGTH: u32 = 64;

/// The list of routes, at 2560: one record after it, with the path and the form of errors
/// that are at 3072, and with a body of the class `content`.
const ROUTES: &str = concat!(
    r#"(data (i32.const 2560) "\08\0a\00\00\01\00\00\00")"#,
    r#"(data (i32.const 2568) "\00\0c\00\00\04\00\00\00\00\00\00\00\01")"#,
    r#"(data (i32.const 2608) "\08\0c\00\00\10\00\00\00\08\0c\00\00\10\00\00\00")"#,
    r#"(data (i32.const 3072) "/mcp\00\00\00\00{\22error\22:$error}")"#,
);

/// Assembles a component that fits the contract from one module with these declarations,
/// which must include its memory. `handle` is the body of `http.handle`: it receives the
/// address of the request, in which the length of the body is at [`BODY_LENGTH`], and
/// returns the address of its response; at 1024 there is one with the status 200. The only
/// route is `/mcp`. The other functions do nothing.
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
        {ROUTES}
        (global $free (mut i32) (i32.const 4096))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (global.get $free)
            (global.set $free (i32.and (i32.const -8)
                (i32.add (i32.const 7) (i32.add (global.get $free) (local.get 3))))))"#
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
                "routes" => "i32.const 2560",
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
        &format!(
            "(if (i32.eq (i32.load offset={BODY_LENGTH} (local.get 0)) (i32.const 7)) (then
                (loop $more (br_if $more
                    (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
                unreachable))
            i32.const 1024"
        ),
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
