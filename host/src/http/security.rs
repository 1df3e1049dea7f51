//! Checks that apply to requests of every caller: heads, hosts, origins and addresses,
//! and TLS. The component authenticates and authorizes callers.

pub(crate) mod authority;
pub(crate) mod client_ip;
pub(crate) mod cors;
pub(crate) mod origin_check;
pub(crate) mod request_head;
pub(crate) mod tls;
