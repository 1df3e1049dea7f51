//! The facts about a message that the host needs before the component reads it.
//!
//! This runs outside the sandbox: it skips all other parts of the message, which take no
//! memory.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Prefix of the names of all tools.
const TOOL_PREFIX: &str = "user-auth_";
/// The tool that runs the operation which its input names.
const ANY_OPERATION: &str = "execute_primary_operation";
/// The operations that services call for each of their own requests.
const VERIFICATIONS: [&str; 3] = ["verify_token", "introspect_token", "check_permission"];

/// The facts about a message that the host needs before the component reads it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outline {
    /// The JSON-RPC id, for an error of the host's own; `None` unless it can be read and
    /// has the type of an id.
    pub(crate) id: Option<Value>,
    /// Whether it calls one of [`VERIFICATIONS`], and certainly nothing else.
    pub(crate) is_verification: bool,
}

impl Outline {
    /// Reads a message. Anything else, and an object with one of these fields twice, has an
    /// empty outline: the component refuses both.
    pub(crate) fn of(message: &[u8]) -> Self {
        let mut found = Found::default();
        let mut input = serde_json::Deserializer::from_slice(message);
        let message = Reader {
            place: Place::Message,
            found: &mut found,
        };
        match message.deserialize(&mut input).and_then(|()| input.end()) {
            Ok(()) => Self {
                is_verification: found.is_verification(),
                id: found.id,
            },
            Err(_) => Self::default(),
        }
    }
}

#[derive(Default)]
struct Found {
    id: Option<Value>,
    calls_tool: bool,
    tool: Tool,
    operation_verifies: bool,
}

#[derive(Clone, Copy, Default)]
enum Tool {
    Verification,
    AnyOperation,
    #[default]
    Other,
}

/// The place of a value in a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Message,
    Id,
    Method,
    Params,
    Name,
    Arguments,
    Data,
    Operation,
    Elsewhere,
}

impl Found {
    fn is_verification(&self) -> bool {
        let verifies = match self.tool {
            Tool::Verification => true,
            Tool::AnyOperation => self.operation_verifies,
            Tool::Other => false,
        };
        self.calls_tool && verifies
    }

    fn note(&mut self, place: Place, text: &str) {
        match place {
            Place::Id => self.id = Some(text.into()),
            Place::Method => self.calls_tool = text == "tools/call",
            Place::Name => self.tool = Tool::named(text),
            Place::Operation => self.operation_verifies = VERIFICATIONS.contains(&text),
            _ => {}
        }
    }
}

impl Tool {
    fn named(name: &str) -> Self {
        match name.strip_prefix(TOOL_PREFIX) {
            Some(ANY_OPERATION) => Self::AnyOperation,
            Some(operation) if VERIFICATIONS.contains(&operation) => Self::Verification,
            _ => Self::Other,
        }
    }
}

impl Place {
    fn of(self, field: &str) -> Self {
        match (self, field) {
            (Self::Message, "id") => Self::Id,
            (Self::Message, "method") => Self::Method,
            (Self::Message, "params") => Self::Params,
            (Self::Params, "name") => Self::Name,
            (Self::Params, "arguments") => Self::Arguments,
            (Self::Arguments, "data") => Self::Data,
            (Self::Data, "operation") => Self::Operation,
            _ => Self::Elsewhere,
        }
    }
}

/// Reads the value at a place.
struct Reader<'a> {
    place: Place,
    found: &'a mut Found,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        match self.place {
            Place::Elsewhere => input.deserialize_ignored_any(IgnoredAny).map(drop),
            _ => input.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.found.note(self.place, text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.number(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.number(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.number(number.into())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { place, found } = self;
        let mut seen = Vec::new();
        while let Some(place) = fields.next_key_seed(Field(place))? {
            if seen.contains(&place) {
                return Err(A::Error::custom("two fields with the same name"));
            }
            if place != Place::Elsewhere {
                seen.push(place);
            }
            let found = &mut *found;
            fields.next_value_seed(Reader { place, found })?;
        }
        Ok(())
    }
}

impl Reader<'_> {
    fn number<E>(self, number: Value) -> Result<(), E> {
        if self.place == Place::Id {
            self.found.id = Some(number);
        }
        Ok(())
    }
}

/// Reads the name of a field of the object at a place.
struct Field(Place);

