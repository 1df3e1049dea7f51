//! One text that holds a full and a lean form of a JSON value, most of which is the same.
//! Where they differ stands `\x01`, the full form, `\x02`, the lean form and `\x03`: control
//! characters, which JSON text does not contain.

use serde_json::{Map, Value};

/// Returns the text of both forms.
pub fn of(full: &Value, lean: &Value) -> String {
    match (full, lean) {
        (full, lean) if full == lean => full.to_string(),
        (Value::Object(full), Value::Object(lean)) if is_part(lean, full) => object(full, lean),
        (Value::String(full), Value::String(lean)) if full.starts_with(lean.as_str()) => {
            let common = quoted(lean);
            let rest = quoted(&full[lean.len()..]);
            let common = &common[..common.len() - 1];
            format!("{common}\x01{}\x02\x03\"", &rest[1..rest.len() - 1])
        }
        (full, lean) => format!("\x01{full}\x02{lean}\x03"),
    }
}

/// Reports whether the fields of an object, of which there are some, are all in another.
fn is_part(lean: &Map<String, Value>, full: &Map<String, Value>) -> bool {
    !lean.is_empty() && lean.keys().all(|name| full.contains_key(name))
}

/// The fields that only the full form has come first, each with the comma after it.
fn object(full: &Map<String, Value>, lean: &Map<String, Value>) -> String {
    let only_full = full.iter().filter(|(name, _)| !lean.contains_key(*name));
    let only_full = only_full.map(|(name, value)| format!("{}:{value},", quoted(name)));
    let only_full: String = only_full.collect();
    let common = lean
        .iter()
        .map(|(name, lean)| format!("{}:{}", quoted(name), of(&full[name], lean)));
    let common = common.collect::<Vec<_>>().join(",");
    match only_full.is_empty() {
        true => format!("{{{common}}}"),
        false => format!("{{\x01{only_full}\x02\x03{common}}}"),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
