//! Operations without MCP: each at `POST /api/<operation>` in JSON, and some at the paths
//! of OAuth in forms. The body is the input, the response the output or the error.

use super::request::{FORM, JSON, Request, read};
use super::token_forms::{self, Shown};
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::domain::env::Env;
use crate::domain::reporter::Silent;
use crate::json::{self, Fields, Node};
use crate::mcp::{self, Refusal, Response};
use crate::operations::Definition;
use crate::ports::Ports;
use crate::settings::Settings;

/// The encoding of an input.
#[derive(Clone, Copy)]
pub enum Encoding {
    /// JSON.
    Json,
    /// A form about a token, with these parameters.
    TokenForm(&'static [&'static str]),
}

/// Runs an operation for the caller of a request.
#[expect(
    clippy::expect_used,
    reason = "the body is taken only to be read into `content`"
)]
pub fn answer(
    operation: &Definition,
    encoding: Encoding,
    request: &Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Result<Response, Refusal> {
    request.require_method(&["POST"])?;
    request.require_no_query()?;
    request.require_content(match encoding {
        Encoding::Json => JSON,
        Encoding::TokenForm(_) => FORM,
    })?;
    let mut message = request.message()?;
    let mut body = Some(body);
    let mut content = None;
    if matches!(encoding, Encoding::TokenForm(_))
        && settings.oauth.is_some()
        && token_forms::shown(&message.headers) != Shown::Other
        && let Some(body) = body.take()
    {
        // A client needs no credential of a caller.
        let body = read(body)?;
        let anonymous = Caller {
            principal: Principal::Anonymous,
            source: Source::from_peer(message.peer.as_deref()),
        };
        let call = Call::new(Env { ports, settings }, &anonymous, &Silent);
        if let Some(answer) = token_forms::of_client(operation, &message.headers, &body, &call) {
            return Ok(answer);
        }
        content = Some(body);
    }
    let challenge: fn(Refusal) -> Refusal = match encoding {
        Encoding::Json => |refusal| refusal,
        Encoding::TokenForm(_) => {
            token_forms::accept_basic(&mut message.headers)?;
            token_forms::also_basic
        }
    };
    mcp::check_caller(&message, settings, ports).map_err(challenge)?;
    let body = match content {
        Some(content) => content,
        None => read(body.expect("what was read is in `content`"))?,
    };
    let invalid = |problem: String| Refusal::new(400, &problem);
    let form;
    let input = match encoding {
        Encoding::Json => input(&body).map_err(invalid)?,
        Encoding::TokenForm(parameters) => {
            form = token_forms::input(&body, parameters).map_err(invalid)?;
            Node::Object(Fields::from(&form))
        }
    };
    let caller = mcp::caller(&message);
    let call = Call::new(Env { ports, settings }, &caller, &Silent);
    match (operation.invoke)(input, &call) {
        Ok(output) => Ok(mcp::json_response(200, Vec::new(), output)),
        Err(error) => {
            let step_up = mcp::step_up::challenge(&error, &call);
            let mut refusal = challenge(Refusal::of(&error, call.now()));
            // Without an answer to that, the client learns at least that it is refused.
            if let Ok(Some(step_up)) = step_up {
                refusal
                    .headers
                    .push(("www-authenticate".to_owned(), step_up));
            }
            Err(refusal)
        }
    }
}

/// Parses an input in JSON. `Err` says what is wrong with the body.
fn input(body: &[u8]) -> Result<Node<'_>, String> {
    // Clients send no body if there is nothing to say.
    if body.is_empty() {
        return Ok(Node::Object(Fields::default()));
    }
    if json::has_too_many_values(body) {
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
