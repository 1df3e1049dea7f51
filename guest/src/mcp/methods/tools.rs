//! Tools: one for each operation.

use serde::Serialize;
use serde_json::{Value, json};

use crate::dispatch::input;
use crate::dispatch::schemas;
use crate::json::{JsonText, Node, ObjectWriter, WriteJson};
use crate::mcp::elicitation;
use crate::mcp::error::{Failure, RpcError};
use crate::mcp::method_request::MethodRequest;
use crate::mcp::output::MethodOutput;
use crate::mcp::protocol::{TOOL_PREFIX, tool_name};
use crate::mcp::step_up;
use crate::operations::{self, TABLE};

/// `tools/list`
pub fn list(request: &MethodRequest) -> Result<ToolList, RpcError> {
    request.first_page()?;
    Ok(ToolList {
        with_outputs: request.call.settings.output_schemas,
    })
}

/// The tools of all operations. Their schemas are written as they are embedded: to
/// parse them for every list would take ten times as long as another request.
pub struct ToolList {
    /// Whether each tool has the schema of its output, which makes the list half as
    /// long again.
    pub with_outputs: bool,
}

impl WriteJson for ToolList {
    fn write_json(&self, to: &mut Vec<u8>) {
        to.reserve(ROUGHLY);
        to.push(b'[');
        let mut outputs = self.with_outputs.then(schemas::outputs);
        for (index, (operation, input)) in TABLE.iter().zip(schemas::inputs()).enumerate() {
            if index > 0 {
                to.push(b',');
            }
            let mut tool = ObjectWriter::new(to)
                .field("name", &tool_name(operation.name))
                .field("title", operation.title)
                .field("description", &input.description.lean())
                .field("inputSchema", &input.schema.lean());
            if let Some(output) = outputs.as_mut().and_then(Iterator::next) {
                tool = tool.field("outputSchema", &output.lean());
            }
            let annotations = operation.effect.annotations();
            tool.field("annotations", &annotations).end();
        }
        to.push(b']');
    }
}

/// Size of the list in bytes, so that its text need not move while it grows.
const ROUGHLY: usize = 48 << 10;

/// Returns the names, titles and descriptions of all tools.
pub fn outline() -> Vec<Value> {
    let tools = TABLE.iter().zip(schemas::inputs());
    tools
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
    let operation = name.strip_prefix(TOOL_PREFIX).and_then(operations::find);
    let Some(operation) = operation else {
        let known: Vec<String> = TABLE.iter().map(|known| tool_name(known.name)).collect();
        return Err(RpcError::invalid_params("Unknown tool")
            .data(json!({"tool": input::shortened(name), "known_tools": known}))
            .into());
    };
    let arguments = Node::Object(request.take_object("arguments")?);
    let resumed = elicitation::resume(&request, operation);
    let is_new = resumed.is_none();
    match resumed.unwrap_or_else(|| (operation.invoke)(arguments, &request.call)) {
        Ok(output) => {
            let question = elicitation::ask(&request, operation, &output).filter(|_| is_new);
            Ok(match question {
                Some(question) => MethodOutput::Result(question),
                None => MethodOutput::Tool(ToolResult {
                    structured: output,
                    is_error: false,
                }),
            })
        }
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
        let list = JsonText::of(&ToolList { with_outputs: true });
        assert!(!list.as_str().contains('\n'));
        let tools: Value = serde_json::from_str(list.as_str()).unwrap();
        assert_eq!(tools.as_array().map(Vec::len), Some(TABLE.len()));
    }
}
