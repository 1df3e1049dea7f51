//! Every limit of the system, in one table.

use std::fmt;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::embed::bindings::user_auth::plugin::store::Mutation;
use crate::store::{MAX_BATCH, MAX_BATCH_BYTES};

/// One entry of [`Limits::table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Name of the field.
    pub name: &'static str,
    /// Value with its unit.
    pub value: String,
    /// Description of the limit.
    pub description: &'static str,
    /// Name for the value as a plain number, for example in a file: the name of the
    /// field, followed by `_ms` for a duration.
    pub key: String,
    /// Value as that number.
    pub number: u64,
    /// Maximum of that number; the minimum is 1.
    pub maximum: u64,
}

/// Declares [`Limits`], its defaults and its table from one list, so that they stay
/// consistent.
macro_rules! limits {
    ($( $(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $unit:literal; )+) => {
        /// The resources that a component, a client or a caller may use. Start from
        /// `Limits::default()` and change individual values.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $( $(#[doc = $doc])+ pub $name: $type, )+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $( $name: $default, )+ }
            }
        }

        impl Limits {
            /// Returns all limits in the order of their declaration, for display.
            pub fn table(&self) -> Vec<Limit> {
                vec![ $( Limit {
                    name: stringify!($name),
                    value: Shown(&self.$name, $unit).to_string(),
                    description: concat!($($doc),+).trim_ascii(),
                    key: [stringify!($name), <$type as Quantity>::SUFFIX].concat(),
                    number: self.$name.number(),
                    maximum: <$type as Quantity>::MAXIMUM,
                }, )+ ]
            }

            /// Sets the limit with this [`Limit::key`]. Returns false if it does not
            /// exist or does not accept the number.
            pub fn set(&mut self, key: &str, number: u64) -> bool {
                $( if Some(stringify!($name)) == key.strip_suffix(<$type as Quantity>::SUFFIX)
                    && (1..=<$type as Quantity>::MAXIMUM).contains(&number)
                {
                    return Quantity::from_number(number)
                        .map(|value| self.$name = value)
                        .is_some();
                } )+
                false
            }
        }
    };
}

