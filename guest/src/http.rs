//! Everything that comes by HTTP: the routes, and what answers at each.
//!
//! Hosts of the `http` interface and of `wasi:http` share this router. What a host has to
//! know of a route, it learns from [`route`]: which web pages may call it, for which rate
//! its requests count, what their bodies are, and how errors are worded.

mod api;
mod authorization_server;
#[cfg(any(test, feature = "export-http"))]
pub mod edge;
mod jwks;
mod narrowing;
mod openapi;
mod request;
mod server_card;
mod token_forms;
mod verify;
mod wording;

pub use request::{MAX_BODY_BYTES, Request};
pub use wording::Form;

use crate::error::AuthError;
use crate::mcp::protocol::tool_name;
use crate::mcp::{self, Refusal, Response};
use crate::oauth::metadata::{INTROSPECT, REVOKE};
use crate::operations::{self, Definition, Offer, TABLE};
use crate::ports::Ports;
use crate::settings::{PublicUrl, Settings};
use api::Encoding;
use request::{JSON, read};

/// The web pages that may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// All.
    Public,
    /// Those of the listed origins.
    Listed,
    /// It is not a route for pages, and nothing is checked.
    None,
}

/// The rate that a request counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Calls.
    Caller,
    /// The verifications of a known key. Without one, calls where a key is required, or
    /// else none.
    Verifier,
}

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Not read.
    Ignored,
    /// Read as a whole.
    Content,
    /// A message of JSON-RPC.
    JsonRpc,
}

/// What a host has to know of a route.
#[derive(Clone, Copy)]
pub struct Route {
    /// The web pages that may call it.
    pub pages: Pages,
    /// The rate that its requests count for.
    pub rate: Rate,
    /// What the bodies of its requests are.
    pub body: Body,
    /// The form of its errors.
    pub errors: Form,
    /// Whether requests need an API key where the setting requires keys.
    pub requires_api_key: bool,
    endpoint: Endpoint,
}

