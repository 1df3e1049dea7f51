//! `GET /openapi.json` describes everything by HTTP but MCP, for people and for generators
//! of clients (OpenAPI 3.1). The schemas are those of the tools.

use serde_json::Value;

use super::request::{JSON, Request};
use super::{API, INTROSPECT};
use crate::dispatch::schemas::{self, Schemas};
use crate::domain::access::actor::Requirement;
use crate::json::{self, JsonText, ObjectWriter, WriteJson};
use crate::mcp::{self, Refusal, Response};
use crate::operations::{Definition, TABLE};
use crate::settings::Settings;

/// Size of the document in bytes, so that its text need not move while it grows.
const ROUGHLY: usize = 192 << 10;
/// The document without the operations, for a server with the usual header for API keys.
const WITHOUT_OPERATIONS: &str = include_str!("openapi.json");

pub fn answer(request: &Request, settings: &Settings) -> Result<Response, Refusal> {
    request.require_method(&["GET", "HEAD"])?;
    let document = JsonText::of(&Document(rest(request, settings)));
    Ok(mcp::json_response(200, Vec::new(), document))
}

/// Returns the document without the operations.
#[expect(clippy::expect_used, reason = "a test parses the file")]
fn rest(request: &Request, settings: &Settings) -> Value {
    let rest = json::parse(WITHOUT_OPERATIONS.as_bytes()).expect("the file is JSON");
    let mut rest = Value::from(rest);
    rest["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    // Relative to this document if the operator has set no URL.
    if let Some(url) = &settings.public_url {
        rest["servers"][0]["url"] = url.as_str().into();
    }
    let key = &mut rest["components"]["securitySchemes"]["apiKey"];
    key["name"] = request.api_key_header.as_str().into();
    let introspected = &mut rest["paths"][INTROSPECT]["post"]["responses"]["200"];
    let output = schemas::of("introspect_token").output;
    introspected["content"][JSON]["schema"] = output.value();
    rest
}

struct Document(Value);

impl WriteJson for Document {
    fn write_json(&self, to: &mut Vec<u8>) {
        let rest = &self.0;
        to.reserve(ROUGHLY);
        ObjectWriter::new(to)
            .field("openapi", "3.1.1")
            .field("info", &rest["info"])
            .field("servers", &rest["servers"])
            .field("paths", &Paths(&rest["paths"]))
            .field("components", &rest["components"])
            .end();
    }
}

/// The paths: those of the operations, and these others.
struct Paths<'a>(&'a Value);

impl WriteJson for Paths<'_> {
    fn write_json(&self, to: &mut Vec<u8>) {
        let mut paths = ObjectWriter::new(to);
        for (operation, schemas) in TABLE.iter().zip(schemas::all()) {
            let item = Post(JsonText::of(&Operation { operation, schemas }));
            paths = paths.field(&format!("{API}{}", operation.name), &item);
        }
        if let Some(others) = self.0.as_object() {
            for (path, item) in others {
                paths = paths.field(path, item);
            }
        }
        paths.end();
    }
}

/// JSON as it is.
struct Plain(&'static str);

impl WriteJson for Plain {
    fn write_json(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.0.as_bytes());
    }
}

/// The methods of a path that only has `POST`.
struct Post(JsonText);

impl WriteJson for Post {
    fn write_json(&self, to: &mut Vec<u8>) {
        ObjectWriter::new(to).field("post", &self.0).end();
    }
}

/// One operation, at its path.
struct Operation<'a> {
    operation: &'a Definition,
    schemas: Schemas,
}

impl WriteJson for Operation<'_> {
    fn write_json(&self, to: &mut Vec<u8>) {
        let Self { operation, schemas } = self;
        let body = JsonText::object(|body| {
            let is_required = requires_input(schemas);
            body.field("required", &is_required)
                .field("content", &content(&schemas.input))
        });
        ObjectWriter::new(to)
            .field("operationId", operation.name)
            .field("summary", operation.title)
            .field("description", &schemas.description)
            .field("security", &security(operation.requires))
            .field("requestBody", &body)
            .field("responses", &responses(&schemas.output))
            .end();
    }
}

/// Returns whether the input has fields that are required.
fn requires_input(schemas: &Schemas) -> bool {
    let input = schemas.input.value();
    let required = input["required"].as_array();
    required.is_some_and(|required| !required.is_empty())
}

/// Returns the credentials that an operation takes. A server may require an API key for
/// every operation.
fn security(requires: Requirement) -> Plain {
    Plain(match requires {
        Requirement::Nothing => r#"[{},{"apiKey":[]},{"bearer":[]}]"#,
        _ => r#"[{"bearer":[]},{"apiKey":[]}]"#,
    })
}

fn responses(output: &impl WriteJson) -> JsonText {
    let succeeded = JsonText::object(|response| {
        response
            .field("description", "The output of the operation.")
            .field("content", &content(output))
    });
    let error = Plain(r##"{"$ref":"#/components/responses/Error"}"##);
    JsonText::object(|responses| {
        responses
            .field("200", &succeeded)
            .field("4XX", &error)
            .field("5XX", &error)
    })
}

fn content(schema: &impl WriteJson) -> JsonText {
    let content = JsonText::object(|content| content.field("schema", schema));
    JsonText::object(|types| types.field(JSON, &content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Body, paths, route};
    use crate::settings::Settings;

    fn document() -> Value {
        let request = Request {
            method: "GET".to_owned(),
            target: "/openapi.json".to_owned(),
            authority: None,
            tls: false,
            headers: Vec::new(),
            api_key_header: "X-Team-Key".to_owned(),
            peer: None,
        };
        let answer = answer(&request, &Settings::default()).unwrap();
        serde_json::from_slice(&answer.body.unwrap()).unwrap()
    }

    #[test]
    fn it_describes_every_route_that_takes_a_body_but_mcp() {
        let document = document();
        let described = document["paths"].as_object().unwrap();
        let settings = Settings::default();
        for path in paths(&settings) {
            let takes_content = route(&path, &settings).unwrap().body == Body::Content;
            let is_described = described
                .get(&path)
                .is_some_and(|item| item["post"] != Value::Null);
            assert_eq!(is_described, takes_content, "{path}");
        }
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let introspected = &document["paths"][INTROSPECT]["post"]["responses"]["200"]["content"];
        let as_operation = &document["paths"]["/api/introspect_token"]["post"]["responses"]["200"];
        assert_eq!(*introspected, as_operation["content"]);
        let key = &document["components"]["securitySchemes"]["apiKey"];
        assert_eq!(key["name"], "X-Team-Key");
    }

    #[test]
    fn a_body_is_required_where_the_input_has_required_fields() {
        let document = document();
        let is_required = |operation: &str| {
            let item = &document["paths"][format!("/api/{operation}")]["post"];
            item["requestBody"]["required"].as_bool().unwrap()
        };
        assert!(is_required("login"));
        assert!(!is_required("get_capabilities"));
    }
}
