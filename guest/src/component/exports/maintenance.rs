//! The `maintenance` interface, which deletes expired sessions.

use crate::component::contract::{Component, exports, imports};
use crate::component::select::{call, operator, settings};
use crate::domain::caller::Principal;
use crate::domain::sessions::session;

impl exports::maintenance::Guest for Component {
    fn sweep(
        after: Option<String>,
        limit: u32,
    ) -> Result<exports::maintenance::Swept, imports::types::Unavailable> {
        let swept = settings(&Principal::Operator).and_then(|settings| {
            let caller = operator();
            let call = call(&settings, &caller);
            session::sweep(after.as_deref(), limit, &call)
        });
        match swept {
            Ok(swept) => Ok(exports::maintenance::Swept {
                examined: swept.examined,
                deleted: swept.deleted,
                next: swept.next,
            }),
            Err(error) => Err(imports::types::Unavailable {
                reason: error.to_string(),
                retry_after_ms: Some(1000),
            }),
        }
    }
}
