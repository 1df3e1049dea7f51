//! The tables that `make docs` writes.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use user_auth_tests::{Options, Stdio};

use super::{document, repository};

#[test]
fn the_table_of_operations_is_that_of_the_component() {
    let tools = Stdio::start(&[]).tools();
    let server = Options::new().start();
    let described = server.get("/openapi.json", &[]).json();
    let mut table = "| operation | what it does | input | output |\n|---|---|---|---|\n".to_owned();
    for tool in &tools {
        let name = operation(tool);
        let description = first_sentence(tool["description"].as_str().unwrap());
        let described = &described["paths"][format!("/api/{name}")]["post"];
        let schema = |content: &Value| content["content"]["application/json"]["schema"].clone();
        let input = fields(&schema(&described["requestBody"]));
        let output = output(&schema(&described["responses"]["200"]));
        writeln!(table, "| `{name}` | {description} | {input} | {output} |").unwrap();
    }
    assert_eq!(table.lines().count(), tools.len() + 2);
    check("guest/docs/operations.md", &[("operations", table)]);
}

#[test]
fn the_tables_of_configuration_keys_are_those_of_the_schema() {
    let mut keys =
        "| key | variable | value | default | meaning |\n|---|---|---|---|---|\n".to_owned();
    let mut limits = "| key | default | meaning |\n|---|---|---|\n".to_owned();
    for (path, schema) in crate::config::all_keys() {
        let meaning = cell(schema["description"].as_str().unwrap());
        let default = match path.as_str() {
            // As many as the machine has.
            "limits.hash_workers" => "the number of cores".to_owned(),
            _ => default(&schema["default"]),
        };
        if path.starts_with("limits.") {
            writeln!(limits, "| `{path}` | {default} | {meaning} |").unwrap();
            continue;
        }
        let variable = schema["x-env"].as_str().unwrap();
        let value = value(&schema);
        writeln!(
            keys,
            "| `{path}` | `{variable}` | {value} | {default} | {meaning} |"
        )
        .unwrap();
    }
    let tables = [("keys", keys), ("limits", limits)];
    check("host/docs/configuration.md", &tables);
}

/// The figures are those of the result of `tools/list`.
#[test]
fn the_figures_of_the_toolsets_are_those_of_their_lists() {
    let (short, long) = (
        Stdio::start(&PAGES).tools(),
        Stdio::start(&[&PAGES[..], &OUTPUT_SCHEMAS].concat()).tools(),
    );
    let mut client = Stdio::start(&PAGES);
    let answer = client.call("get_capabilities", json!({}));
    let toolsets = answer["result"]["structuredContent"]["toolsets"].clone();
    let members = |toolset: &str| -> Vec<&str> {
        let names = toolsets[toolset].as_array().unwrap().iter();
        names.map(|name| name.as_str().unwrap()).collect()
    };
    let bytes = |tools: &[Value], names: &[&str]| {
        let chosen = tools.iter().filter(|tool| names.contains(&operation(tool)));
        let list = json!({"tools": chosen.collect::<Vec<_>>()});
        thousands(list.to_string().len())
    };
    let mut table =
        "| toolset | operations | bytes | with schemas of outputs |\n|---|---|---|---|\n"
            .to_owned();
    let mut add = |what: &str, shown: &str, names: &[&str]| {
        let (short, long) = (bytes(&short, names), bytes(&long, names));
        writeln!(table, "| {what} | {shown} | {short} | {long} |").unwrap();
    };
    let always = ["get_capabilities", "execute_primary_operation"];
    let mut all = always.to_vec();
    let mut usual = always.to_vec();
    add("always", &code(&always), &always);
    for toolset in [
        "auth", "account", "tokens", "users", "roles", "keys", "clients", "audit", "service",
    ] {
        let names = members(toolset);
        all.extend(&names);
        if ["auth", "account", "tokens"].contains(&toolset) {
            usual.extend(&names);
        }
        add(&code(&[toolset]), &code(&names), &names);
    }
    assert_eq!(all.len(), short.len());
    let count = |names: &[&str]| names.len().to_string();
    add("the usual ones", &count(&usual), &usual);
    add("all", &count(&all), &all);
    check("guest/docs/operations.md", &[("toolsets", table)]);
}

/// The tests run what it says.
#[test]
fn the_table_of_clients_is_that_of_the_tests() {
    let table = crate::oauth::matrix::table();
    check("host/docs/clients.md", &[("clients", table)]);
}

