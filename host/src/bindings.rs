//! What `wit/` says, in Rust. Generated; the rest of the crate re-exports from
//! here what callers need.

#![allow(missing_docs)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    imports: {
        // These wait for a disk, for a worker or for a slow reader.
        "user-auth:plugin/store": async | trappable,
        "user-auth:plugin/password-hash": async | trappable,
        "user-auth:plugin/client.notify": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});
