//! The JSON-RPC `result` of a method.

use serde::Serialize;
use serde_json::{Value, json};

use super::era::{self, Era};
use crate::json::{JsonText, ObjectWriter, WriteJson};

/// The JSON-RPC `result` of a method.
pub enum MethodOutput {
    /// A result of the method's own.
    Result(Value),
    /// The result of a tool.
    Tool(ToolResult),
}

/// The result of a tool.
pub struct ToolResult {
    /// The output of the operation, or its error in an object.
    pub structured: JsonText,
    pub is_error: bool,
}

/// The result of a method with the fields of every result of its era.
pub struct EraOutput {
    output: MethodOutput,
    era: Era,
}

/// A block of content.
#[derive(Serialize)]
struct Text<'a> {
    r#type: &'static str,
    text: &'a str,
}

impl MethodOutput {
    /// Returns the result in the form of this era.
    pub fn in_era(mut self, era: Era) -> EraOutput {
        if let (MethodOutput::Result(Value::Object(fields)), Era::Modern) = (&mut self, era) {
            fields
                .entry("resultType")
                .or_insert_with(|| json!("complete"));
            fields.insert("_meta".to_owned(), era::meta());
        }
        EraOutput { output: self, era }
    }
}

impl WriteJson for EraOutput {
    fn write_json(&self, to: &mut Vec<u8>) {
        let result = match &self.output {
            MethodOutput::Result(result) => return result.write_json(to),
            MethodOutput::Tool(result) => result,
        };
        // The content is there twice: some clients show the model only the text, and some
        // only the structured content.
        let text = Text {
            r#type: "text",
            text: result.structured.as_str(),
        };
        let object = ObjectWriter::new(to)
            .field("content", &[text])
            .field("structuredContent", &result.structured)
            .field("isError", &result.is_error);
        match self.era {
            Era::Handshake(_) => object.end(),
            Era::Modern => object
                .field("resultType", "complete")
                .field("_meta", &era::meta())
                .end(),
        }
    }
}
