//! The fixtures that the MCP conformance suite calls by fixed names: tools,
//! resources and prompts that do nothing but show what the protocol can carry.
//! Behind the cargo feature `conformance`, and never part of a normal build.

mod input_required;

use serde_json::{Value, json};

use super::era::Era;
use super::error::RpcError;
use super::methods::{prompts, resources, tools};
use super::protocol::CALLER_TTL_MS;
use super::{MethodRequest, MethodResult};
use crate::json::{JsonText, Node};
use crate::ports::LogLevel;

/// A 1x1 image.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mNgaPgPAAIDAYAanCY7AAAAAElFTkSuQmCC";
/// Eight samples of silence.
const WAV: &str = "UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA==";

/// Returns the result if the request is for a fixture or for a list with fixtures.
pub fn run(request: &MethodRequest) -> Option<MethodResult> {
    match request.method {
        "tools/list" => Some(with("tools", tool_list(), tools(request))),
        "resources/list" => Some(with("resources", resource_list(), resources::list(request))),
        "resources/templates/list" => Some(with(
            "resourceTemplates",
            template_list(),
            resources::templates(request),
        )),
        "prompts/list" => Some(with("prompts", prompt_list(), prompts::list(request))),
        "tools/call" => call_tool(request),
        "resources/read" => read_resource(request),
        "prompts/get" => get_prompt(request),
        _ => None,
    }
}

/// Fixtures first: the suite tries the first of each list.
fn with(list: &str, fixtures: Value, result: MethodResult) -> MethodResult {
    let mut result = result?;
    if let (Value::Array(mut all), Value::Array(rest)) = (fixtures, result[list].take()) {
        all.extend(rest);
        result[list] = Value::Array(all);
    }
    Ok(result)
}

fn tools(request: &MethodRequest) -> MethodResult {
    let tools = JsonText::of(&tools::list(request)?);
    let result = json!({"tools": Value::from(tools.node())});
    Ok(request.era.cached(result, CALLER_TTL_MS, "private"))
}

fn tool_list() -> Value {
    const PLAIN: [&str; 19] = [
        "test_simple_text",
        "test_image_content",
        "test_audio_content",
        "test_embedded_resource",
        "test_multiple_content_types",
        "test_error_handling",
        "test_tool_with_progress",
        "test_tool_with_logging",
        "test_logging_tool",
        "test_missing_capability",
        "test_streaming_elicitation",
        "test_input_required_result_elicitation",
        "test_input_required_result_sampling",
        "test_input_required_result_list_roots",
        "test_input_required_result_request_state",
        "test_input_required_result_multiple_inputs",
        "test_input_required_result_multi_round",
        "test_input_required_result_tampered_state",
        "test_input_required_result_capabilities",
    ];
    let mut tools: Vec<Value> = PLAIN
        .iter()
        .map(|name| {
            json!({
                "name": name,
                "description": "A fixture of the conformance suite",
                "inputSchema": {"type": "object", "properties": {}, "additionalProperties": false},
            })
        })
        .collect();
    tools.push(json!({
        "name": "json_schema_2020_12_tool",
        "description": "A fixture with an input schema that uses much of JSON Schema",
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
                },
            },
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": false,
        },
    }));
    Value::Array(tools)
}

