//! `POST /api/<operation>`: each operation without MCP. The body is its input, the
//! response its output or its error.

use super::invoke;
use super::request::{JSON, Request, read};
use crate::domain::env::Env;
use crate::json::{self, Fields, Node};
use crate::mcp::{self, Refusal, Response};
use crate::operations::Definition;
use crate::ports::Ports;
use crate::settings::Settings;

pub fn answer(
    operation: &Definition,
    request: &Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Result<Response, Refusal> {
    request.require_method(&["POST"])?;
    request.require_no_query()?;
    request.require_content(JSON)?;
    let message = request.message()?;
    mcp::check_caller(&message, settings, ports)?;
    let body = read(body)?;
    invoke(
        operation,
        input(&body).map_err(|problem| Refusal::new(400, &problem))?,
        &message,
        Env { ports, settings },
    )
}

/// Parses the input. `Err` says what is wrong with the body.
fn input(body: &[u8]) -> Result<Node<'_>, String> {
    // Clients send no body if there is nothing to say.
    if body.is_empty() {
        return Ok(Node::Object(Fields::default()));
    }
    if mcp::has_too_many_values(body) {
        return Err("the body has too many values".to_owned());
    }
    match json::parse(body) {
        Ok(input @ Node::Object(_)) => Ok(input),
        Ok(_) => Err("the body must be a JSON object: the input of the operation".to_owned()),
        Err(error) => {
            let problem = json::problem(&error);
            let (line, column) = (error.line(), error.column());
            Err(format!(
                "the body {problem}, at line {line}, column {column}"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_is_one_object_or_nothing() {
        for body in [&b""[..], b"{}", b" {\"a\": [1, {\"a\": 2}]} "] {
            assert!(input(body).is_ok(), "{}", String::from_utf8_lossy(body));
        }
        for body in [
            &b" "[..],
            b"[]",
            b"null",
            b"{",
            b"{} {}",
            b"{\"a\": 1, \"a\": 1}",
            b"{\"a\": {\"b\": 1, \"\\u0062\": 1}}",
            b"{\"a\": \"\xff\"}",
        ] {
            assert!(input(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
        assert!(input(format!("[{}1]", "1,".repeat(20_001)).as_bytes()).is_err());
    }
}
