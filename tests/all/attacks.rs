//! Attacks, each through the real door: the built component in the real host.

use std::sync::Arc;

use user_auth_host::store::Store;
use user_auth_host::{Keys, Limits, Plugin};
use user_auth_tests::built;

mod accounts;
pub(crate) mod failures;
mod floods;
mod introspection;
mod logins;
mod power;
mod resets;
mod second_factor;
mod sessions;
mod stops;
mod tokens;

/// The built component in this process, on a store of the test's own.
fn plugin(store: Arc<dyn Store>, keys: Keys, limits: Limits) -> Plugin {
    Plugin::builder()
        .component(built("user-auth.wasm"))
        .cache(built("user-auth").with_file_name("test-cache/user-auth"))
        .store(store)
        .keys(keys)
        .limits(limits)
        .build()
        .unwrap()
}
