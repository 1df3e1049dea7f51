//! The places of the exported functions in a component, so that a call looks up its own and
//! compares the types of no other.

use wasmtime::component::{ComponentExportIndex, InstancePre};

use super::contract::CONTRACT;
use crate::embed::bindings::exports::user_auth::plugin::{auth, http, maintenance, mcp};

/// Declares [`Exports`]: interfaces, and for each function the name of its place.
macro_rules! exports {
    ($($interface:ident { $($place:ident: $function:literal,)* })*) => {
        pub(super) struct Exports {
            $($(pub(super) $place: ComponentExportIndex,)*)*
        }

        impl Exports {
            /// Looks the functions up, and fails if one is missing or has another type.
            pub(super) fn of<T>(pre: &InstancePre<T>) -> wasmtime::Result<Self> {
                $($interface::GuestIndices::new(pre)?;)*
                Ok(Self {
                    $($($place: place(pre, stringify!($interface), $function)?,)*)*
                })
            }
        }
    };
}

exports! {
    mcp {
        mcp_handle: "handle",
    }
    http {
        http_handle: "handle",
        http_admit: "admit",
        http_routes: "routes",
    }
    maintenance {
        sweep: "sweep",
    }
    auth {
        register: "register",
        login: "login",
        complete_login: "complete-login",
        verify_token: "verify-token",
        refresh: "refresh",
        logout: "logout",
        check_permission: "check-permission",
        invoke: "invoke",
        jwks: "jwks",
        operations: "operations",
    }
}

fn place<T>(
    pre: &InstancePre<T>,
    interface: &str,
    function: &str,
) -> wasmtime::Result<ComponentExportIndex> {
    let component = pre.component();
    let name = format!("user-auth:plugin/{interface}@{CONTRACT}.0");
    let interface = component.get_export_index(None, &name);
    let place = interface.and_then(|within| component.get_export_index(Some(&within), function));
    place.ok_or_else(|| wasmtime::Error::msg(format!("{name} has no function {function}")))
}