limits! {
    /// Linear memory of one instance.
    memory_bytes: usize = 64 << 20, "B";
    /// Linear memories of one instance.
    memories: u32 = 1, "";
    /// Tables of one instance.
    tables: u32 = 8, "";
    /// Elements of one table.
    table_elements: usize = 20_000, "";
    /// Core module instances inside one component instance.
    core_instances: u32 = 32, "";
    /// Handles that one call may hold, its own and those of host resources such as
    /// timers.
    handles: usize = 1_000, "";
    /// The host's own bookkeeping for one instance.
    instance_metadata_bytes: usize = 1 << 20, "B";
    /// Size of a component file.
    component_bytes: u64 = 64 << 20, "B";

    /// Processor time of one call, measured in steps of `epoch_tick`.
    cpu_per_call: Duration = Duration::from_secs(1), "";
    /// How often a running instance is interrupted to let others run.
    epoch_tick: Duration = Duration::from_millis(10), "";
    /// Duration of one call from its start to its response, including waits for the
    /// store.
    wall_clock_per_call: Duration = Duration::from_secs(30), "";
    /// Calls that one call makes to the host.
    host_calls_per_call: u32 = 10_000, "";
    /// Total bytes that one call reads from the store and writes to it.
    store_bytes_per_call: usize = 256 << 20, "B";
    /// Operations that one call reports, each with a line in the audit log.
    operations_per_call: u32 = 1_000, "";
    /// Total size of the notifications that one call sends to its client.
    notification_bytes_per_call: usize = 1 << 20, "B";
    /// Random bytes that one request for them may ask for.
    random_bytes: u64 = 1 << 20, "B";
    /// Total size of the log and audit lines of one call, each with 128 bytes in
    /// addition to its own; further lines are omitted.
    log_bytes_per_call: usize = 64 << 10, "B";
    /// Standard output and error of one call that are kept.
    output_bytes_per_call: usize = 16 << 10, "B";

    /// Body of one response.
    answer_bytes: usize = 16 << 20, "B";
    /// Header fields of one response, each with 32 bytes in addition to its own.
    answer_header_bytes: usize = 32 << 10, "B";

    /// Calls that run concurrently. Over HTTP one source has at most half of them.
    concurrent_calls: u32 = 256, "";
    /// Calls that may wait for one of those to end; further ones are refused. One
    /// source may have half of them waiting for its own.
    waiting_calls: u32 = 1_024, "";
    /// How long a call waits for its turn or for memory before it is refused.
    call_queue_wait: Duration = Duration::from_secs(5), "";
    /// Messages of one stdio client that are processed concurrently.
    stdio_concurrent_messages: u32 = 64, "";

    /// One message: an HTTP body or a line.
    body_bytes: usize = 1 << 20, "B";
    /// Total size of the HTTP request bodies that are being read or processed. A
    /// quarter is divided among the connections, for the first bytes of each body; one
    /// source has at most an eighth of the rest, or one message.
    bodies_bytes: usize = 128 << 20, "B";
    /// Bytes of an oversized body that are read before the connection is closed.
    discarded_body_bytes: usize = 8 << 20, "B";
    /// Open HTTP connections. At the limit a new connection replaces an idle one,
    /// preferably of a source that has more than others.
    connections: usize = 4_096, "";
    /// Callers that are rate-limited individually, where that is configured: sources,
    /// and as many API keys. Further callers share limits.
    limited_callers: usize = 65_536, "";
    /// Bytes read ahead on one connection, including the header of a request; at least
    /// 8 KiB.
    connection_buffer_bytes: usize = 32 << 10, "B";
    /// How long a connection may be idle, or take to send the header of a request.
    header_read: Duration = Duration::from_secs(30), "";
    /// How long a client may take to send the body of a request.
    body_read: Duration = Duration::from_secs(30), "";
    /// How long a client may take to read what is written to it.
    response_write: Duration = Duration::from_secs(30), "";
    /// How long a shutdown waits for requests in flight.
    shutdown: Duration = Duration::from_secs(30), "";

    /// Threads that hash passwords, by default one for each core.
    hash_workers: usize = available_parallelism().map_or(2, |cores| cores.get()), "";
    /// Passwords that may wait for a worker. When one more arrives, the source with the
    /// most waiting loses its latest, or the new one is refused.
    hash_queue: usize = 64, "";
    /// Memory of one Argon2 or scrypt hash.
    hash_memory_kib: u32 = 128 << 10, "KiB";
    /// Passes of one Argon2 hash over its memory.
    hash_iterations: u32 = 16, "";
    /// Lanes of one Argon2 hash.
    hash_parallelism: u32 = 16, "";
    /// Cost of one bcrypt hash: the binary logarithm of its rounds.
    hash_bcrypt_cost: u32 = 14, "";
    /// Memory that one scrypt hash fills, one lane after the other.
    hash_scrypt_filled_kib: u32 = 512 << 10, "KiB";
    /// Iterations of one PBKDF2 hash, for all of its output.
    hash_pbkdf2_iterations: u32 = 5_000_000, "";
    /// Total size of password, salt and pepper of one hash.
    hash_input_bytes: usize = 16 << 10, "B";
    /// Length of one hash.
    hash_output_bytes: u32 = 1_024, "B";
    /// Messages to account owners that are waiting or being sent; further ones are
    /// refused. Messages to unverified addresses get half of it.
    delivery_queue: usize = 256, "";
    /// One of these messages, before its text is composed.
    delivery_message_bytes: usize = 16 << 10, "B";
    /// Messages that are sent concurrently; unverified addresses get half of it too.
    delivery_workers: usize = 4, "";
    /// Attempts at one message. The second comes a quarter of a second after the first,
    /// and the delay doubles with each attempt.
    delivery_attempts: u32 = 10, "";
    /// Attempts at one message to an unverified address.
    delivery_unverified_attempts: u32 = 3, "";
    /// Time limit of one attempt.
    delivery_timeout: Duration = Duration::from_secs(10), "";
    /// How long the end of the program waits for messages to be sent.
    delivery_drain: Duration = Duration::from_secs(5), "";
    /// Documents of clients that are fetched at the same time.
    documents_at_once: usize = 16, "";
    /// Documents that are fetched from one host at the same time.
    documents_at_once_per_origin: usize = 4, "";
    /// Documents that are fetched within a minute.
    documents_per_minute: usize = 120, "";
    /// Documents that are fetched from one host within a minute.
    documents_per_minute_and_origin: usize = 30, "";
    /// One document.
    document_bytes: usize = 64 << 10, "B";
    /// Time limit of the connection to one address of a host with a document.
    document_connect: Duration = Duration::from_secs(2), "";
    /// Time limit of the fetch of a document.
    document_timeout: Duration = Duration::from_secs(5), "";
    /// Operations that are counted individually; later ones go uncounted.
    counted_operations: usize = 256, "";
}