#[derive(Clone, Copy)]
enum Endpoint {
    AuthorizationServer(authorization_server::Endpoint),
    Jwks,
    Mcp { read_only: bool },
    OpenApi,
    ServerCard,
    Verify,
    Operation(&'static Definition, Encoding),
}

/// The paths of all routes but those of the operations.
const PATHS: [&str; 9] = [
    "/jwks",
    "/mcp",
    "/mcp/",
    READ_ONLY_MCP,
    "/mcp/server-card",
    "/openapi.json",
    VERIFY,
    INTROSPECT,
    REVOKE,
];

/// The path of MCP with the operations that change nothing.
const READ_ONLY_MCP: &str = "/mcp/readonly";

/// The path for reverse proxies.
const VERIFY: &str = "/verify";

/// What the path of an operation begins with; its name follows.
const API: &str = "/api/";

/// The operations that services call for each of their own requests.
const VERIFICATIONS: [&str; 3] = ["verify_token", "introspect_token", "check_permission"];

/// The operation that runs another one, which its input names.
const ANY_OPERATION: &str = "execute_primary_operation";

/// The texts at these JSON pointers.
pub type Members = Vec<(&'static str, String)>;

/// Returns the paths of all routes: below the root of the host, where a proxy may have
/// removed the path of the public URL, and below that path.
pub fn paths(settings: &Settings) -> Vec<String> {
    let operations = TABLE.iter().map(|known| format!("{API}{}", known.name));
    let paths = PATHS.into_iter().map(str::to_owned);
    let mut paths: Vec<String> = paths.chain(operations).collect();
    if let Some(oauth) = &settings.oauth {
        paths.extend(authorization_server::local_paths(oauth).map(str::to_owned));
    }
    let public = public_path(settings);
    if !public.is_empty() {
        let below = paths.iter().map(|path| format!("{public}{path}"));
        paths.extend(below.collect::<Vec<_>>());
    }
    if let Some(oauth) = &settings.oauth {
        paths.extend(authorization_server::metadata_paths(oauth));
        paths.extend(authorization_server::protected_resource_paths(oauth));
    }
    paths
}

fn public_path(settings: &Settings) -> &str {
    settings.public_url.as_ref().map_or("", PublicUrl::path)
}

/// Returns the route of a path.
pub fn route(path: &str, settings: &Settings) -> Option<Route> {
    let below = path.strip_prefix(public_path(settings));
    let local = below.filter(|below| below.starts_with('/')).unwrap_or(path);
    own_route(local).or_else(|| {
        let oauth = settings.oauth.as_ref()?;
        authorization_server::route(path, local, oauth)
    })
}

/// Returns the route of a path that there is with any settings.
fn own_route(path: &str) -> Option<Route> {
    let mcp = Route {
        pages: Pages::Listed,
        rate: Rate::Caller,
        body: Body::JsonRpc,
        errors: Form::JsonRpc,
        requires_api_key: true,
        endpoint: Endpoint::Mcp {
            read_only: path == READ_ONLY_MCP,
        },
    };
    let token_form = |operation, parameters, rate| {
        Some(Route {
            rate,
            body: Body::Content,
            errors: Form::OAuth,
            endpoint: Endpoint::Operation(
                operations::find(operation)?,
                Encoding::TokenForm(parameters),
            ),
            ..mcp
        })
    };
    match path {
        "/mcp" | "/mcp/" | READ_ONLY_MCP => Some(mcp),
        // It requires no key, since it says whether one is needed, and in which header.
        "/mcp/server-card" => Some(Route {
            body: Body::Ignored,
            errors: Form::Plain,
            requires_api_key: false,
            endpoint: Endpoint::ServerCard,
            ..mcp
        }),
        // What these say is the same for everyone.
        "/jwks" | "/openapi.json" => Some(Route {
            pages: Pages::Public,
            body: Body::Ignored,
            errors: Form::Plain,
            requires_api_key: false,
            endpoint: match path {
                "/jwks" => Endpoint::Jwks,
                _ => Endpoint::OpenApi,
            },
            ..mcp
        }),
        // It requires no key: an access token suffices (see `forward_auth`).
        VERIFY => Some(Route {
            pages: Pages::None,
            rate: Rate::Verifier,
            body: Body::Ignored,
            errors: Form::Plain,
            requires_api_key: false,
            endpoint: Endpoint::Verify,
        }),
        INTROSPECT => token_form("introspect_token", &["token", "audience"], Rate::Verifier),
        REVOKE => token_form("revoke_token", &["token"], Rate::Caller),
        path => {
            let operation = operations::find(path.strip_prefix(API)?)?;
            Some(Route {
                rate: match VERIFICATIONS.contains(&operation.name) {
                    true => Rate::Verifier,
                    false => Rate::Caller,
                },
                body: Body::Content,
                errors: Form::Plain,
                endpoint: Endpoint::Operation(operation, Encoding::Json),
                ..mcp
            })
        }
    }
}

impl Route {
    /// Returns the name of the operation in errors that precede any operation.
    pub fn operation(&self) -> &'static str {
        match self.endpoint {
            Endpoint::Operation(operation, _) => operation.name,
            Endpoint::AuthorizationServer(_)
            | Endpoint::Jwks
            | Endpoint::Mcp { .. }
            | Endpoint::OpenApi
            | Endpoint::ServerCard
            | Endpoint::Verify => AuthError::NO_OPERATION,
        }
    }
}

/// Returns the messages of JSON-RPC that count as verifications: those that have all
/// members of one of these lists.
pub fn verifications() -> Vec<Members> {
    let tool = |name: &str, rest: Option<(&'static str, String)>| {
        let call = [
            ("/method", "tools/call".to_owned()),
            ("/params/name", tool_name(name)),
        ];
        call.into_iter().chain(rest).collect()
    };
    let each = VERIFICATIONS.into_iter().flat_map(|name| {
        let named = ("/params/arguments/data/operation", name.to_owned());
        [tool(name, None), tool(ANY_OPERATION, Some(named))]
    });
    each.collect()
}

/// Answers a request. `body` is called only if the body is needed, and returns `None` if
/// that exceeds [`MAX_BODY_BYTES`].
pub fn answer(
    request: &Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Response {
    let Some(route) = route(request.path(), settings) else {
        return finish(Form::Plain.respond(not_found(request.path())), request);
    };
    let answered = match route.endpoint {
        Endpoint::AuthorizationServer(endpoint) => {
            authorization_server::answer(endpoint, request, body, settings, ports)
        }
        Endpoint::Mcp { read_only } => mcp(read_only, request, body, settings, ports),
        Endpoint::Jwks => jwks::answer(request, settings, ports),
        Endpoint::OpenApi => openapi::answer(request, settings),
        Endpoint::ServerCard => server_card::answer(request, settings),
        Endpoint::Verify => verify::answer(request, settings, ports),
        Endpoint::Operation(operation, encoding) => {
            api::answer(operation, encoding, request, body, settings, ports)
        }
    };
    let response = answered.unwrap_or_else(|refusal| refuse(refusal, &route));
    finish(response, request)
}

/// Answers a request to a component whose settings are invalid.
pub fn misconfigured(request: &Request, body: &[u8], error: &AuthError, ports: Ports) -> Response {
    let refusal = || Refusal::of(error, ports.clock.now());
    match route(request.path(), &Settings::default()) {
        Some(route) if route.errors == Form::JsonRpc => mcp::refuse(body, error, ports),
        Some(route) => refuse(refusal(), &route),
        None => Form::Plain.respond(refusal()),
    }
}

/// Checks the API key of a request that a host answers by itself. `Err` is the response to
/// a request without a valid one where `settings` require a credential of callers.
pub fn admit(request: &Request, settings: &Settings, ports: Ports) -> Result<(), Response> {
    let admitted = request
        .message()
        .and_then(|message| mcp::check_program(&message, settings, ports));
    admitted.map_err(|refusal| finish(Form::Plain.respond(refusal), request))
}

/// Words a refusal as the route does, and names the operation of the route if the error
/// names none.
fn refuse(mut refusal: Refusal, route: &Route) -> Response {
    if let Some(named) = refusal.error.pointer_mut("/data/operation")
        && *named == AuthError::NO_OPERATION
    {
        *named = route.operation().into();
    }
    route.errors.respond(refusal)
}

/// Completes a response: with the type of its body, and with the name of the header for
/// API keys in the challenge to show one.
fn finish(mut response: Response, request: &Request) -> Response {
    for (name, value) in &mut response.headers {
        if name == "www-authenticate" && value.starts_with("ApiKey ") {
            value.push_str(&format!(", header=\"{}\"", request.api_key_header));
        }
    }
    let is_typed = response
        .headers
        .iter()
        .any(|(name, _)| name == "content-type");
    if response.body.is_some() && !is_typed {
        let field = ("content-type".to_owned(), JSON.to_owned());
        response.headers.push(field);
    }
    response
}

fn mcp(
    read_only: bool,
    request: &Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Result<Response, Refusal> {
    request.require_method(&["POST"])?;
    request.require_content(JSON)?;
    // Before the body is read: a request with unclear fields needs none.
    let mut message = request.message()?;
    let offer = Offer {
        lists_by_permission: true,
        ..settings.offer_over_mcp()
    };
    let offer = narrowing::narrow(offer, request, read_only)?;
    message.body = read(body)?;
    Ok(mcp::handle(&message, offer, settings, ports))
}

fn not_found(path: &str) -> Refusal {
    let message = match path.strip_prefix(API) {
        Some(_) => format!(
            "no operation is at {path}; GET /openapi.json lists all operations, each at POST \
             /api/<operation>"
        ),
        None => format!(
            "nothing found at {path}; MCP is at POST /mcp, each operation at POST \
             /api/<operation>, their description at GET /openapi.json, and the state of the \
             server at GET /health"
        ),
    };
    Refusal::new(404, &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_a_route() {
        let settings = Settings::default();
        assert_eq!(paths(&settings).len(), PATHS.len() + TABLE.len());
        for path in paths(&settings) {
            assert!(route(&path, &settings).is_some(), "{path}");
        }
        for path in [
            "/",
            "/api",
            "/api/",
            "/api/no_such",
            "/api/login/",
            "/MCP",
            "/token",
        ] {
            assert!(route(path, &settings).is_none(), "{path}");
        }
    }

    #[test]
    fn a_public_url_with_a_path_is_a_second_place_for_each_route() {
        let variables = [
            ("USER_AUTH_PUBLIC_URL", "https://a.example/tenant"),
            ("USER_AUTH_OAUTH_ENABLED", "true"),
        ];
        let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::from_variables(owned).unwrap();
        for path in paths(&settings) {
            assert!(route(&path, &settings).is_some(), "{path}");
        }
        for path in [
            "/token",
            "/tenant/token",
            "/tenant/mcp",
            "/.well-known/oauth-authorization-server/tenant",
            "/tenant/.well-known/oauth-authorization-server",
        ] {
            assert!(paths(&settings).iter().any(|known| known == path), "{path}");
        }
        // Of an issuer at the root of the host, and of another one.
        for path in [
            "/.well-known/oauth-authorization-server",
            "/.well-known/oauth-authorization-server/other",
            "/tenanttoken",
        ] {
            assert!(route(path, &settings).is_none(), "{path}");
        }
    }

    #[test]
    fn only_known_operations_count_as_verifications() {
        let settings = Settings::default();
        let mut counted = paths(&settings);
        counted.retain(|path| route(path, &settings).unwrap().rate == Rate::Verifier);
        assert_eq!(
            counted,
            [
                VERIFY,
                INTROSPECT,
                "/api/verify_token",
                "/api/check_permission",
                "/api/introspect_token",
            ]
        );
        assert_eq!(verifications().len(), 2 * VERIFICATIONS.len());
        assert!(operations::find(ANY_OPERATION).is_some());
    }
}
