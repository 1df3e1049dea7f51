//! `server`: where the server listens, and by which names it is known.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the server listens, and by which names it is known.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Server {
    /// The address and port to listen on; port 0 takes a free one. Anything but
    /// this machine's own addresses takes `security.authentication.type` `api_key`.
    #[schemars(extend("x-env" = "USER_AUTH_LISTEN"))]
    pub(in crate::cli) listen: String,
    /// Other names that clients may reach this server by, with or without a port;
    /// `*.example.com` are all that have one label more.
    #[schemars(extend("x-env" = "USER_AUTH_ALLOWED_HOSTS"))]
    pub(in crate::cli) allowed_hosts: Vec<String>,
    /// The certificate for TLS; left out: the server speaks plain HTTP.
    pub(in crate::cli) tls: Option<Tls>,
}

/// The certificate for TLS. Both files are read again at SIGHUP.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Tls {
    /// The file with the certificate and those that lead to its root, in PEM.
    pub(in crate::cli) certificate: PathBuf,
    /// The file with the private key of the certificate, in PEM.
    pub(in crate::cli) key: PathBuf,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8000".to_owned(),
            allowed_hosts: Vec::new(),
            tls: None,
        }
    }
}
