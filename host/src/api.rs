//! The types that go into the component and come out of it: the records of `wit/`, under
//! one name each.

pub use crate::embed::bindings::exports::user_auth::plugin::auth::{
    Account, Caller, Challenge, Claims, LoginOutcome, Principal, Registration, Tokens,
};
pub use crate::embed::bindings::exports::user_auth::plugin::http::{
    BodyClass, ErrorForm, Header as HttpHeader, JsonBody, Member, PageClass, RateClass,
    Request as HttpRequest, Route,
};
pub use crate::embed::bindings::exports::user_auth::plugin::maintenance::Swept;
pub use crate::embed::bindings::exports::user_auth::plugin::mcp::{
    Field, Request as McpRequest, Response as McpResponse,
};
pub use crate::embed::bindings::user_auth::plugin::telemetry::{
    DeliveryMetrics, HashMetrics, InstanceMetrics, Metrics, OperationMetrics, StoreMetrics,
};
pub use crate::embed::bindings::user_auth::plugin::types::{Error as OperationError, Unavailable};
