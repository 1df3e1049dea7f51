//! Tools: one for each operation.

use serde_json::{Value, json};

use crate::dispatch::input;
use crate::dispatch::schemas::{self, Schemas};
use crate::json;
use crate::mcp::call::{Call, MethodResult};
use crate::mcp::error::RpcError;
use crate::mcp::protocol::{STATIC_TTL_MS, TOOL_PREFIX, tool_name};
use crate::operations::{self, Definition, TABLE};

/// `tools/list`
pub fn list(call: &Call) -> MethodResult {
    call.first_page()?;
    let tools: Vec<Value> = TABLE.iter().zip(schemas::all()).map(tool).collect();
    Ok(call.era.cached(
        json::object([("tools", tools.into())]),
        STATIC_TTL_MS,
        "public",
    ))
}

/// `tools/call`
pub fn call(call: &Call) -> MethodResult {
    let name = call.text("name")?;
    let operation = name.strip_prefix(TOOL_PREFIX).and_then(operations::find);
    let Some(operation) = operation else {
        let known: Vec<String> = TABLE.iter().map(|known| tool_name(known.name)).collect();
        return Err(RpcError::invalid_params("Unknown tool")
            .data(json!({"tool": input::shortened(name), "known_tools": known}))
            .into());
    };
    let arguments = Value::Object(call.object("arguments")?);
    match (operation.invoke)(arguments, &call.context) {
        Ok(output) => Ok(result(output, false)),
        Err(error) => {
            let mut object = error.to_object(call.context.now());
            let wanted = call.context.settings.tool_errors;
            if call.era.failures_are_results(wanted) {
                return Ok(result(json::object([("error", object)]), true));
            }
            Err(RpcError {
                code: error.kind.code(),
                data: Some(object["data"].take()),
                message: error.message.clone(),
                status: 200,
            }
            .into())
        }
    }
}

/// The result is both text and structured content, because clients differ in which one
/// they pass to the model.
fn result(structured: Value, is_error: bool) -> Value {
    let text = json::text(&structured);
    let text = json::object([("type", "text".into()), ("text", text.into())]);
    json::object([
        ("content", vec![text].into()),
        ("structuredContent", structured),
        ("isError", is_error.into()),
    ])
}

fn tool((operation, mut schemas): (&Definition, Schemas)) -> Value {
    let description = schemas.take_description();
    json::object([
        ("name", tool_name(operation.name).into()),
        ("title", operation.title.into()),
        ("description", description),
        ("inputSchema", schemas.input),
        ("outputSchema", output_schema(schemas.output)),
        ("annotations", operation.effect.annotations(operation.title)),
    ])
}

/// A tool's structured content is the output of its operation or an error, in an
/// object either way.
fn output_schema(output: Value) -> Value {
    let error = json!({
        "type": "object",
        "description": "Why the operation failed.",
        "properties": {
            "code": {"type": "integer"},
            "message": {"type": "string"},
            "data": {
                "type": "object",
                "properties": {
                    "operation": {"type": "string"},
                    "module": {"type": "string"},
                    "timestamp": {"type": "string", "format": "date-time"},
                    "details": {"type": "object"}
                },
                "required": ["operation", "module", "timestamp", "details"]
            }
        },
        "required": ["code", "message", "data"]
    });
    let failed = json::object([
        ("type", "object".into()),
        ("properties", json::object([("error", error)])),
        ("required", json!(["error"])),
    ]);
    json::object([
        ("type", "object".into()),
        ("anyOf", vec![output, failed].into()),
    ])
}
