//! The facts about a JSON text that the host needs before the component reads it: which
//! ones, the component says.
//!
//! This runs outside the sandbox: it skips all other parts of the text, which take no
//! memory.

use std::fmt;
use std::sync::LazyLock;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::api::JsonBody;

/// Maximum number of places that the host looks at, and of lists of members.
const MAX_RULES: usize = 64;
/// Maximum length of a pointer, and of the text at it.
const MAX_BYTES: usize = 128;

/// The facts about a JSON text that the host needs before the component reads it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outline {
    /// The id, for an error of the host's own; `None` unless it is a string or a number.
    pub(crate) id: Option<Value>,
    /// Whether all of its readers find it to be a verification.
    pub(crate) is_verification: bool,
}

/// Where the facts are in a text.
#[derive(Debug)]
pub(crate) struct Outliner {
    /// The objects on the way to the places, and the places. The first is the text itself.
    places: Vec<Place>,
    id: usize,
    /// A text is a verification if it has all members of one of these lists.
    verifications: Vec<Vec<Member>>,
}

/// A value in a text.
#[derive(Debug, Default)]
struct Place {
    /// The places in it, by the names of their fields.
    fields: Vec<(String, usize)>,
    /// Whether its value is a fact.
    is_fact: bool,
}

#[derive(Debug)]
struct Member {
    place: usize,
    text: String,
}

impl Outliner {
    /// Prepares the search for the facts that a component asks for. `None` if it asks for
    /// too many.
    pub(crate) fn new(asked: &JsonBody) -> Option<Self> {
        let members = asked.verifications.iter().flatten();
        let lengths = members.flat_map(|member| [member.pointer.len(), member.text.len()]);
        let are_short = lengths
            .chain([asked.id.len()])
            .all(|length| length <= MAX_BYTES);
        if asked.verifications.len() > MAX_RULES || !are_short {
            return None;
        }
        let mut outliner = Self {
            places: vec![Place::default()],
            id: 0,
            verifications: Vec::new(),
        };
        outliner.id = outliner.place(&asked.id);
        for members in &asked.verifications {
            let members = members.iter().map(|member| Member {
                place: outliner.place(&member.pointer),
                text: member.text.clone(),
            });
            let members = members.collect();
            outliner.verifications.push(members);
        }
        (outliner.places.len() <= MAX_RULES).then_some(outliner)
    }

    /// Returns the index of the place at a pointer, and adds the place if it is new.
    fn place(&mut self, pointer: &str) -> usize {
        let mut place = 0;
        for name in pointer.split('/').skip(1) {
            // RFC 6901 section 4: in this order.
            let name = name.replace("~1", "/").replace("~0", "~");
            place = match self.places[place].field(&name) {
                Some(known) => known,
                None => {
                    let new = self.places.len();
                    self.places[place].fields.push((name, new));
                    self.places.push(Place::default());
                    new
                }
            };
        }
        self.places[place].is_fact = true;
        place
    }

    /// Reads a text. One that is not JSON, or has two fields of one name on the way to a
    /// place, has an empty outline: readers could differ about it.
    pub(crate) fn outline(&self, text: &[u8]) -> Outline {
        let mut facts = vec![None; self.places.len()];
        let mut input = serde_json::Deserializer::from_slice(text);
        let reader = Reader {
            place: Some(0),
            places: &self.places,
            facts: &mut facts,
        };
        if reader.deserialize(&mut input).is_err() || input.end().is_err() {
            return Outline::default();
        }
        let has = |member: &Member| {
            let fact = facts[member.place].as_ref().and_then(Value::as_str);
            fact == Some(member.text.as_str())
        };
        let is_verification = self
            .verifications
            .iter()
            .any(|members| !members.is_empty() && members.iter().all(has));
        Outline {
            id: facts[self.id].take(),
            is_verification,
        }
    }
}

/// Returns the id of a message of JSON-RPC.
pub(crate) fn message_id(message: &[u8]) -> Option<Value> {
    static OUTLINER: LazyLock<Outliner> = LazyLock::new(|| {
        let id = JsonBody {
            id: "/id".to_owned(),
            verifications: Vec::new(),
        };
        Outliner::new(&id).expect("one place is not too many")
    });
    OUTLINER.outline(message).id
}

