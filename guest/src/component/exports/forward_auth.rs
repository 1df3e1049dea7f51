//! The `forward-auth` interface: one question of a reverse proxy.

use super::mcp::{fields, response};
use crate::component::contract::{Component, exports};
use crate::component::select::{ports, settings};
use crate::domain::caller::Principal;
use crate::{forward_auth, mcp};

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
