//! `discovery`: the service discovery in which the server registers.

use std::env;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use user_auth_host::discovery::{self, Service};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The agent's ACL token, in the variable that Consul's own programs use.
const TOKEN: &str = "CONSUL_HTTP_TOKEN";

/// The service discovery in which the server registers.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Discovery {
    /// The Consul agent to register with. Default: none.
    pub(crate) consul: Option<Consul>,
}

/// A Consul agent, and the registration. The ACL token comes from the environment
/// variable `CONSUL_HTTP_TOKEN`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consul {
    /// The URL of the agent, such as `http://127.0.0.1:8500`.
    #[schemars(extend("x-secret" = true))]
    pub(crate) url: String,
    /// The address that clients use to reach this server. Default: the listen address
    /// or, when listening on all interfaces, the address of the machine.
    #[serde(default)]
    pub(crate) address: Option<String>,
    /// The interval of the agent's checks of `/health`, and of this server's checks
    /// that it is still registered.
    #[serde(default = "Consul::interval")]
    pub(crate) interval_seconds: NonZeroU32,
}

impl Consul {
    const fn interval() -> NonZeroU32 {
        const { NonZeroU32::new(10).unwrap() }
    }

    /// Returns the agent, and the registration of a server that listens on this
    /// address.
    pub(crate) fn open(
        &self,
        listening: SocketAddr,
        https: bool,
    ) -> Result<(discovery::Consul, Service), Failure> {
        let failure = |reason: String| Failure::start(format!("Consul: {reason}"));
        let url: url::Url = (self.url.parse())
            .map_err(|_| failure("write a URL such as http://127.0.0.1:8500".to_owned()))?;
        let token = env::var(TOKEN).ok().filter(|token| !token.is_empty());
        let interval = Duration::from_secs(self.interval_seconds.get().into());
        let service = Service::new(&url, listening, self.address.as_deref(), interval, https);
        let agent = discovery::Consul::new(url, token.map(Zeroizing::new)).map_err(failure)?;
        Ok((agent, service))
    }
}
