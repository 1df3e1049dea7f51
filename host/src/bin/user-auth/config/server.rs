//! `server`: the listen address and the names of the server.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The listen address and the names of the server.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    /// The address and port to listen on; port 0 selects a free one. Any address other
    /// than this machine's own requires `security.authentication.type` `api_key`.
    #[schemars(extend("x-env" = "USER_AUTH_LISTEN"))]
    pub(crate) listen: String,
    /// Other names by which clients may reach this server, with or without a port;
    /// `*.example.com` stands for all names with one more label.
    #[schemars(extend("x-env" = "USER_AUTH_ALLOWED_HOSTS"))]
    pub(crate) allowed_hosts: Vec<String>,
    /// The URL of this service as its clients write it, such as `https://auth.example.com`:
    /// https, or http on this machine, as browsers spell it, without a slash at the end, a
    /// query or a fragment. It is used exactly as written: as the issuer of tokens, and for the
    /// addresses in the server card and in `/openapi.json`. Default: none.
    #[schemars(length(max = 252), extend("x-env" = "USER_AUTH_PUBLIC_URL"))]
    pub(crate) public_url: Option<String>,
    /// The certificate for TLS. Default: plain HTTP.
    pub(crate) tls: Option<Tls>,
}

/// The certificate for TLS. SIGHUP reloads both files.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The file with the certificate chain, in PEM.
    pub(crate) certificate: PathBuf,
    /// The file with the private key of the certificate, in PEM.
    pub(crate) key: PathBuf,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8000".to_owned(),
            allowed_hosts: Vec::new(),
            public_url: None,
            tls: None,
        }
    }
}
