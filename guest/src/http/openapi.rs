//! `GET /openapi.json` describes everything by HTTP but MCP, for people and for generators
//! of clients (OpenAPI 3.1). The schemas are those of the tools.

use serde_json::json;

use super::request::{FORM, JSON, Request};
use super::{API, INTROSPECT, REVOKE, VERIFY};
use crate::dispatch::schemas::{self, Schemas};
use crate::domain::access::actor::Requirement;
use crate::json::{self, JsonText, ObjectWriter, WriteJson};
use crate::mcp::{self, Refusal, Response};
use crate::operations::{Definition, TABLE};
use crate::settings::{PublicUrl, Settings};

/// Size of the document in bytes, so that its text need not move while it grows.
const ROUGHLY: usize = 192 << 10;
/// What the operations have in common, with the usual name of the header for API keys.
const COMPONENTS: &str = include_str!("openapi_components.json");

pub fn answer(request: &Request, settings: &Settings) -> Result<Response, Refusal> {
    request.require_method(&["GET", "HEAD"])?;
    let document = JsonText::of(&Document { request, settings });
    Ok(mcp::json_response(200, Vec::new(), document))
}

struct Document<'a> {
    request: &'a Request,
    settings: &'a Settings,
}

impl WriteJson for Document<'_> {
    fn write_json(&self, to: &mut Vec<u8>) {
        let Self { request, settings } = self;
        to.reserve(ROUGHLY);
        let info = json!({
            "title": "UserAuth",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Authentication for AI agents and the services around them. Each \
                operation is a tool of MCP too.",
        });
        // Relative to this document if the operator has set no URL.
        let url = settings.public_url.as_ref().map_or("/", PublicUrl::as_str);
        ObjectWriter::new(to)
            .field("openapi", "3.1.1")
            .field("info", &info)
            .field("servers", &json!([{"url": url}]))
            .field("paths", &Paths)
            .field("components", &components(&request.api_key_header))
            .end();
    }
}

struct Paths;

impl WriteJson for Paths {
    fn write_json(&self, to: &mut Vec<u8>) {
        let mut paths = ObjectWriter::new(to);
        for (operation, schemas) in TABLE.iter().zip(schemas::all()) {
            let item = Post(JsonText::of(&Operation { operation, schemas }));
            paths = paths.field(&format!("{API}{}", operation.name), &item);
        }
        let introspected = schemas::of("introspect_token").output;
        paths
            .field(INTROSPECT, &Post(introspect(&introspected)))
            .field(REVOKE, &Post(revoke()))
            .field(VERIFY, &verify())
            .end();
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
                .field("content", &content(JSON, &schemas.input))
        });
        ObjectWriter::new(to)
            .field("operationId", operation.name)
            .field("summary", operation.title)
            .field("description", &schemas.description)
            .field("security", &security(operation.requires))
            .field("requestBody", &body)
            .field("responses", &responses(&schemas.output, "Error"))
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
fn security(requires: Requirement) -> serde_json::Value {
    match requires {
        Requirement::Nothing => json!([{}, {"apiKey": []}, {"bearer": []}]),
        _ => json!([{"bearer": []}, {"apiKey": []}]),
    }
}

fn introspect(output: &impl WriteJson) -> JsonText {
    let properties = json!({
        "token": {"type": "string", "description": "The token."},
        "token_type_hint": {"type": "string", "description": "Ignored."},
        "audience": {
            "type": "string",
            "description": "The audience that an access token must have, if not this service.",
        },
    });
    form(
        json!({
            "operationId": "introspect",
            "summary": "Introspect a token (RFC 7662)",
            "description": "The operation introspect_token for libraries of OAuth. Requires \
                user-auth:tokens:introspect.",
        }),
        properties,
        output,
    )
}

fn revoke() -> JsonText {
    let properties = json!({
        "token": {"type": "string", "description": "The token."},
        "token_type_hint": {"type": "string", "description": "Ignored."},
        "client_id": {
            "type": "string",
            "description": "The client that the token was issued to; only with an authorization \
                server.",
        },
        "client_secret": {
            "type": "string",
            "description": "The secret of the client, unless it is public or sends Basic.",
        },
    });
    form(
        json!({
            "operationId": "revoke",
            "summary": "Revoke a token (RFC 7009)",
            "description": "The operation revoke_token for libraries of OAuth. A client revokes \
                only its own tokens. A token that is already invalid is not an error.",
        }),
        properties,
        &json!({"type": "object"}),
    )
}

/// Describes an operation whose input is a form.
fn form(
    described: serde_json::Value,
    properties: serde_json::Value,
    output: &impl WriteJson,
) -> JsonText {
    let schema = json!({"type": "object", "properties": properties, "required": ["token"]});
    let body = JsonText::object(|body| {
        body.field("required", &true)
            .field("content", &content(FORM, &schema))
    });
    JsonText::object(|object| {
        object
            .field("operationId", &described["operationId"])
            .field("summary", &described["summary"])
            .field("description", &described["description"])
            .field(
                "security",
                &json!([{}, {"apiKey": []}, {"bearer": []}, {"basic": []}]),
            )
            .field("requestBody", &body)
            .field("responses", &responses(output, "OAuthError"))
    })
}

fn verify() -> serde_json::Value {
    let error = json!({"$ref": "#/components/responses/Error"});
    let header = |description: &str| {
        json!({
            "description": description,
            "schema": {"type": "string"},
        })
    };
    json!({"get": {
        "operationId": "verify",
        "summary": "Verify the credential of a request",
        "description": "For reverse proxies, which call it with the header fields of each \
            request that they guard.",
        "security": [{"bearer": []}, {"apiKey": []}],
        "parameters": [{
            "name": "permission",
            "in": "query",
            "description": "A permission that the owner must have, such as billing:read.",
            "schema": {"type": "string", "minLength": 1},
        }],
        "responses": {
            "200": {
                "description": "The credential is valid.",
                "headers": {
                    "X-Auth-Subject": header("The id of the owner."),
                    "X-Auth-Scopes": header("The scopes of the credential, separated by blanks."),
                },
            },
            "4XX": error,
            "5XX": error,
        },
    }})
}

fn responses(output: &impl WriteJson, error: &str) -> JsonText {
    let succeeded = JsonText::object(|response| {
        response
            .field("description", "The output of the operation.")
            .field("content", &content(JSON, output))
    });
    let error = json!({"$ref": format!("#/components/responses/{error}")});
    JsonText::object(|responses| {
        responses
            .field("200", &succeeded)
            .field("4XX", &error)
            .field("5XX", &error)
    })
}

fn content(media_type: &str, schema: &impl WriteJson) -> JsonText {
    let content = JsonText::object(|content| content.field("schema", schema));
    JsonText::object(|types| types.field(media_type, &content))
}

#[expect(clippy::expect_used, reason = "a test parses the file")]
fn components(api_key_header: &str) -> serde_json::Value {
    let components = json::parse(COMPONENTS.as_bytes());
    let mut components = serde_json::Value::from(components.expect("the file is JSON"));
    components["securitySchemes"]["apiKey"]["name"] = api_key_header.into();
    components
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
