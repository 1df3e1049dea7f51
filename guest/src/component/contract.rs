//! The bindings of `wit/`: its exports and its imports.

pub use bindings::exports::user_auth::plugin as exports;
pub use bindings::user_auth::plugin as imports;

#[allow(missing_docs)]
mod bindings {
    #[cfg(not(feature = "ports-builtin"))]
    wit_bindgen::generate!({
        world: "plugin",
        path: "../wit",
    });
    #[cfg(feature = "ports-builtin")]
    wit_bindgen::generate!({
        world: "self-contained",
        path: "../wit",
    });
    use super::Component;
    export!(Component);
}

/// The component.
pub struct Component;
