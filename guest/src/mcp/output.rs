//! The JSON-RPC `result` of a method.

use serde_json::{Value, json};

use super::era::{self, Era};
use super::methods::tools::{ToolList, ToolResult};
use super::protocol::CALLER_TTL_MS;
use crate::json::{ObjectWriter, WriteJson};

/// The JSON-RPC `result` of a method.
pub enum MethodOutput {
    /// A result of the method's own.
    Result(Value),
    /// The result of a tool.
    Tool(ToolResult),
    /// The list of tools.
    Tools(ToolList),
}

/// The result of a method with the fields of every result of its era.
pub struct EraOutput {
    output: MethodOutput,
    era: Era,
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
        let is_modern = self.era == Era::Modern;
        let object = match &self.output {
            MethodOutput::Result(result) => return result.write_json(to),
            MethodOutput::Tool(result) => result.write(ObjectWriter::new(to)),
            MethodOutput::Tools(tools) => {
                let object = ObjectWriter::new(to).field("tools", tools);
                match is_modern {
                    false => object,
                    true => object
                        .field("ttlMs", &CALLER_TTL_MS)
                        .field("cacheScope", "private"),
                }
            }
        };
        match is_modern {
            false => object.end(),
            true => object
                .field("resultType", "complete")
                .field("_meta", &era::meta())
                .end(),
        }
    }
}