impl Place {
    fn field(&self, name: &str) -> Option<usize> {
        let mut fields = self.fields.iter();
        let (_, place) = fields.find(|(known, _)| known == name)?;
        Some(*place)
    }
}

/// Reads the value at a place, or at none that matters.
struct Reader<'a> {
    place: Option<usize>,
    places: &'a [Place],
    facts: &'a mut [Option<Value>],
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        match self.place {
            None => input.deserialize_ignored_any(IgnoredAny).map(drop),
            Some(_) => input.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.note(text.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.note(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.note(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.note(number.into())
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
        let Self {
            place,
            places,
            facts,
        } = self;
        let object = place.map(|place| &places[place]);
        let mut seen = Vec::new();
        while let Some(place) = fields.next_key_seed(Field(object))? {
            if let Some(place) = place {
                if seen.contains(&place) {
                    return Err(A::Error::custom("two fields with the same name"));
                }
                seen.push(place);
            }
            let facts = &mut *facts;
            fields.next_value_seed(Reader {
                place,
                places,
                facts,
            })?;
        }
        Ok(())
    }
}

impl Reader<'_> {
    fn note<E>(self, value: Value) -> Result<(), E> {
        if let Some(place) = self.place
            && self.places[place].is_fact
        {
            self.facts[place] = Some(value);
        }
        Ok(())
    }
}

/// Reads the name of a field of the object at a place.
struct Field<'a>(Option<&'a Place>);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Option<usize>, D::Error> {
        input.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Field<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        let Self(object) = self;
        Ok(object.and_then(|object| object.field(name)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Member as Asked;

    /// The operations that the component's own rules name.
    const VERIFICATIONS: [&str; 3] = ["verify_token", "introspect_token", "check_permission"];

    /// The rules of the component.
    fn rules() -> JsonBody {
        let member = |pointer: &str, text: &str| Asked {
            pointer: pointer.to_owned(),
            text: text.to_owned(),
        };
        let tool = |name: &str| {
            vec![
                member("/method", "tools/call"),
                member("/params/name", &format!("user-auth_{name}")),
            ]
        };
        let each = VERIFICATIONS.into_iter().flat_map(|name| {
            let mut any = tool("execute_primary_operation");
            any.push(member("/params/arguments/data/operation", name));
            [tool(name), any]
        });
        JsonBody {
            id: "/id".to_owned(),
            verifications: each.collect(),
        }
    }

    fn outline(message: &[u8]) -> Outline {
        Outliner::new(&rules()).unwrap().outline(message)
    }

    fn id_of(message: &[u8]) -> Option<Value> {
        assert_eq!(message_id(message), outline(message).id);
        message_id(message)
    }

    fn verifies(message: impl AsRef<[u8]>) -> bool {
        outline(message.as_ref()).is_verification
    }

    #[test]
    fn names_in_pointers_may_be_escaped() {
        let mut asked = rules();
        asked.id = "/a~1b~01/c".to_owned();
        let outliner = Outliner::new(&asked).unwrap();
        let found = outliner.outline(br#"{"a/b~1":{"c":7}}"#);
        assert_eq!(found.id, Some(json!(7)));
    }

    #[test]
    fn a_component_may_not_ask_for_too_much() {
        let mut asked = rules();
        asked.verifications = vec![asked.verifications[0].clone(); MAX_RULES];
        assert!(Outliner::new(&asked).is_some());
        asked.verifications.push(Vec::new());
        assert!(Outliner::new(&asked).is_none());
        for id in ["/a".repeat(MAX_RULES), "a".repeat(MAX_BYTES + 1)] {
            let asked = JsonBody { id, ..rules() };
            assert!(Outliner::new(&asked).is_none());
        }
    }

    #[test]
    fn no_members_are_no_verification() {
        let asked = JsonBody {
            verifications: vec![Vec::new()],
            ..rules()
        };
        let found = Outliner::new(&asked).unwrap().outline(b"{}");
        assert_eq!(found, Outline::default());
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
                let outline = outline(message.to_string().as_bytes());
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
