//! The queue of messages, and the tasks that deliver them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, Notify, Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use super::{Delivery, DeliveryError, Message};
use crate::limits::Limits;

/// Delay of the second attempt after the first one failed; it doubles with each further
/// attempt.
const BACKOFF: Duration = Duration::from_millis(250);

/// The queue. Each message has a task of its own, so that none waits for the retries of
/// another; only the number of concurrent attempts is limited.
///
/// Anyone can have messages sent to addresses that belong to others or do not exist. So
/// messages to unverified addresses get half of the capacity: of the places in the
/// queue, and of the concurrent attempts.
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

/// The state of the queue at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutboxMetrics {
    pub(crate) kind: &'static str,
    /// Number of messages that wait or are being delivered.
    pub(crate) waiting: usize,
    pub(crate) capacity: usize,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
}

/// Reasons why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is full.
    Full,
    /// The message exceeds the size limit, which is the number.
    TooLarge(usize),
    /// The recipient is not a single address in the form of the contract.
    NoAddress,
    /// No way of delivery is configured.
    NoDelivery,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the queue of messages is full"),
            Self::TooLarge(limit) => write!(f, "a message may have at most {limit} bytes"),
            Self::NoAddress => f.write_str("a message must have one address, in printable ASCII"),
            Self::NoDelivery => f.write_str("delivery of messages is not configured"),
        }
    }
}

#[derive(Default)]
struct State {
    waiting: usize,
    /// Number of these to unverified addresses.
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

    /// Queues a message for delivery in the background. Must be called on a tokio
    /// runtime; the message is lost when that ends. Whatever the delivery, this takes a
    /// few microseconds.
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
        let permit = self.acquire_permit(!message.kind.has_verified_address())?;
        tokio::spawn(async move {
            let delivered = permit.outbox.deliver(&*delivery, &message).await;
            permit.outbox.count(delivered);
        });
        Ok(())
    }

    /// Waits until all messages are delivered or given up, for at most `patience`.
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
            warn!(lost, "messages to account owners were lost");
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

    fn acquire_permit(self: &Arc<Self>, is_unverified: bool) -> Result<QueuePermit, Refused> {
        let mut state = self.lock();
        let is_full = state.waiting >= self.capacity
            || is_unverified && state.unverified >= half(self.capacity);
        if is_full {
            state.refused += 1;
            return Err(Refused::Full);
        }
        state.waiting += 1;
        state.unverified += usize::from(is_unverified);
        Ok(QueuePermit {
            outbox: Arc::clone(self),
            is_unverified,
        })
    }

    /// Attempts delivery until it succeeds or a retry is not worthwhile.
    async fn deliver(&self, delivery: &dyn Delivery, message: &Message) -> bool {
        let attempts = if message.kind.has_verified_address() {
            self.attempts
        } else {
            self.attempts.min(self.unverified_attempts)
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

    /// Makes one attempt, once a slot is free.
    async fn attempt(
        &self,
        delivery: &dyn Delivery,
        message: &Message,
    ) -> Result<(), DeliveryError> {
        // Held until the end of the attempt only. The semaphore is never closed.
        let _turn = self
            .turn(message)
            .await
            .map_err(|error| DeliveryError::Permanent(error.to_string()))?;
        timeout(self.timeout, delivery.deliver(message))
            .await
            .unwrap_or_else(|_| Err(DeliveryError::Temporary("it took too long".to_owned())))
    }

    /// Waits for a slot. Unverified addresses first wait for one of their own slots,
    /// and do not block others meanwhile.
    async fn turn(
        &self,
        message: &Message,
    ) -> Result<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>), AcquireError> {
        let unverified = if message.kind.has_verified_address() {
            None
        } else {
            Some(self.unverified_tries.acquire().await?)
        };
        Ok((unverified, self.tries.acquire().await?))
    }

    fn count(&self, delivered: bool) {
        let mut state = self.lock();
        if delivered {
            state.delivered += 1
        } else {
            state.failed += 1
        }
    }

    /// The state is consistent between any two statements.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the share of messages to unverified addresses.
fn half(of: usize) -> usize {
    (of / 2).max(1)
}

/// The place of one message in the queue, released on drop, also when the runtime ends.
struct QueuePermit {
    outbox: Arc<Outbox>,
    is_unverified: bool,
}

impl Drop for QueuePermit {
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

    /// Longer than anything in these tests takes.
    const BOUND: Duration = Duration::from_secs(60);

    /// Rejects or stalls messages to some addresses, accepts the others, and reports
    /// each attempt.
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
            link: None,
        }
    }

    async fn next(tries: &mut UnboundedReceiver<String>) -> String {
        let next = timeout(BOUND, tries.recv()).await;
        next.expect("another attempt was expected").unwrap()
    }

    #[tokio::test]
    async fn messages_to_unverified_addresses_get_few_attempts() {
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
    async fn messages_to_unverified_addresses_leave_half_of_the_queue() {
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
    async fn a_finished_message_releases_its_place() {
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
    async fn stalled_attempts_leave_slots_for_verified_addresses() {
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
    async fn concurrent_attempts_are_limited() {
        let (outbox, mut tries) = outbox(Limits {
            delivery_workers: 2,
            ..Limits::default()
        });
        let add = |to: &str| outbox.enqueue(message(MessageKind::PasswordReset, to));
        add("stalled").unwrap();
        for _ in 0..3 {
            add("taken").unwrap();
        }
        // One at a time, beside the one that stalls.
        for _ in 0..4 {
            next(&mut tries).await;
        }
        add("stalled").unwrap();
        next(&mut tries).await;
        add("taken").unwrap();
        // A task that was spawned later has run, so all that can proceed have done so.
        tokio::spawn(async {}).await.unwrap();
        assert!(tries.try_recv().is_err());
        assert_eq!(outbox.metrics().waiting, 3);
    }

    #[test]
    fn a_message_lost_with_its_runtime_releases_its_place() {
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