/// Maximum size of a batch for the store in the host's memory.
const BATCH_BYTES: usize = MAX_BATCH_BYTES + MAX_BATCH * size_of::<Mutation>();
/// Room for the small parts of a transfer.
const MARGIN_BYTES: usize = 64 << 10;

impl Limits {
    /// Returns the maximum size of the data that a component passes to the host at one
    /// time: the arguments of one call, or its response. The bound is tight, since the
    /// host copies the data before it can inspect it.
    pub(crate) fn transfer_bytes(&self) -> usize {
        // A header field takes more memory than it counts for, but less than twice as
        // much.
        let header = self.answer_header_bytes.saturating_mul(2);
        let answer = self.answer_bytes.saturating_add(header);
        let arguments = BATCH_BYTES
            .max(self.notification_bytes_per_call)
            .max(self.delivery_message_bytes)
            .max(self.hash_input_bytes);
        answer.max(arguments).saturating_add(MARGIN_BYTES)
    }
}

/// A value that can be written as a whole number.
trait Quantity: Sized {
    /// The suffix of the key where the name of the field does not end with a unit.
    const SUFFIX: &'static str = "";
    /// Larger values make no sense on any machine, and might overflow later.
    const MAXIMUM: u64 = 1 << 40;

    fn number(&self) -> u64;
    fn from_number(number: u64) -> Option<Self>;
}

impl Quantity for u32 {
    const MAXIMUM: u64 = 0xffff_ffff;

    fn number(&self) -> u64 {
        (*self).into()
    }

    fn from_number(number: u64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Quantity for u64 {
    fn number(&self) -> u64 {
        *self
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(number)
    }
}

impl Quantity for usize {
    fn number(&self) -> u64 {
        u64::try_from(*self).unwrap_or(u64::MAX)
    }

    fn from_number(number: u64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Quantity for Duration {
    const SUFFIX: &'static str = "_ms";
    /// A day.
    const MAXIMUM: u64 = 24 * 60 * 60 * 1000;

    fn number(&self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Duration::from_millis(number))
    }
}

/// Displays a value in the largest unit that leaves it whole.
struct Shown<'a, T>(&'a T, &'static str);

impl<T: fmt::Debug> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:?}", self.0);
        let (Ok(number), "B" | "KiB") = (text.parse::<u64>(), self.1) else {
            return f.write_str(&text);
        };
        let bytes = if self.1 == "KiB" {
            number << 10
        } else {
            number
        };
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if bytes >= 1 << shift && bytes.trailing_zeros() >= shift {
                return write!(f, "{} {unit}", bytes >> shift);
            }
        }
        write!(f, "{bytes} B")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_values_with_their_units() {
        let table = Limits::default().table();
        let value = |name| &table.iter().find(|limit| limit.name == name).unwrap().value;
        assert_eq!(value("memory_bytes"), "64 MiB");
        assert_eq!(value("hash_memory_kib"), "128 MiB");
        assert_eq!(value("cpu_per_call"), "1s");
        assert_eq!(value("memories"), "1");
        assert_eq!(table[0].description, "Linear memory of one instance.");
    }

    #[test]
    fn every_limit_can_be_set_by_its_key_but_not_to_zero() {
        for limit in Limits::default().table() {
            let mut limits = Limits::default();
            assert!(limits.set(&limit.key, 17), "{}", limit.key);
            let set = limits.table();
            let set = set.iter().find(|one| one.name == limit.name).unwrap();
            assert_eq!(set.number, 17, "{}", limit.key);
            assert!(!limits.set(&limit.key, 0), "{}", limit.key);
            assert!(!limits.set(&limit.key, limit.maximum + 1), "{}", limit.key);
        }
        let mut limits = Limits::default();
        assert!(limits.set("header_read_ms", 1500));
        assert_eq!(limits.header_read, Duration::from_millis(1500));
        assert!(!limits.set("header_read", 1500));
        assert!(!limits.set("no_such_limit", 1));
    }
}
