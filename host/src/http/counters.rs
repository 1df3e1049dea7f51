//! The counters of the server itself; those of operations and of the store are the
//! plugin's.

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// The counters of the server itself.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) requests: Family<Answered, Counter>,
    pub(crate) rate_limited: Counter,
    pub(crate) unauthenticated: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Answered {
    path: &'static str,
    status: u16,
}

impl Counters {
    /// Counts a response. Unknown paths are counted as one, so that a client cannot
    /// fill the memory with paths of its own.
    pub(crate) fn answered(&self, path: &'static str, status: StatusCode) {
        let answered = Answered {
            path,
            status: status.as_u16(),
        };
        self.requests.get_or_create(&answered).inc();
    }
}
