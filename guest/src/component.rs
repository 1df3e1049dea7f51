//! Where the component meets its contract: the imports of `wit/` behind the
//! ports, and the exports of `wit/` in front of the operations and of MCP.

mod auth;
mod ports;

use std::env;
use std::rc::Rc;

use crate::domain::actor::Actor;
use crate::domain::context::{Caller, Context, Principal, Source};
use crate::domain::session;
use crate::error::{AuthError, Kind};
use crate::mcp;
use crate::settings::Settings;

use bindings::exports::user_auth::plugin as exports;
use bindings::user_auth::plugin as imports;

#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({
        world: "plugin",
        path: "../wit",
    });
    use super::Component;
    export!(Component);
}

struct Component;

impl exports::mcp::Guest for Component {
    fn handle(request: exports::mcp::Request) -> exports::mcp::Response {
        use exports::mcp::{Field, Response, Transport};
        let request = mcp::Request {
            transport: match request.transport {
                Transport::Http => mcp::Transport::Http,
                Transport::Stdio => mcp::Transport::Stdio,
            },
            headers: request
                .headers
                .into_iter()
                .map(|field| (field.name, field.value))
                .collect(),
            peer: request.peer,
            body: request.body,
        };
        let response = match settings(&Principal::Anonymous) {
            Ok(settings) => mcp::handle(&request, &settings, ports::all()),
            Err(error) => mcp::refuse(&request.body, &error, ports::all()),
        };
        Response {
            status: response.status,
            headers: response
                .headers
                .into_iter()
                .map(|(name, value)| Field { name, value })
                .collect(),
            body: response.body,
        }
    }
}

impl exports::maintenance::Guest for Component {
    fn sweep(
        after: Option<String>,
        limit: u32,
    ) -> Result<exports::maintenance::Swept, imports::types::Unavailable> {
        let swept = settings(&Principal::Operator).and_then(|settings| {
            let caller = operator();
            let context = context(&settings, &caller);
            session::sweep(after.as_deref(), limit, &context)
        });
        match swept {
            Ok(swept) => Ok(exports::maintenance::Swept {
                examined: swept.examined,
                deleted: swept.deleted,
                next: swept.next,
            }),
            Err(error) => Err(imports::types::Unavailable {
                reason: error.to_string(),
                retry_after_ms: 1000,
            }),
        }
    }
}

/// The settings in force. With one that cannot be used nothing runs: a guess
/// could be less safe than what was meant. Which one it is concerns the operator,
/// who reads the log, and nobody else.
fn settings(asking: &Principal) -> Result<Settings, AuthError> {
    Settings::from_variables(env::vars()).map_err(|invalid| {
        let fields = serde_json::Map::from_iter([(
            "problem".to_owned(),
            serde_json::json!(invalid.to_string()),
        )]);
        let telemetry = ports::all().telemetry;
        telemetry.log(
            crate::ports::Severity::Error,
            "a setting cannot be used",
            &fields,
        );
        let error = AuthError::new(
            Kind::ResourceUnavailable,
            "The service is not configured rightly; its log says how",
        );
        match asking {
            Principal::Operator => error.detail("problem", invalid.to_string()),
            _ => error,
        }
    })
}

fn context<'a>(settings: &'a Settings, caller: &'a Caller) -> Context<'a> {
    Context {
        ports: ports::all(),
        settings,
        caller,
        actor: Actor::Anonymous,
        trail: Rc::default(),
        progress: None,
        log_level: None,
    }
}

fn operator() -> Caller {
    Caller {
        principal: Principal::Operator,
        source: Source::from_peer(None),
    }
}
