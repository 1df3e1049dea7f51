//! The `maintenance` interface: what has expired is deleted.

use crate::component::contract::{Component, exports, imports};
use crate::component::select::{context, operator, settings};
use crate::domain::context::Principal;
use crate::domain::sessions::session;

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
                retry_after_ms: Some(1000),
            }),
        }
    }
}
