//! The queue of messages, and the tasks that work it off.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, Notify, Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use super::{Delivery, DeliveryError, Message};
use crate::limits::Limits;

/// How long after the first try that failed comes the second; each further one
/// comes after twice as long.
const BACKOFF: Duration = Duration::from_millis(250);

/// The queue. Each message has a task of its own, so that none waits for the next
/// try of another; only tries are few at one time.
///
/// Anybody can have messages sent to addresses that are not theirs and take none.
/// So those to addresses that nobody has verified get half of all there is: places
/// in the queue, and tries at one time.
pub(crate) struct Outbox {
    delivery: Option<Arc<dyn Delivery>>,
    state: Mutex<State>,
    idle: Notify,
    capacity: usize,
    message_bytes: usize,
    tries: Semaphore,
    unverified_tries: Semaphore,
    attempts: u32,
    unverified_attempts: u32,
    timeout: Duration,
}

/// The queue at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutboxMetrics {
    pub(crate) kind: &'static str,
    /// Messages that wait, or are being delivered.
    pub(crate) waiting: usize,
    pub(crate) capacity: usize,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// As many wait as may.
    Full,
    /// It has more bytes than it may, which is the number.
    TooLarge(usize),
    /// It is not for one address in the form that the contract names.
    NoAddress,
    /// There is no way to deliver anything.
    NoDelivery,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the queue of messages is full"),
            Self::TooLarge(limit) => write!(f, "a message may have at most {limit} bytes"),
            Self::NoAddress => f.write_str("a message goes to one address, in printable ASCII"),
            Self::NoDelivery => f.write_str("there is no delivery of messages"),
        }
    }
}

#[derive(Default)]
struct State {
    waiting: usize,
    /// Of those, the messages to addresses that nobody has verified.
    unverified: usize,
    delivered: u64,
    failed: u64,
    refused: u64,
}

