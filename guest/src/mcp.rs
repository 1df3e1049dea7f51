//! The Model Context Protocol: what a message means, and what its answer looks
//! like, in every version from 2024-11-05 to 2026-07-28.
//!
//! Versions up to 2025-11-25 begin with `initialize` (the handshake era), 2026-07-28
//! is stateless (the modern era). Clients mix the two, so each message is judged
//! by itself, in [`era`].

mod api_key_gate;
#[cfg(feature = "conformance")]
mod conformance;
mod credentials;
mod elicitation;
mod era;
mod error;
mod message;
mod method_request;
mod methods;
mod output;
pub mod protocol;
mod reporter;
pub mod step_up;

use serde_json::{Value, json};

use crate::dispatch::input;
use crate::domain::access::toolset::Offer;
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::domain::env::Env;
use crate::error::AuthError;
use crate::json::{self, Fields, JsonText, Node, WriteJson};
use crate::ports::Ports;
use crate::settings::Settings;
use crate::types::secret::Secret;

pub(crate) use api_key_gate::{check_caller, check_program, credentials};
use credentials::Credentials;
use era::Era;
pub use error::Refusal;
use error::{Failure, RpcError};
use message::{Message, RequestMessage};
use method_request::{MethodRequest, MethodResult};
use methods::{completion, lifecycle, prompts, resources, tools};
use output::MethodOutput;
use protocol::MAX_BATCH;
pub use protocol::{Request, Response, Transport};
use reporter::ClientReporter;

/// Answers one message, for a caller who gets these operations. Errors are part of the
/// response.
pub fn handle(request: &Request, offer: Offer, settings: &Settings, ports: Ports) -> Response {
    if let Err(refusal) = api_key_gate::check_caller(request, settings, ports) {
        let body = response(&id_of(&request.body), "error", &refusal.error);
        return json_response(refusal.status, refusal.headers, body);
    }
    let caller = caller(request);
    let exchange = Exchange {
        request,
        offer,
        settings,
        ports,
        caller: &caller,
    };
    if json::has_too_many_values(&request.body) {
        let error = RpcError::invalid_request("The message has too many values")
            .data(json!({"max_values": json::MAX_VALUES}));
        return Answer::of_error(&Node::Null, error).into_response();
    }
    match json::parse(&request.body) {
        Ok(Node::List(messages)) => exchange.batch(messages),
        Ok(message) => match exchange.answer(message, false) {
            Some(answer) => answer.into_response(),
            None => accepted(),
        },
        Err(error) => {
            let position = format!("line {}, column {}", error.line(), error.column());
            // RFC 8259 section 4: what such an object means depends on who reads it.
            let refused = match error.is_data() {
                true => RpcError::invalid_request("An object has two fields with the same name"),
                false => {
                    let message = format!("The body {}", json::problem(&error));
                    RpcError::new(-32700, &message, 400)
                }
            };
            let refused = refused.data(json!({"position": position}));
            Answer::of_error(&Node::Null, refused).into_response()
        }
    }
}

/// What the server is, for clients that have not connected yet.
pub(crate) struct Description {
    /// `serverInfo`.
    pub server: Value,
    /// The supported versions, newest first.
    pub versions: &'static [&'static str],
    pub capabilities: Value,
    pub instructions: &'static str,
    /// The names, titles and descriptions of the tools that callers without a credential
    /// get.
    pub tools: Vec<Value>,
}

/// Describes the server with these settings.
pub(crate) fn describe(settings: &Settings) -> Description {
    Description {
        server: era::server_info(),
        versions: &protocol::SUPPORTED_VERSIONS,
        capabilities: lifecycle::capabilities(),
        instructions: lifecycle::INSTRUCTIONS,
        tools: tools::outline(settings),
    }
}

/// Answers any message with the reason why no operation can run.
pub fn refuse(body: &[u8], error: &AuthError, ports: Ports) -> Response {
    let message = match json::has_too_many_values(body) {
        true => Ok(Node::Null),
        false => json::parse(body),
    };
    let id = match message.map(message::parse) {
        Ok(Ok(Message::Request(request))) => request.id,
        Ok(Ok(_)) => return accepted(),
        _ => Node::Null,
    };
    let object = error.to_object(ports.clock.now());
    let body = response(&id, "error", &object);
    json_response(error.kind.status(), error::headers(error), body)
}

