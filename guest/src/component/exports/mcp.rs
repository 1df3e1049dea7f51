//! The `mcp` interface: one message of the local operator.

use crate::component::contract::{Component, exports};
use crate::component::select::{ports, settings};
use crate::domain::caller::Principal;
use crate::mcp;

impl exports::mcp::Guest for Component {
    fn handle(request: exports::mcp::Request) -> exports::mcp::Response {
        let request = mcp::Request {
            transport: mcp::Transport::Stdio,
            headers: fields(request.headers),
            peer: None,
            body: request.body,
        };
        response(match settings(&Principal::Anonymous) {
            Ok(settings) => {
                let offer = settings.offer_over_mcp();
                mcp::handle(&request, offer, &settings, ports::all())
            }
            Err(error) => mcp::refuse(&request.body, &error, ports::all()),
        })
    }
}

fn fields(fields: Vec<exports::mcp::Field>) -> Vec<(String, String)> {
    let fields = fields.into_iter();
    fields
        .map(|field| (field.name.to_ascii_lowercase(), field.value))
        .collect()
}

pub(super) fn response(response: mcp::Response) -> exports::mcp::Response {
    let headers = response.headers.into_iter();
    exports::mcp::Response {
        status: response.status,
        headers: headers
            .map(|(name, value)| exports::mcp::Field { name, value })
            .collect(),
        body: response.body,
    }
}