const OUTPUT_SCHEMAS: [&str; 2] = ["--set", "mcp.output_schemas=true"];
/// A service with pages has all operations.
const PAGES: [&str; 6] = [
    "--store",
    "memory",
    "--set",
    "oauth.enabled=true",
    "--set",
    "server.public_url=http://localhost:8000",
];

fn operation(tool: &Value) -> &str {
    let name = tool["name"].as_str().unwrap();
    name.strip_prefix("user-auth_").unwrap()
}

fn code(names: &[&str]) -> String {
    let quoted = names.iter().map(|name| format!("`{name}`"));
    quoted.collect::<Vec<_>>().join(", ")
}

/// Writes a number of four to six digits with a comma.
fn thousands(number: usize) -> String {
    match (number / 1000, number % 1000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    }
}

/// Compares tables with those between the markers in a document, or writes them there.
fn check(path: &str, tables: &[(&str, String)]) {
    // Two tests write to one document.
    static DOCUMENTS: Mutex<()> = Mutex::new(());
    let _writing = DOCUMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = document(path);
    for (name, table) in tables {
        let begin = format!("<!-- {name}: `make docs` writes this table -->\n");
        let end = format!("<!-- end of {name} -->");
        let (before, rest) = text.split_once(&begin).expect(&begin);
        let (written, after) = rest.split_once(&end).expect(&end);
        if env::var_os("WRITE_DOCS").is_none() {
            assert_eq!(written, table, "`make docs` writes the table in {path}");
        }
        text = [before, &begin, table, &end, after].concat();
    }
    if env::var_os("WRITE_DOCS").is_some() {
        fs::write(repository().join(path), text).unwrap();
    }
}

/// A text of several lines in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn first_sentence(text: &str) -> String {
    let text = cell(text);
    let end = text.find(". ").map_or(text.len(), |dot| dot + 1);
    text[..end].to_owned()
}

/// The fields of an object: the required ones first, then with a question mark those
/// that may be left out.
fn fields(schema: &Value) -> String {
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    let required = required.iter().map(|name| name.as_str().unwrap());
    let mut names: Vec<(&str, &str)> = required.map(|name| (name, "")).collect();
    for name in schema["properties"].as_object().into_iter().flatten() {
        let name = name.0.as_str();
        if !names.iter().any(|(listed, _)| *listed == name) {
            names.push((name, "?"));
        }
    }
    // The credential of the caller comes last.
    names.sort_by_key(|(name, mark)| (*name == "access_token" && *mark == "?", *mark));
    let shown = names.iter().map(|(name, mark)| {
        let items = fields(&schema["properties"][name]["items"]);
        match items.is_empty() {
            true => format!("`{name}{mark}`"),
            false => format!("`{name}{mark}` (each: {items})"),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// The fields of an output. It may be one of several objects, besides an error.
fn output(schema: &Value) -> String {
    let mut kinds = Vec::new();
    collect_kinds(schema, &mut kinds);
    let shown = kinds.iter().map(|kind| {
        let fields = fields(kind);
        match (fields.is_empty(), kind["additionalProperties"].is_null()) {
            (false, _) => fields,
            (true, true) => "nothing".to_owned(),
            (true, false) => "the output of that operation".to_owned(),
        }
    });
    shown.collect::<Vec<_>>().join("; or ")
}

fn collect_kinds<'a>(schema: &'a Value, found: &mut Vec<&'a Value>) {
    match schema["anyOf"].as_array() {
        Some(kinds) => kinds.iter().for_each(|kind| collect_kinds(kind, found)),
        None => found.push(schema),
    }
}

fn default(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => String::new(),
    }
}

/// Returns the possible values of a key.
fn value(schema: &Value) -> String {
    let kinds = [schema, &schema["anyOf"][0]];
    if let Some(choices) = kinds.iter().find_map(|kind| kind["oneOf"].as_array()) {
        let choices = choices.iter().map(|choice| {
            let meaning = cell(choice["description"].as_str().unwrap());
            let name = choice["const"].as_str().unwrap();
            format!("`{name}`: {}", meaning.trim_end_matches('.'))
        });
        return choices.collect::<Vec<_>>().join("; ");
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str().unwrap(),
        kind => kind.as_str().unwrap(),
    };
    match (kind, &schema["minimum"], &schema["maximum"]) {
        ("integer", least, Value::Null) => format!("{least} or more"),
        ("integer", least, most) => format!("{least} to {most}"),
        ("boolean", ..) => "`true`, `false`".to_owned(),
        ("array", ..) => "list".to_owned(),
        _ => "text".to_owned(),
    }
}
