//! Which requests are answered at all, whoever asks: their heads, hosts, origins and
//! addresses, and TLS. Who a caller is, and what it may do, the component decides.

pub(crate) mod authority;
pub(crate) mod client_ip;
pub(crate) mod cors;
pub(crate) mod origin;
pub(crate) mod origin_check;
pub(crate) mod request_head;
pub(crate) mod tls;