impl Outbox {
    pub(crate) fn new(delivery: Option<Arc<dyn Delivery>>, limits: &Limits) -> Arc<Self> {
        let workers = limits.delivery_workers.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            delivery,
            state: Mutex::default(),
            idle: Notify::new(),
            capacity: limits.delivery_queue,
            message_bytes: limits.delivery_message_bytes,
            tries: Semaphore::new(workers),
            unverified_tries: Semaphore::new(half(workers)),
            attempts: limits.delivery_attempts,
            unverified_attempts: limits.delivery_unverified_attempts,
            timeout: limits.delivery_timeout,
        })
    }

    /// Takes a message to be delivered in the background; to be called on a tokio
    /// runtime, with which the message ends. However it is delivered, this takes
    /// some microseconds.
    pub(crate) fn enqueue(self: &Arc<Self>, message: Message) -> Result<(), Refused> {
        if message.bytes() > self.message_bytes {
            self.lock().refused += 1;
            return Err(Refused::TooLarge(self.message_bytes));
        }
        if !message.has_plain_address() {
            self.lock().refused += 1;
            return Err(Refused::NoAddress);
        }
        let Some(delivery) = self.delivery.clone() else {
            self.lock().refused += 1;
            return Err(Refused::NoDelivery);
        };
        let place = self.take_place(!message.kind.has_verified_address())?;
        tokio::spawn(async move {
            let delivered = place.outbox.deliver(&*delivery, &message).await;
            place.outbox.count(delivered);
        });
        Ok(())
    }

    /// Waits until all is delivered or given up, but no longer than `patience`.
    pub(crate) async fn drain(&self, patience: Duration) {
        let drained = timeout(patience, async {
            loop {
                let idle = self.idle.notified();
                if self.metrics().waiting == 0 {
                    return;
                }
                idle.await;
            }
        });
        if drained.await.is_err() {
            let lost = self.metrics().waiting;
            warn!(lost, "messages to owners of accounts are lost");
        }
    }

    pub(crate) fn metrics(&self) -> OutboxMetrics {
        let kind = self.delivery.as_ref().map_or("none", |it| it.kind());
        let state = self.lock();
        OutboxMetrics {
            kind,
            waiting: state.waiting,
            capacity: self.capacity,
            delivered: state.delivered,
            failed: state.failed,
            refused: state.refused,
        }
    }

    fn take_place(self: &Arc<Self>, is_unverified: bool) -> Result<Place, Refused> {
        let mut state = self.lock();
        let is_full = state.waiting >= self.capacity
            || is_unverified && state.unverified >= half(self.capacity);
        if is_full {
            state.refused += 1;
            return Err(Refused::Full);
        }
        state.waiting += 1;
        state.unverified += usize::from(is_unverified);
        Ok(Place {
            outbox: Arc::clone(self),
            is_unverified,
        })
    }

    /// Tries until it is delivered, or no further try is worth while.
    async fn deliver(&self, delivery: &dyn Delivery, message: &Message) -> bool {
        let attempts = match message.kind.has_verified_address() {
            true => self.attempts,
            false => self.attempts.min(self.unverified_attempts),
        };
        let mut pause = BACKOFF;
        let mut attempt = 1;
        loop {
            let Err(error) = self.attempt(delivery, message).await else {
                return true;
            };
            if attempt >= attempts || matches!(error, DeliveryError::Permanent(_)) {
                let (kind, user_id) = (message.kind.name(), &message.user_id);
                error!(kind, user_id, attempt, %error, "a message was given up");
                return false;
            }
            debug!(attempt, %error, "a message is not delivered yet");
            sleep(pause).await;
            pause = pause.saturating_mul(2);
            attempt += 1;
        }
    }

    /// Tries once, when it is its turn.
    async fn attempt(
        &self,
        delivery: &dyn Delivery,
        message: &Message,
    ) -> Result<(), DeliveryError> {
        // Held to the end of the try and no longer. Nobody closes a semaphore.
        let _turn = self
            .turn(message)
            .await
            .map_err(|error| DeliveryError::Permanent(error.to_string()))?;
        timeout(self.timeout, delivery.deliver(message))
            .await
            .unwrap_or_else(|_| Err(DeliveryError::Temporary("it took too long".to_owned())))
    }

    /// Waits for a turn. Who may have fewer waits for one of those first, and does
    /// not keep others from theirs meanwhile.
    async fn turn(
        &self,
        message: &Message,
    ) -> Result<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>), AcquireError> {
        let unverified = match message.kind.has_verified_address() {
            true => None,
            false => Some(self.unverified_tries.acquire().await?),
        };
        Ok((unverified, self.tries.acquire().await?))
    }

    fn count(&self, delivered: bool) {
        let mut state = self.lock();
        match delivered {
            true => state.delivered += 1,
            false => state.failed += 1,
        }
    }

    /// The state is whole between any two statements.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What messages to addresses that nobody has verified may have of so much.
fn half(of: usize) -> usize {
    (of / 2).max(1)
}

/// The place of one message in the queue; free again when it is dropped, be it
/// because the runtime ended under it.
struct Place {
    outbox: Arc<Outbox>,
    is_unverified: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.outbox.lock();
        state.waiting -= 1;
        state.unverified -= usize::from(self.is_unverified);
        drop(state);
        self.outbox.idle.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;
    use crate::delivery::MessageKind;

    /// Longer than anything here takes.
    const BOUND: Duration = Duration::from_secs(60);

    /// Refuses or stalls what is for some, takes the rest, and tells of each try.
    struct Fake {
        tries: UnboundedSender<String>,
    }

    #[async_trait]
    impl Delivery for Fake {
        fn kind(&self) -> &'static str {
            "fake"
        }

