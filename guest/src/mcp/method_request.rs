//! One call of a method, and how a method reads its parameters.

use serde_json::{Map, Value};

use super::era::Era;
use super::error::{Failure, RpcError};
use crate::domain::call::Call;
use crate::json;

/// What one method gets to see.
pub struct MethodRequest<'a> {
    pub era: Era,
    pub method: &'a str,
    pub params: &'a Map<String, Value>,
    pub call: Call<'a>,
}

/// What a method gives: the JSON-RPC `result`, or why there is none.
pub type MethodResult = Result<Value, Failure>;

impl MethodRequest<'_> {
    /// A parameter that must be there, as text.
    pub fn text(&self, name: &str) -> Result<&str, RpcError> {
        match self.params.get(name) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(RpcError::invalid_params(&format!(
                "$.params.{name}: expected a string"
            ))),
            None => Err(RpcError::invalid_params(&format!(
                "$.params.{name}: is missing"
            ))),
        }
    }

    /// A parameter that may be left out, as an object.
    pub fn object(&self, name: &str) -> Result<Map<String, Value>, RpcError> {
        match self.params.get(name) {
            None => Ok(Map::new()),
            Some(given) => json::into_fields(given.clone()).map_err(|_| {
                RpcError::invalid_params(&format!("$.params.{name}: expected an object"))
            }),
        }
    }

    /// Every list fits one page, so that there is no cursor to come back with.
    pub fn first_page(&self) -> Result<(), RpcError> {
        match self.params.get("cursor") {
            None | Some(Value::Null) => Ok(()),
            // That of clients whose language has no other way to say that there is none.
            Some(Value::String(cursor)) if cursor.is_empty() => Ok(()),
            Some(_) => Err(RpcError::invalid_params(
                "$.params.cursor: is not one of ours",
            )),
        }
    }
}
