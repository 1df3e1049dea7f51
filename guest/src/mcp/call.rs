//! One call of a method, and how a method reads its parameters.

use serde_json::{Map, Value};

use super::era::Era;
use super::error::{Failure, RpcError};
use crate::domain::context::Context;
use crate::json;

/// The input of a method.
pub struct Call<'a> {
    pub era: Era,
    pub method: &'a str,
    pub params: &'a Map<String, Value>,
    pub context: Context<'a>,
}

/// The JSON-RPC `result` of a method, or the reason why it failed.
pub type MethodResult = Result<Value, Failure>;

impl Call<'_> {
    /// Returns a required parameter that is text.
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

    /// Returns an optional parameter that is an object; the empty object if it is absent.
    pub fn object(&self, name: &str) -> Result<Map<String, Value>, RpcError> {
        match self.params.get(name) {
            None => Ok(Map::new()),
            Some(given) => json::into_fields(given.clone()).map_err(|_| {
                RpcError::invalid_params(&format!("$.params.{name}: expected an object"))
            }),
        }
    }

    /// Requires that no cursor is given: every list fits on one page, so none is issued.
    pub fn first_page(&self) -> Result<(), RpcError> {
        match self.params.get("cursor") {
            None | Some(Value::Null) => Ok(()),
            // Clients in some languages send the empty text for an absent value.
            Some(Value::String(cursor)) if cursor.is_empty() => Ok(()),
            Some(_) => Err(RpcError::invalid_params(
                "$.params.cursor: unknown cursor; leave it out, since the list has one page",
            )),
        }
    }
}
