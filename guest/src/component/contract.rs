//! Implements the exports of `wit/`.

use super::{context, operator, ports, settings};
use crate::domain::context::Principal;
use crate::domain::session;
use crate::{forward_auth, mcp};

pub use bindings::exports::user_auth::plugin as exports;
pub use bindings::user_auth::plugin as imports;

#[allow(missing_docs)]
mod bindings {
    #[cfg(not(feature = "inside"))]
    wit_bindgen::generate!({
        world: "plugin",
        path: "../wit",
    });
    #[cfg(feature = "inside")]
    wit_bindgen::generate!({
        world: "self-contained",
        path: "../wit",
    });
    use super::Component;
    export!(Component);
}

/// The component.
pub struct Component;

impl exports::mcp::Guest for Component {
    fn handle(request: exports::mcp::Request) -> exports::mcp::Response {
        use exports::mcp::Transport;
        let request = mcp::Request {
            transport: match request.transport {
                Transport::Http => mcp::Transport::Http,
                Transport::Stdio => mcp::Transport::Stdio,
            },
            headers: fields(request.headers),
            peer: request.peer,
            body: request.body,
        };
        response(match settings(&Principal::Anonymous) {
            Ok(settings) => mcp::handle(&request, &settings, ports::all()),
            Err(error) => mcp::refuse(&request.body, &error, ports::all()),
        })
    }
}

impl exports::forward_auth::Guest for Component {
    fn verify(
        headers: Vec<exports::mcp::Field>,
        peer: Option<String>,
        permission: Option<String>,
    ) -> exports::mcp::Response {
        let ports = ports::all();
        response(match settings(&Principal::Anonymous) {
            Ok(settings) => {
                forward_auth::verify(fields(headers), peer, permission, &settings, ports)
            }
            Err(error) => mcp::refuse(b"", &error, ports),
        })
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

fn fields(fields: Vec<exports::mcp::Field>) -> Vec<(String, String)> {
    let fields = fields.into_iter();
    fields.map(|field| (field.name, field.value)).collect()
}

fn response(response: mcp::Response) -> exports::mcp::Response {
    let headers = response.headers.into_iter();
    exports::mcp::Response {
        status: response.status,
        headers: headers
            .map(|(name, value)| exports::mcp::Field { name, value })
            .collect(),
        body: response.body,
    }
}
