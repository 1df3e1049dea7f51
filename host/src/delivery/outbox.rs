//! The queue of messages, and the tasks that work it off.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use super::{Delivery, DeliveryError, Message};
use crate::limits::Limits;

/// How long after the first try that failed comes the second; each further one
/// comes after twice as long.
const BACKOFF: Duration = Duration::from_millis(250);

/// The queue. Its tasks live for as long as there are messages.
pub(crate) struct Outbox {
    delivery: Option<Arc<dyn Delivery>>,
    state: Mutex<State>,
    idle: Notify,
    capacity: usize,
    workers: usize,
    attempts: u32,
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
    /// There is no way to deliver anything.
    NoDelivery,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the queue of messages is full",
            Self::NoDelivery => "there is no delivery of messages",
        })
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<Message>,
    at_work: usize,
    delivered: u64,
    failed: u64,
    refused: u64,
}

impl Outbox {
    pub(crate) fn new(delivery: Option<Arc<dyn Delivery>>, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            delivery,
            state: Mutex::default(),
            idle: Notify::new(),
            capacity: limits.delivery_queue,
            workers: limits.delivery_workers.max(1),
            attempts: limits.delivery_attempts.max(1),
            timeout: limits.delivery_timeout,
        })
    }

    /// Takes a message to be delivered in the background; to be called on a tokio
    /// runtime. However it is delivered, this takes some microseconds.
    pub(crate) fn enqueue(self: &Arc<Self>, message: Message) -> Result<(), Refused> {
        let mut state = self.lock();
        let refused = match &self.delivery {
            None => Some(Refused::NoDelivery),
            Some(_) if state.queue.len() + state.at_work >= self.capacity => Some(Refused::Full),
            Some(_) => None,
        };
        if let Some(refused) = refused {
            state.refused += 1;
            return Err(refused);
        }
        if state.at_work >= self.workers {
            state.queue.push_back(message);
            return Ok(());
        }
        state.at_work += 1;
        drop(state);
        let worker = Worker {
            outbox: Arc::clone(self),
            is_done: false,
        };
        tokio::spawn(async move { worker.run(message).await });
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
            waiting: state.queue.len() + state.at_work,
            capacity: self.capacity,
            delivered: state.delivered,
            failed: state.failed,
            refused: state.refused,
        }
    }

    /// Tries until it is delivered, or no further try is worth while.
    async fn deliver(&self, message: &Message) -> bool {
        let Some(delivery) = &self.delivery else {
            return false;
        };
        let mut pause = BACKOFF;
        for attempt in 1..=self.attempts {
            let delivered = timeout(self.timeout, delivery.deliver(message)).await;
            let error = match delivered {
                Ok(Ok(())) => return true,
                Ok(Err(error)) => error,
                Err(_) => DeliveryError::Temporary("it took too long".to_owned()),
            };
            let is_last = attempt == self.attempts || matches!(error, DeliveryError::Permanent(_));
            if is_last {
                let (kind, user_id) = (message.kind.name(), &message.user_id);
                error!(kind, user_id, attempt, %error, "a message was given up");
                return false;
            }
            debug!(attempt, %error, "a message is not delivered yet");
            sleep(pause).await;
            pause *= 2;
        }
        false
    }

    /// The state is whole between any two statements.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that delivers messages until there are none.
struct Worker {
    outbox: Arc<Outbox>,
    is_done: bool,
}

impl Worker {
    async fn run(mut self, first: Message) {
        let outbox = Arc::clone(&self.outbox);
        let mut message = first;
        loop {
            let delivered = outbox.deliver(&message).await;
            let mut state = outbox.lock();
            match delivered {
                true => state.delivered += 1,
                false => state.failed += 1,
            }
            match state.queue.pop_front() {
                Some(next) => message = next,
                None => {
                    // Under the same lock: what comes next finds a place to work.
                    state.at_work -= 1;
                    self.is_done = true;
                    drop(state);
                    outbox.idle.notify_waiters();
                    return;
                }
            }
        }
    }
}

impl Drop for Worker {
    /// The runtime may have ended under it, and another may go on.
    fn drop(&mut self) {
        if !self.is_done {
            self.outbox.lock().at_work -= 1;
            self.outbox.idle.notify_waiters();
        }
    }
}
