//! Fixtures that ask the client for more before they answer.
//!
//! The client sends the same request again, with its answers in `inputResponses`. It also
//! returns `requestState`, and it is not trusted: the state has a MAC, which binds it to
//! the fixture that it was made for.

use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;

use super::{content, is_modern, messages, text};
use crate::json::{Fields, Node};
use crate::mcp::error::{Failure, RpcError};
use crate::mcp::{MethodRequest, MethodResult};
use crate::types::mac;

/// A fixture tool, by what follows `test_input_required_result_` in its name.
pub fn call_tool(fixture: &str, request: &MethodRequest) -> MethodResult {
    if !is_modern(request) {
        let problem = text("This tool needs a client of 2026-07-28 or newer");
        return Ok(json!({"content": [problem], "isError": true}));
    }
    let answers = Answers::of(request)?;
    match fixture {
        "elicitation" => match answers.accepted("user_name") {
            Some(_) => done("Hello!"),
            None => ask(json!({"user_name": name_question()}), None),
        },
        "sampling" => match answers.given("capital_question") {
            true => done("The model has answered."),
            false => ask(
                json!({"capital_question": sampling("What is the capital of France?")}),
                None,
            ),
        },
        "list_roots" => match answers.given("client_roots") {
            true => done("The roots are known."),
            false => ask(json!({"client_roots": roots()}), None),
        },
        "request_state" | "tampered_state" => {
            let state = state(request, fixture)?;
            if state.is_some() && answers.accepted("confirm").is_some() {
                return done("state-ok");
            }
            let question = form("Please confirm", "ok", "boolean");
            ask(
                json!({"confirm": question}),
                Some(seal(request, fixture, "1")?),
            )
        }
        "multiple_inputs" => {
            let all = ["user_name", "greeting", "client_roots"];
            if state(request, fixture)?.is_some() && all.iter().all(|key| answers.given(key)) {
                return done("All three are known.");
            }
            let questions = json!({
                "user_name": name_question(),
                "greeting": sampling("Generate a greeting"),
                "client_roots": roots(),
            });
            ask(questions, Some(seal(request, fixture, "1")?))
        }
        "multi_round" => match state(request, fixture)?.as_deref() {
            Some("1") if answers.accepted("step1").is_some() => ask(
                json!({"step2": form("Step 2: What is your favorite color?", "color", "string")}),
                Some(seal(request, fixture, "2")?),
            ),
            Some("2") if answers.accepted("step2").is_some() => done("Both steps are done."),
            _ => ask(
                json!({"step1": form("Step 1: What is your name?", "name", "string")}),
                Some(seal(request, fixture, "1")?),
            ),
        },
        "capabilities" => {
            let mut questions = Map::new();
            if client_has(request, "sampling") {
                questions.insert("greeting".to_owned(), sampling("Generate a greeting"));
            }
            if client_has(request, "elicitation") {
                questions.insert("user_name".to_owned(), name_question());
            }
            match questions.keys().any(|key| answers.given(key)) {
                true => done("That will do."),
                false => ask(Value::Object(questions), None),
            }
        }
        _ => Err(RpcError::invalid_params("Unknown tool").into()),
    }
}

/// The fixture prompt.
pub fn get_prompt(request: &MethodRequest) -> MethodResult {
    match Answers::of(request)?.accepted("user_context") {
        Some(_) => Ok(messages(vec![text("The context is known.")])),
        None => {
            let question = form("What context should the prompt use?", "context", "string");
            ask(json!({"user_context": question}), None)
        }
    }
}

/// Whether the client has declared a capability in this request.
pub fn client_has(request: &MethodRequest, capability: &str) -> bool {
    let meta = request.params.get("_meta");
    meta.and_then(|meta| meta.get("io.modelcontextprotocol/clientCapabilities"))
        .and_then(|capabilities| capabilities.get(capability))
        .is_some_and(|capability| capability.as_fields().is_some())
}

/// Returns the client's answers, without those to questions that were not asked.
struct Answers<'a>(Option<&'a Fields<'a>>);

impl<'a> Answers<'a> {
    fn of(request: &'a MethodRequest) -> Result<Answers<'a>, RpcError> {
        let problem = "$.params.inputResponses: expected an object of objects";
        match request.params.get("inputResponses") {
            None => Ok(Answers(None)),
            Some(Node::Object(answers))
                if answers
                    .as_slice()
                    .iter()
                    .all(|(_, answer)| answer.as_fields().is_some()) =>
            {
                Ok(Answers(Some(answers)))
            }
            Some(_) => Err(RpcError::invalid_params(problem)),
        }
    }

    fn given(&self, key: &str) -> bool {
        self.0.is_some_and(|answers| answers.contains(key))
    }

    fn accepted(&self, key: &str) -> Option<&'a Node<'a>> {
        let answer = self.0?.get(key)?;
        let is_accepted = answer.get("action")?.as_str() == Some("accept");
        is_accepted.then_some(answer)
    }
}

fn done(outcome: &str) -> MethodResult {
    Ok(content(json!([text(outcome)])))
}

fn ask(questions: Value, state: Option<String>) -> MethodResult {
    let mut result = json!({"resultType": "input_required", "inputRequests": questions});
    if let Some(state) = state {
        result["requestState"] = json!(state);
    }
    Ok(result)
}

fn name_question() -> Value {
    form("What is your name?", "name", "string")
}

fn form(message: &str, property: &str, r#type: &str) -> Value {
    json!({
        "method": "elicitation/create",
        "params": {
            "message": message,
            "requestedSchema": {
                "type": "object",
                "properties": {property: {"type": r#type}},
                "required": [property],
            },
        },
    })
}

fn sampling(question: &str) -> Value {
    json!({
        "method": "sampling/createMessage",
        "params": {"messages": [{"role": "user", "content": text(question)}], "maxTokens": 100},
    })
}

fn roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}

fn seal(request: &MethodRequest, fixture: &str, step: &str) -> Result<String, Failure> {
    let message = format!("{fixture}/{step}");
    let mac = mac::of("conformance-state", message.as_bytes(), &request.call.ports)?;
    Ok(format!("{step}.{}", mac::to_hex(&mac)))
}

/// The step in the state that the client sent back, if it sent one.
fn state(request: &MethodRequest, fixture: &str) -> Result<Option<String>, Failure> {
    let Some(state) = request.params.get("requestState") else {
        return Ok(None);
    };
    let invalid = || RpcError::invalid_params("$.params.requestState: unknown state");
    let state = state.as_str().ok_or_else(invalid)?;
    let (step, _) = state.split_once('.').ok_or_else(invalid)?;
    let expected = seal(request, fixture, step)?;
    if !bool::from(expected.as_bytes().ct_eq(state.as_bytes())) {
        return Err(invalid().into());
    }
    Ok(Some(step.to_owned()))
}
