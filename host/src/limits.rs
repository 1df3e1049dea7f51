//! Every limit of the system, in one table.

use std::fmt;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::bindings::user_auth::plugin::store::Mutation;
use crate::store::{MAX_BATCH, MAX_BATCH_BYTES};

/// One value of [`Limits`], as [`Limits::table`] shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The name of the field.
    pub name: &'static str,
    /// The value with its unit.
    pub value: String,
    /// What is limited.
    pub description: &'static str,
    /// Its name where it is a plain number, such as in a file: the name of the
    /// field, and for a duration `_ms` after that.
    pub key: String,
    /// The value as that number.
    pub number: u64,
    /// The largest that such a number can be; the least is 1.
    pub maximum: u64,
}

/// Declares [`Limits`], its defaults and its table from one list, so that they
/// cannot drift apart.
macro_rules! limits {
    ($( $(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $unit:literal; )+) => {
        /// What a component, a client or a caller may use up. Start from
        /// `Limits::default()` and change what differs.
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
            /// All limits in the order of their declaration, for people.
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

            /// Sets the limit of this [`Limit::key`]. False: there is none, or it
            /// cannot be that number.
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
    /// Handles that one call may hold: of what the host gives it, such as timers, and
    /// of its own.
    handles: usize = 1_000, "";
    /// The host's own bookkeeping for one instance.
    instance_metadata_bytes: usize = 1 << 20, "B";
    /// Size of a component file.
    component_bytes: u64 = 64 << 20, "B";

    /// Processor time of one call, measured to `epoch_tick`.
    cpu_per_call: Duration = Duration::from_secs(1), "";
    /// How often a running instance is interrupted to let others run.
    epoch_tick: Duration = Duration::from_millis(10), "";
    /// One call from its start to its answer, waiting for the store included.
    wall_clock_per_call: Duration = Duration::from_secs(30), "";
    /// Calls that one call makes to the host.
    host_calls_per_call: u32 = 10_000, "";
    /// What one call reads from the store and writes to it, altogether.
    store_bytes_per_call: usize = 256 << 20, "B";
    /// Operations that one call counts, each with a line in the audit log.
    operations_per_call: u32 = 1_000, "";
    /// Notifications that one call sends to its client, altogether.
    notification_bytes_per_call: usize = 1 << 20, "B";
    /// Random bytes that one request for them may ask for.
    random_bytes: u64 = 1 << 20, "B";
    /// Log and audit lines of one call, altogether, each with 128 bytes besides its own;
    /// what goes beyond is left out.
    log_bytes_per_call: usize = 64 << 10, "B";
    /// What is kept of the standard output and error of one call.
    output_bytes_per_call: usize = 16 << 10, "B";

    /// The body of one answer.
    answer_bytes: usize = 16 << 20, "B";
    /// Header fields that come with one answer, each with 32 bytes besides its own.
    answer_header_bytes: usize = 32 << 10, "B";

    /// Calls at work at one time. Over HTTP one source has at most half of them.
    concurrent_calls: u32 = 256, "";
    /// Calls that may wait until one of those ends; one more is refused. Half of so many
    /// may wait of one source, for its own.
    waiting_calls: u32 = 1_024, "";
    /// How long a call waits before it is refused, for its turn or for memory.
    call_queue_wait: Duration = Duration::from_secs(5), "";
    /// Messages of one stdio client at work at one time.
    stdio_concurrent_messages: u32 = 64, "";

    /// One message, be it an HTTP body or a line.
    body_bytes: usize = 1 << 20, "B";
    /// Bodies of HTTP requests that are being read or worked on, altogether. A quarter is
    /// divided among the connections, for the first bytes of each body; one source has
    /// at most an eighth of the rest, or one message.
    bodies_bytes: usize = 128 << 20, "B";
    /// What is read of a body that is too large before its sender is cut off.
    discarded_body_bytes: usize = 8 << 20, "B";
    /// Open HTTP connections. When there are no more, a newcomer gets the place of one
    /// that is idle, first of all of a source that has more than others.
    connections: usize = 4_096, "";
    /// Callers whose rate is limited one by one, if it is: sources, and as many API
    /// keys. Beyond these they share.
    limited_callers: usize = 65_536, "";
    /// What is read ahead of one connection, the header of a request included; at
    /// least 8 KiB.
    connection_buffer_bytes: usize = 32 << 10, "B";
    /// How long a connection may be idle, or take to send the header of a request.
    header_read: Duration = Duration::from_secs(30), "";
    /// How long a client may take to send the body of a request.
    body_read: Duration = Duration::from_secs(30), "";
    /// How long a client may keep a connection waiting that writes to it.
    response_write: Duration = Duration::from_secs(30), "";
    /// How long a shutdown waits for what is in flight.
    shutdown: Duration = Duration::from_secs(30), "";

    /// Threads that hash passwords, one for each core.
    hash_workers: usize = available_parallelism().map_or(2, |cores| cores.get()), "";
    /// Passwords that may wait for a worker. Of one more, the source that has the most
    /// waiting loses its latest, or it is refused.
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
    /// Password, salt and pepper of one hash, together.
    hash_input_bytes: usize = 16 << 10, "B";
    /// Length of one hash.
    hash_output_bytes: u32 = 1_024, "B";
    /// Messages to owners of accounts that wait to be sent, or are being sent; one
    /// more is refused. Those to unverified addresses get half of it.
    delivery_queue: usize = 256, "";
    /// One of these messages, before it is put into words.
    delivery_message_bytes: usize = 16 << 10, "B";
    /// Messages that are being sent at one time; the same half holds.
    delivery_workers: usize = 4, "";
    /// Tries for one message. The second comes a quarter of a second after the
    /// first, and each further one after twice as long.
    delivery_attempts: u32 = 10, "";
    /// Tries for one message to an unverified address.
    delivery_unverified_attempts: u32 = 3, "";
    /// One try.
    delivery_timeout: Duration = Duration::from_secs(10), "";
    /// How long the end of the program waits for messages to be sent.
    delivery_drain: Duration = Duration::from_secs(5), "";
    /// Operations that are counted one by one; what comes later goes uncounted.
    counted_operations: usize = 256, "";
}

/// What a batch for the store takes in the host, with all that one may have in it.
const BATCH_BYTES: usize = MAX_BATCH_BYTES + MAX_BATCH * size_of::<Mutation>();
/// Some room for what comes beside the large part of a transfer.
const MARGIN_BYTES: usize = 64 << 10;

impl Limits {
    /// What a component hands to the host at one time: the arguments of one call, or its
    /// answer. The largest that either may be, and no more, since the host has a copy of
    /// it before it can look at it.
    pub(crate) fn transfer_bytes(&self) -> usize {
        // A field of a header takes more in memory than it counts for, but not twice.
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
    /// The unit, where the name of a field does not end with one.
    const SUFFIX: &'static str = "";
    /// More makes no sense on any machine, and might overflow further on.
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

/// A value and its unit, in the largest unit that leaves it whole.
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
    fn every_limit_can_be_set_by_its_key_and_none_to_nothing() {
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
