//! Tools: one for each operation.

use serde::Serialize;
use serde_json::{Value, json};

use crate::dispatch::input;
use crate::dispatch::offered::{self, Offered};
use crate::dispatch::schemas;
use crate::error::AuthError;
use crate::json::{JsonText, Node, ObjectWriter, WriteJson};
use crate::mcp::elicitation::{self, Ask};
use crate::mcp::error::{Failure, RpcError};
use crate::mcp::method_request::MethodRequest;
use crate::mcp::output::MethodOutput;
use crate::mcp::protocol::{TOOL_PREFIX, tool_name};
use crate::mcp::step_up;
use crate::operations::{self, Missing, Offer, TABLE};
use crate::settings::Settings;

/// `tools/list`
pub fn list(request: &MethodRequest) -> Result<ToolList, Failure> {
    request.first_page()?;
    let offered = Offered::to(&request.call)?;
    let is_listed = TABLE.iter().map(|operation| offered.has(operation));
    Ok(ToolList {
        is_listed: is_listed.collect::<Result<_, _>>()?,
        with_outputs: request.call.settings.output_schemas,
    })
}

/// The tools of the operations that a caller gets to see. Their schemas are written as they are embedded: to
/// parse them for every list would take ten times as long as another request.
pub struct ToolList {
    /// Which operations of the table are in the list.
    is_listed: Vec<bool>,
    /// Whether each tool has the schema of its output, which makes the list half as
    /// long again.
    with_outputs: bool,
}

impl WriteJson for ToolList {
    fn write_json(&self, to: &mut Vec<u8>) {
        to.reserve(ROUGHLY);
        to.push(b'[');
        let mut outputs = self.with_outputs.then(schemas::outputs);
        let mut is_first = true;
        let operations = TABLE.iter().zip(&self.is_listed);
        for ((operation, is_listed), input) in operations.zip(schemas::inputs()) {
            let output = outputs.as_mut().and_then(Iterator::next);
            if !is_listed {
                continue;
            }
            if !is_first {
                to.push(b',');
            }
            is_first = false;
            let mut tool = ObjectWriter::new(to)
                .field("name", &tool_name(operation.name))
                .field("title", operation.title)
                .field("description", &input.description.lean())
                .field("inputSchema", &input.schema.lean());
            if let Some(output) = output {
                tool = tool.field("outputSchema", &output.lean());
            }
            let annotations = operation.effect.annotations();
            tool.field("annotations", &annotations).end();
        }
        to.push(b']');
    }
}

/// Size of the list in bytes, so that its text need not move while it grows.
const ROUGHLY: usize = 16 << 10;

/// Returns the names, titles and descriptions of the tools that callers without a credential
/// get to see.
pub fn outline(settings: &Settings) -> Vec<Value> {
    let tools = TABLE.iter().zip(schemas::inputs());
    tools
        .filter(|(operation, _)| offered::is_for_anyone(operation, settings))
        .map(|(operation, input)| {
            json!({
                "name": tool_name(operation.name),
                "title": operation.title,
                "description": input.description.value(),
            })
        })
        .collect()
}

/// `tools/call`
pub fn call(mut request: MethodRequest) -> Result<MethodOutput, Failure> {
    let name = request.text("name")?;
    let offer = request.call.offer;
    let operation = match name.strip_prefix(TOOL_PREFIX) {
        Some(name) => operations::offered(name, offer),
        None => Err(Missing::Unknown),
    };
    let operation = match operation {
        Ok(operation) => operation,
        Err(missing) => return Err(unknown(name, missing, offer).into()),
    };
    let arguments = Node::Object(request.take_object("arguments")?);
    if let Some(resumed) = elicitation::resume(&request, operation) {
        return finish(resumed, &request);
    }
    if request.opens_pages {
        let sign_in_id = arguments.get("sign_in_id").and_then(Node::as_str);
        request.pending = sign_in_id.map(str::to_owned);
    }
    let result = (operation.invoke)(arguments, &request.call);
    let ask = match &result {
        Ok(output) => elicitation::instead_of_output(&request, operation, output),
        Err(error) => elicitation::instead_of_error(&request, error),
    };
    match ask {
        Some(Ask::Question(question)) => Ok(MethodOutput::Result(question)),
        Some(Ask::Required(error)) => Err(error.into()),
        None => finish(result, &request),
    }
}

/// Returns the outcome of an operation as the result of its tool, or as an error.
fn finish(
    result: Result<JsonText, AuthError>,
    request: &MethodRequest,
) -> Result<MethodOutput, Failure> {
    match result {
        Ok(output) => Ok(MethodOutput::Tool(ToolResult {
            structured: output,
            is_error: false,
        })),
        Err(error) => {
            if let Some(challenge) = step_up::challenge(&error, &request.call)? {
                return Err(Failure::InsufficientScope(error, challenge));
            }
            let mut object = error.to_object(request.call.now());
            let wanted = request.call.settings.tool_errors;
            if request.era.failures_are_results(wanted) {
                return Ok(MethodOutput::Tool(ToolResult {
                    structured: JsonText::object(|result| result.field("error", &object)),
                    is_error: true,
                }));
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

/// Returns the error for the name of a tool that cannot be called.
fn unknown(name: &str, missing: Missing, offer: Offer) -> RpcError {
    let known: Vec<String> = operations::names(offer).map(tool_name).collect();
    let mut data = json!({"tool": input::shortened(name), "known_tools": known});
    if let Some(action) = missing.action() {
        data["action"] = action.into();
    }
    RpcError::invalid_params(&missing.explain("Unknown tool")).data(data)
}

/// The result of a tool.
pub struct ToolResult {
    /// The output of the operation, or its error in an object.
    pub structured: JsonText,
    pub is_error: bool,
}

/// A block of content.
#[derive(Serialize)]
struct Text<'a> {
    r#type: &'static str,
    text: &'a str,
}

impl ToolResult {
    /// Writes the fields of the result.
    pub fn write<'a>(&self, object: ObjectWriter<'a>) -> ObjectWriter<'a> {
        // The content is there twice: some clients show the model only the text, and some
        // only the structured content.
        let text = Text {
            r#type: "text",
            text: self.structured.as_str(),
        };
        object
            .field("content", &[text])
            .field("structuredContent", &self.structured)
            .field("isError", &self.is_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_tools_is_one_line_of_json() {
        let list = JsonText::of(&ToolList {
            is_listed: vec![true; TABLE.len()],
            with_outputs: true,
        });
        assert!(!list.as_str().contains('\n'));
        let tools: Value = serde_json::from_str(list.as_str()).unwrap();
        assert_eq!(tools.as_array().map(Vec::len), Some(TABLE.len()));
    }
}