/// The body of one request, with everything needed to answer it.
struct Exchange<'a> {
    request: &'a Request,
    offer: Offer,
    settings: &'a Settings,
    ports: Ports<'a>,
    caller: &'a Caller,
}

/// The JSON-RPC response to one request.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: JsonText,
}

impl Exchange<'_> {
    /// JSON-RPC batches were part of MCP up to 2025-03-26, the version of a request that
    /// names none. On standard input a batch is no more than several lines, so each of
    /// its messages is checked on its own.
    fn batch(&self, messages: Vec<Node>) -> Response {
        let version = self.header("mcp-protocol-version");
        let had_batches = version.is_none_or(|version| version <= "2025-03-26")
            || self.request.transport == Transport::Stdio;
        let problem = if !had_batches {
            Some("Batches are not part of this protocol version")
        } else if messages.is_empty() {
            Some("A batch must have at least one message")
        } else if messages.len() > MAX_BATCH {
            Some("The batch has too many messages")
        } else {
            None
        };
        if let Some(problem) = problem {
            let error = RpcError::invalid_request(problem).data(json!({"max_messages": MAX_BATCH}));
            return Answer::of_error(&Node::Null, error).into_response();
        }
        let answers: Vec<JsonText> = messages
            .into_iter()
            .filter_map(|message| self.answer(message, true))
            .map(|answer| answer.body)
            .collect();
        if answers.is_empty() {
            return accepted();
        }
        json_response(200, Vec::new(), JsonText::array(&answers))
    }

    fn answer(&self, message: Node, in_batch: bool) -> Option<Answer> {
        match message::parse(message) {
            Ok(Message::Request(request)) => Some(self.answer_request(request, in_batch)),
            Ok(Message::Notification { method, params }) => {
                self.notice(&method, &params);
                None
            }
            // This server sends no requests that it could answer.
            Ok(Message::Response) => None,
            Err((id, error)) => Some(Answer::of_error(&id, error)),
        }
    }

    fn notice(&self, method: &str, params: &Fields) {
        if method != "notifications/cancelled" {
            return;
        }
        if let Some(id) = params.get("requestId") {
            self.ports.client.cancel(&message::id_key(id));
        }
    }

    fn answer_request(&self, request: RequestMessage, in_batch: bool) -> Answer {
        let era = match era::judge(&request, self.request) {
            Ok(Era::Modern) if in_batch => {
                let error = RpcError::invalid_request("Batches are not part of this version");
                return Answer::of_error(&request.id, error);
            }
            Ok(era) => era,
            Err(error) => return Answer::of_error(&request.id, error),
        };
        let RequestMessage { id, method, params } = request;
        // A batch is answered whole or not at all, so its requests cannot be cancelled.
        if !in_batch {
            self.ports.client.started(&message::id_key(&id));
        }
        let opens_pages = elicitation::opens_pages(&params, era, self.request);
        let session = match &*method {
            "initialize" => elicitation::session(&params, self.ports),
            _ => None,
        };
        let without_passwords = opens_pages && self.settings.has_pages_for_passwords();
        let offer = Offer {
            without_passwords: self.offer.without_passwords || without_passwords,
            ..self.offer
        };
        let reporter = ClientReporter::new(&params, era, self.ports.client);
        let env = Env {
            ports: self.ports,
            settings: self.settings,
        };
        let method_request = MethodRequest {
            era,
            method: &method,
            params,
            opens_pages,
            pending: None,
            call: Call {
                offer,
                ..Call::new(env, self.caller, &reporter)
            },
        };
        match method_request.run() {
            Ok(output) => Answer {
                status: 200,
                headers: session.into_iter().collect(),
                body: response(&id, "result", &output.in_era(era)),
            },
            Err(Failure::Protocol(error)) => Answer::of_error(&id, error.in_era(era)),
            Err(Failure::InsufficientScope(error, challenge)) => {
                let object = era::in_era(error.to_object(self.ports.clock.now()), era);
                Answer {
                    status: error.kind.status(),
                    headers: vec![("www-authenticate".to_owned(), challenge)],
                    body: response(&id, "error", &object),
                }
            }
            Err(Failure::Auth(error)) => {
                let object = era::in_era(error.to_object(self.ports.clock.now()), era);
                Answer {
                    status: era::status(&error, era),
                    headers: error::headers(&error),
                    body: response(&id, "error", &object),
                }
            }
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }
}

