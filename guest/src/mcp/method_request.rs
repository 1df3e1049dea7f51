//! One request for a method, and how a method reads its parameters.

use serde_json::Value;

use super::era::Era;
use super::error::{Failure, RpcError};
use crate::domain::call::Call;
use crate::json::{Fields, Node};

/// The input of a method.
pub struct MethodRequest<'a> {
    pub era: Era,
    pub method: &'a str,
    pub params: Fields<'a>,
    /// Whether the client can open pages for its user.
    pub opens_pages: bool,
    /// The sign-in that it asks about, for clients that can open pages.
    pub pending: Option<String>,
    pub call: Call<'a>,
}

/// The JSON-RPC `result` of a method, or the reason why it failed.
pub type MethodResult = Result<Value, Failure>;

impl<'a> MethodRequest<'a> {
    /// Returns a required parameter that is text.
    pub fn text(&self, name: &str) -> Result<&str, RpcError> {
        match self.params.get(name) {
            Some(Node::Text(text)) => Ok(text),
            Some(_) => Err(RpcError::invalid_params(&format!(
                "$.params.{name}: expected a string"
            ))),
            None => Err(RpcError::invalid_params(&format!(
                "$.params.{name}: is missing"
            ))),
        }
    }

    /// Returns an optional parameter that is an object; one without fields if it is left out.
    pub fn object(&self, name: &str) -> Result<&Fields<'a>, RpcError> {
        match self.params.get(name) {
            Some(Node::Object(fields)) => Ok(fields),
            Some(other) if !other.has_fields() => Err(not_an_object(name)),
            None | Some(_) => Ok(Fields::EMPTY),
        }
    }

    /// Removes and returns an optional parameter that is an object, or the text of one; one
    /// without fields if it is left out. The function calls of some models have their arguments
    /// as text.
    pub fn take_object(&mut self, name: &str) -> Result<Fields<'a>, RpcError> {
        match self.params.remove(name) {
            Some(given) => {
                let fields = given.unquoted().into_fields();
                fields.ok_or_else(|| not_an_object(name))
            }
            None => Ok(Fields::default()),
        }
    }

    /// Requires that no cursor is given: every list fits on one page, so none is issued.
    pub fn first_page(&self) -> Result<(), RpcError> {
        match self.params.get("cursor") {
            None | Some(Node::Null) => Ok(()),
            // Clients in languages that cannot omit a value send an empty cursor.
            Some(Node::Text(cursor)) if cursor.is_empty() => Ok(()),
            Some(_) => Err(RpcError::invalid_params(
                "$.params.cursor: unknown cursor; leave it out, since the list has one page",
            )),
        }
    }
}

fn not_an_object(name: &str) -> RpcError {
    RpcError::invalid_params(&format!("$.params.{name}: expected an object"))
}
