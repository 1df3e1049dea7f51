//! Tools: one for each operation.

use serde_json::{Value, json};

use crate::dispatch::input;
use crate::dispatch::schemas::{self, Schemas};
use crate::json::{self, JsonText, Node};
use crate::mcp::error::{Failure, RpcError};
use crate::mcp::method_request::{MethodRequest, MethodResult};
use crate::mcp::output::ToolResult;
use crate::mcp::protocol::{STATIC_TTL_MS, TOOL_PREFIX, tool_name};
use crate::operations::{self, Definition, TABLE};

/// `tools/list`
pub fn list(request: &MethodRequest) -> MethodResult {
    request.first_page()?;
    let tools: Vec<Value> = TABLE.iter().zip(schemas::all()).map(tool).collect();
    Ok(request.era.cached(
        json::object([("tools", tools.into())]),
        STATIC_TTL_MS,
        "public",
    ))
}

/// `tools/call`
pub fn call(mut request: MethodRequest) -> Result<ToolResult, Failure> {
    let name = request.text("name")?;
    let operation = name.strip_prefix(TOOL_PREFIX).and_then(operations::find);
    let Some(operation) = operation else {
        let known: Vec<String> = TABLE.iter().map(|known| tool_name(known.name)).collect();
        return Err(RpcError::invalid_params("Unknown tool")
            .data(json!({"tool": input::shortened(name), "known_tools": known}))
            .into());
    };
    let arguments = Node::Object(request.take_object("arguments")?);
    match (operation.invoke)(arguments, &request.call) {
        Ok(output) => Ok(ToolResult {
            structured: output,
            is_error: false,
        }),
        Err(error) => {
            let mut object = error.to_object(request.call.now());
            let wanted = request.call.settings.tool_errors;
            if request.era.failures_are_results(wanted) {
                return Ok(ToolResult {
                    structured: JsonText::object(|result| result.field("error", &object)),
                    is_error: true,
                });
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