impl MethodRequest<'_> {
    fn run(self) -> Result<MethodOutput, Failure> {
        #[cfg(feature = "conformance")]
        if let Some(result) = conformance::run(&self) {
            return result.map(MethodOutput::Result);
        }
        if self.method == "tools/call" {
            return tools::call(self);
        }
        if self.method == "tools/list" {
            return Ok(MethodOutput::Tools(tools::list(&self)?));
        }
        self.run_other().map(MethodOutput::Result)
    }

    fn run_other(&self) -> MethodResult {
        match (self.method, self.era) {
            ("initialize", Era::Handshake(_)) => lifecycle::initialize(self),
            ("ping", Era::Handshake(_)) => Ok(json!({})),
            ("logging/setLevel", Era::Handshake(_)) => lifecycle::set_level(self),
            ("server/discover", Era::Modern) => lifecycle::discover(),
            ("resources/list", _) => resources::list(self),
            ("resources/templates/list", _) => resources::templates(self),
            ("resources/read", _) => resources::read(self),
            ("prompts/list", _) => prompts::list(self),
            ("prompts/get", _) => prompts::get(self),
            ("completion/complete", _) => completion::complete(self),
            _ => Err(RpcError::new(-32601, "Method not found", 404)
                .data(json!({"method": input::shortened(self.method)}))
                .into()),
        }
    }
}

impl Answer {
    fn of_error(id: &Node, error: RpcError) -> Answer {
        Answer {
            status: error.status,
            headers: Vec::new(),
            body: response(id, "error", &error.to_object()),
        }
    }

    fn into_response(self) -> Response {
        json_response(self.status, self.headers, self.body)
    }
}

/// Returns the caller that a request's header fields identify.
pub(crate) fn caller(request: &Request) -> Caller {
    Caller {
        principal: principal(request),
        source: Source::from_peer(request.peer.as_deref()),
    }
}

fn principal(request: &Request) -> Principal {
    if request.transport == Transport::Stdio {
        return Principal::Operator;
    }
    let secret = |text: &str| Secret::new(text.to_owned());
    match Credentials::of(request) {
        Ok(Credentials {
            access_token: Some(token),
            ..
        }) => Principal::AccessToken(secret(token)),
        Ok(Credentials {
            api_key: Some(key), ..
        }) => Principal::ApiKey(secret(key)),
        // A request with unclear credentials has already been rejected.
        Ok(_) | Err(_) => Principal::Anonymous,
    }
}

/// Returns the id of a request, or `null` for anything else.
fn id_of(body: &[u8]) -> Node<'_> {
    if json::has_too_many_values(body) {
        return Node::Null;
    }
    let Ok(Node::Object(mut message)) = json::parse(body) else {
        return Node::Null;
    };
    match message.remove("id") {
        Some(id @ (Node::Text(_) | Node::Number(_))) => id,
        _ => Node::Null,
    }
}

fn accepted() -> Response {
    Response {
        status: 202,
        headers: Vec::new(),
        body: None,
    }
}

/// A JSON-RPC 2.0 response with a `result` or an `error`.
pub(crate) fn response<T: WriteJson + ?Sized>(id: &Node, kind: &str, content: &T) -> JsonText {
    JsonText::object(|object| {
        object
            .field("jsonrpc", "2.0")
            .field("id", id)
            .field(kind, content)
    })
}

/// A response with a JSON body.
pub(crate) fn json_response(
    status: u16,
    headers: Vec<(String, String)>,
    body: JsonText,
) -> Response {
    Response {
        status,
        headers,
        body: Some(body.into_bytes()),
    }
}