        async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
            let _ = self.tries.send(message.to.clone());
            match message.to.as_str() {
                "refused@example.com" => Err(DeliveryError::Temporary("not now".to_owned())),
                "stalled@example.com" => std::future::pending().await,
                _ => Ok(()),
            }
        }
    }

    fn outbox(limits: Limits) -> (Arc<Outbox>, UnboundedReceiver<String>) {
        let (sender, tries) = unbounded_channel();
        let delivery = Arc::new(Fake { tries: sender });
        let limits = Limits {
            delivery_timeout: Duration::MAX,
            ..limits
        };
        (Outbox::new(Some(delivery), &limits), tries)
    }

    fn message(kind: MessageKind, to: &str) -> Message {
        Message {
            id: "1".to_owned(),
            kind,
            to: format!("{to}@example.com"),
            username: "alice".to_owned(),
            user_id: "2".to_owned(),
            code: None,
            expires_at: None,
        }
    }

    async fn next(tries: &mut UnboundedReceiver<String>) -> String {
        let next = timeout(BOUND, tries.recv()).await;
        next.expect("another try comes").unwrap()
    }

    #[tokio::test]
    async fn messages_to_addresses_that_nobody_has_verified_get_few_tries() {
        use MessageKind::{EmailChange, EmailVerification, PasswordReset};
        let limits = Limits {
            delivery_attempts: 4,
            ..Limits::default()
        };
        for (kind, expected) in [(EmailVerification, 3), (EmailChange, 3), (PasswordReset, 4)] {
            let (outbox, mut tries) = outbox(limits.clone());
            outbox.enqueue(message(kind, "refused")).unwrap();
            outbox.drain(BOUND).await;
            let mut seen = 0;
            while tries.try_recv().is_ok() {
                seen += 1;
            }
            assert_eq!(seen, expected, "{kind:?}");
            assert_eq!((outbox.metrics().failed, outbox.metrics().waiting), (1, 0));
        }
    }

    #[tokio::test]
    async fn messages_to_addresses_that_nobody_has_verified_leave_half_of_the_queue() {
        use MessageKind::{EmailChange, EmailVerification, PasswordChanged, PasswordReset};
        let (outbox, _tries) = outbox(Limits {
            delivery_queue: 4,
            ..Limits::default()
        });
        let add = |kind| outbox.enqueue(message(kind, "stalled"));
        assert_eq!(add(EmailVerification), Ok(()));
        assert_eq!(add(EmailChange), Ok(()));
        assert_eq!(add(EmailVerification), Err(Refused::Full));
        assert_eq!(add(EmailChange), Err(Refused::Full));
        assert_eq!(add(PasswordReset), Ok(()));
        assert_eq!(add(PasswordChanged), Ok(()));
        assert_eq!(add(PasswordReset), Err(Refused::Full));
        assert_eq!((outbox.metrics().waiting, outbox.metrics().refused), (4, 3));
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_message_is_done() {
        let (outbox, _tries) = outbox(Limits {
            delivery_queue: 2,
            ..Limits::default()
        });
        for to in ["taken", "refused", "taken"] {
            let message = message(MessageKind::EmailVerification, to);
            assert_eq!(outbox.enqueue(message), Ok(()), "{to}");
            outbox.drain(BOUND).await;
        }
        let metrics = outbox.metrics();
        assert_eq!((metrics.delivered, metrics.failed), (2, 1));
    }

    #[tokio::test]
    async fn tries_that_stall_leave_some_for_addresses_that_are_verified() {
        let (outbox, mut tries) = outbox(Limits::default());
        for _ in 0..8 {
            let stalled = message(MessageKind::EmailVerification, "stalled");
            outbox.enqueue(stalled).unwrap();
        }
        let reset = message(MessageKind::PasswordReset, "taken");
        outbox.enqueue(reset).unwrap();
        while next(&mut tries).await != "taken@example.com" {}
    }

    #[tokio::test]
    async fn no_more_are_tried_at_one_time_than_may_be() {
        let (outbox, mut tries) = outbox(Limits {
            delivery_workers: 2,
            ..Limits::default()
        });
        let add = |to: &str| outbox.enqueue(message(MessageKind::PasswordReset, to));
        add("stalled").unwrap();
        for _ in 0..3 {
            add("taken").unwrap();
        }
        // One by one, beside the one that stalls.
        for _ in 0..4 {
            next(&mut tries).await;
        }
        add("stalled").unwrap();
        next(&mut tries).await;
        add("taken").unwrap();
        // All that can go on has done so when a task that came later has.
        tokio::spawn(async {}).await.unwrap();
        assert!(tries.try_recv().is_err());
        assert_eq!(outbox.metrics().waiting, 3);
    }

    #[test]
    fn what_ends_with_its_runtime_leaves_its_place() {
        let (outbox, _tries) = outbox(Limits::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let stalled = message(MessageKind::EmailChange, "stalled");
            outbox.enqueue(stalled).unwrap();
        });
        drop(runtime);
        assert_eq!(outbox.metrics().waiting, 0);
    }
}