impl<'de> DeserializeSeed<'de> for Field {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Place, D::Error> {
        input.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Field {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Place, E> {
        let Self(object) = self;
        Ok(object.of(name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id_of(message: &[u8]) -> Option<Value> {
        Outline::of(message).id
    }

    fn verifies(message: impl AsRef<[u8]>) -> bool {
        Outline::of(message.as_ref()).is_verification
    }

    #[test]
    fn an_id_is_a_string_or_a_number() {
        assert_eq!(id_of(br#"{"id":7,"method":"x"}"#), Some(json!(7)));
        assert_eq!(id_of(br#"{"id":"a"}"#), Some(json!("a")));
        assert_eq!(id_of(br#"{"id":-1.5}"#), Some(json!(-1.5)));
        assert_eq!(
            id_of(br#"{"method":[5],"params":0,"id":7}"#),
            Some(json!(7))
        );
        for without in [
            &br#"{"id":null}"#[..],
            br#"{"id":[1,{"a":[]}]}"#,
            br#"{"id":{"a":1}}"#,
            br#"{"id":true}"#,
            br#"{"id":7,"id":7}"#,
            br#"{"id":7}x"#,
            br#"{"params":{"id":7}}"#,
            br#"[{"id":7}]"#,
            b"{}",
            b"[7]",
            b"{",
            b"7",
        ] {
            assert_eq!(id_of(without), None);
        }
    }

    #[test]
    fn a_call_that_verifies_is_known_by_its_tool_or_by_the_operation_that_it_runs() {
        for operation in VERIFICATIONS {
            let direct = json!({"name": format!("user-auth_{operation}"), "arguments": {}});
            let data = json!({"token": "x", "operation": operation});
            let arguments = json!({"data": data});
            let run =
                json!({"arguments": arguments, "name": "user-auth_execute_primary_operation"});
            for params in [direct, run] {
                let message = json!({"id": "a", "params": params, "method": "tools/call"});
                let outline = Outline::of(message.to_string().as_bytes());
                assert!(outline.is_verification, "{message}");
                assert_eq!(outline.id, Some(json!("a")));
            }
        }
        assert!(verifies(
            r#"{"m\u0065thod":"tools\/call","params":{"name":"user-auth_verify\u005ftoken"}}"#
        ));
    }

    #[test]
    fn a_message_that_could_be_read_in_another_way_verifies_nothing() {
        let tool = r#""name":"user-auth_verify_token""#;
        let any = r#""name":"user-auth_execute_primary_operation""#;
        let call = |params: &str| format!(r#"{{"method":"tools/call","params":{params}}}"#);
        let run = |arguments: &str| call(&format!(r#"{{{any},"arguments":{arguments}}}"#));
        assert!(verifies(call(&format!("{{{tool}}}"))));
        assert!(verifies(run(r#"{"data":{"operation":"verify_token"}}"#)));
        for message in [
            call(&format!(r#"{{{tool},"name":"user-auth_login"}}"#)),
            call(&format!(r#"{{"name":"user-auth_login",{tool}}}"#)),
            call(&format!(r#"{{{tool},"n\u0061me":"user-auth_login"}}"#)),
            call(&format!("[{{{tool}}}]")),
            call(r#"{"name":["user-auth_verify_token"]}"#),
            call(r#"{"name":"verify_token"}"#),
            call(r#"{"name":"user-auth_verify_token "}"#),
            call(r#"{"name":"user-auth_Verify_token"}"#),
            call(r#"{"name":"user-auth_user-auth_verify_token"}"#),
            call(r#"{"name":"user-auth_login","arguments":{"name":"user-auth_verify_token"}}"#),
            call(r#"{"name":"user-auth_login","operation":"verify_token"}"#),
            run(r#"{"operation":"verify_token"}"#),
            run(r#"{"data":{"operation":"user-auth_verify_token"}}"#),
            run(r#"{"data":{"operation":"login"},"operation":"verify_token"}"#),
            run(r#"{"data":{"operation":"login","operation":"verify_token"}}"#),
            run(r#"{"data":{"operation":"verify_token"},"data":{"operation":"login"}}"#),
            run(r#"{"data":[{"operation":"verify_token"}]}"#),
            run(r#"{"data":{"data":{"operation":"verify_token"}}}"#),
            format!(r#"{{"method":"tools/list","params":{{{tool}}}}}"#),
            format!(r#"{{"method":"user-auth_verify_token","params":{{{tool}}}}}"#),
            format!(r#"{{"params":{{{tool}}}}}"#),
            format!(r#"{{"method":"x","method":"tools/call","params":{{{tool}}}}}"#),
            format!(r#"{{"method":"tools/call","params":{{{tool}}},"params":{{}}}}"#),
            format!("[{}]", call(&format!("{{{tool}}}"))),
            format!("{} {{}}", call(&format!("{{{tool}}}"))),
            format!("\u{feff}{}", call(&format!("{{{tool}}}"))),
            tool.to_owned(),
        ] {
            assert!(!verifies(&message), "{message}");
        }
    }
}