fn call_tool(request: &MethodRequest) -> Option<MethodResult> {
    let name = request.text("name").ok()?;
    if let Some(fixture) = name.strip_prefix("test_input_required_result_") {
        return Some(input_required::call_tool(fixture, request));
    }
    Some(Ok(match name {
        "test_simple_text" | "json_schema_2020_12_tool" | "test_logging_tool" => {
            request
                .call
                .reporter
                .log(LogLevel::Info, json!("the tool runs"));
            content(json!([text("This is a simple text response for testing.")]))
        }
        "test_image_content" => content(json!([image()])),
        "test_audio_content" => {
            content(json!([{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]))
        }
        "test_embedded_resource" => content(json!([resource(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content."
        )])),
        "test_multiple_content_types" => content(json!([
            text("Multiple content types test:"),
            image(),
            resource(
                "test://mixed-content-resource",
                "application/json",
                r#"{"test":"data","value":123}"#
            ),
        ])),
        "test_error_handling" => {
            let failure = text("This tool intentionally returns an error for testing");
            json!({"content": [failure], "isError": true})
        }
        "test_tool_with_progress" => {
            for done in [0, 50, 100] {
                request.call.reporter.progress(done, 100, "on the way");
            }
            content(json!([text("All of it is done.")]))
        }
        "test_tool_with_logging" => {
            for message in [
                "Tool execution started",
                "Tool processing data",
                "Tool execution completed",
            ] {
                request.call.reporter.log(LogLevel::Info, json!(message));
            }
            content(json!([text("All of it is logged.")]))
        }
        "test_missing_capability" => return Some(needs_sampling(request)),
        "test_streaming_elicitation" => {
            return Some(input_required::call_tool("elicitation", request));
        }
        _ => return None,
    }))
}

fn needs_sampling(request: &MethodRequest) -> MethodResult {
    if input_required::client_has(request, "sampling") {
        return Ok(content(json!([text("The client can sample.")])));
    }
    Err(RpcError::new(-32021, "The client lacks a capability", 400)
        .data(json!({"requiredCapabilities": {"sampling": {}}}))
        .into())
}

fn resource_list() -> Value {
    json!([
        {"uri": "test://static-text", "name": "static-text", "mimeType": "text/plain"},
        {"uri": "test://static-binary", "name": "static-binary", "mimeType": "image/png"},
    ])
}

fn template_list() -> Value {
    json!([{
        "uriTemplate": "test://template/{id}/data",
        "name": "template",
        "mimeType": "application/json",
    }])
}

fn read_resource(request: &MethodRequest) -> Option<MethodResult> {
    let uri = request.text("uri").ok()?;
    let contents = match uri {
        "test://static-text" => json!({
            "uri": uri,
            "mimeType": "text/plain",
            "text": "This is the content of the static text resource.",
        }),
        "test://static-binary" => json!({"uri": uri, "mimeType": "image/png", "blob": PNG}),
        _ => {
            let id = uri
                .strip_prefix("test://template/")?
                .strip_suffix("/data")?;
            let data = format!("Data for ID: {id}");
            let text = json!({"id": id, "templateTest": true, "data": data}).to_string();
            json!({"uri": uri, "mimeType": "application/json", "text": text})
        }
    };
    let result = json!({"contents": [contents]});
    Some(Ok(request.era.cached(result, 0, "public")))
}

fn prompt_list() -> Value {
    let argument = |name: &str| json!({"name": name, "description": "Any text", "required": true});
    let prompt = |name: &str, arguments: Value| {
        json!({
            "name": name,
            "description": "A fixture of the conformance suite",
            "arguments": arguments,
        })
    };
    json!([
        prompt("test_simple_prompt", json!([])),
        prompt(
            "test_prompt_with_arguments",
            json!([argument("arg1"), argument("arg2")])
        ),
        prompt(
            "test_prompt_with_embedded_resource",
            json!([argument("resourceUri")])
        ),
        prompt("test_prompt_with_image", json!([])),
        prompt("test_input_required_result_prompt", json!([])),
    ])
}

fn get_prompt(request: &MethodRequest) -> Option<MethodResult> {
    let argument = |name: &str| {
        let value = request
            .params
            .get("arguments")
            .and_then(|all| all.get(name));
        value.and_then(Node::as_str).unwrap_or_default().to_owned()
    };
    Some(Ok(match request.text("name").ok()? {
        "test_simple_prompt" => messages(vec![text("This is a simple prompt for testing.")]),
        "test_prompt_with_arguments" => messages(vec![text(&format!(
            "Prompt with arguments: arg1='{}', arg2='{}'",
            argument("arg1"),
            argument("arg2")
        ))]),
        "test_prompt_with_embedded_resource" => messages(vec![
            resource(
                &argument("resourceUri"),
                "text/plain",
                "Embedded resource content for testing.",
            ),
            text("Please process the embedded resource above."),
        ]),
        "test_prompt_with_image" => {
            messages(vec![image(), text("Please analyze the image above.")])
        }
        "test_input_required_result_prompt" => return Some(input_required::get_prompt(request)),
        _ => return None,
    }))
}

fn content(blocks: Value) -> Value {
    json!({"content": blocks})
}

fn messages(blocks: Vec<Value>) -> Value {
    let messages: Vec<Value> = blocks
        .into_iter()
        .map(|block| json!({"role": "user", "content": block}))
        .collect();
    json!({"messages": messages})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn image() -> Value {
    json!({"type": "image", "data": PNG, "mimeType": "image/png"})
}

fn resource(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({
        "type": "resource",
        "resource": {"uri": uri, "mimeType": mime_type, "text": text},
    })
}

/// Returns whether the request can be answered with `input_required`.
fn is_modern(request: &MethodRequest) -> bool {
    request.era == Era::Modern
}
