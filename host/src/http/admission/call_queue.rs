//! The line in which the calls of one source wait for a processor.
//!
//! The runtime runs tasks in the order in which they are woken. A call that has run for
//! a while wakes itself, to go on behind the others: with hundreds of calls of one source
//! in the runtime's queue, each step of what another source does would wait for a step of
//! every one of them. So only a few calls of a source stand in that queue. The others
//! stand in a line of their own, and the one in front moves up when a step ends.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// The calls of a source that are ready to run.
pub(crate) struct Line {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of calls in the runtime's queue or running.
    admitted: usize,
    waiting: VecDeque<Arc<Call>>,
}

/// A call. It is the waker of whatever the call waits for.
struct Call {
    line: Arc<Line>,
    task: AtomicWaker,
    /// Locked only while the state of the line is.
    stage: Mutex<Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It waits for an event.
    Asleep,
    /// It is ready, and stands in the line.
    Waiting,
    /// Its task was woken and stands in the runtime's queue.
    Admitted,
    Running,
    /// It runs, and was woken in the meantime.
    RunningAndWoken,
    Over,
}

impl Line {
    /// Admits at most this number of calls at once.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            state: Mutex::default(),
        }
    }

    /// Runs a call, each step when its turn comes.
    pub(crate) async fn run<F: Future>(self: &Arc<Self>, call: F) -> F::Output {
        let place = Place(Arc::new(Call {
            line: Arc::clone(self),
            task: AtomicWaker::new(),
            stage: Mutex::new(Stage::Asleep),
        }));
        let waker = Waker::from(Arc::clone(&place.0));
        waker.wake_by_ref();
        let mut call = pin!(call);
        poll_fn(move |cx| {
            place.0.task.register(cx.waker());
            if !place.begin_step() {
                return Poll::Pending;
            }
            let polled = call.as_mut().poll(&mut Context::from_waker(&waker));
            place.end_step(polled.is_ready());
            polled
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Ends a step, and returns the call that may begin the next one.
    fn follow(&mut self) -> Option<Arc<Call>> {
        self.admitted -= 1;
        while let Some(next) = self.waiting.pop_front() {
            let stage = &mut *lock(&next.stage);
            // Any other stage belongs to a call that was dropped.
            if *stage == Stage::Waiting {
                *stage = Stage::Admitted;
                self.admitted += 1;
                return Some(Arc::clone(&next));
            }
        }
        None
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        let is_admitted = {
            let mut line = self.line.lock();
            let stage = &mut *lock(&self.stage);
            match *stage {
                Stage::Asleep if line.admitted < self.line.most => {
                    line.admitted += 1;
                    *stage = Stage::Admitted;
                }
                Stage::Asleep => {
                    *stage = Stage::Waiting;
                    line.waiting.push_back(Arc::clone(&self));
                }
                Stage::Running => *stage = Stage::RunningAndWoken,
                Stage::Waiting | Stage::Admitted | Stage::RunningAndWoken | Stage::Over => return,
            }
            *stage == Stage::Admitted
        };
        if is_admitted {
            self.task.wake();
        }
    }
}

/// The place of a call in the line, released on drop.
struct Place(Arc<Call>);

impl Place {
    /// Begins a step if the call was admitted, and returns whether it was.
    fn begin_step(&self) -> bool {
        let Self(call) = self;
        let _line = call.line.lock();
        let stage = &mut *lock(&call.stage);
        let is_admitted = *stage == Stage::Admitted;
        if is_admitted {
            *stage = Stage::Running;
        }
        is_admitted
    }

    fn end_step(&self, is_over: bool) {
        let Self(call) = self;
        let next = {
            let mut line = call.line.lock();
            {
                let stage = &mut *lock(&call.stage);
                *stage = match *stage {
                    _ if is_over => Stage::Over,
                    Stage::RunningAndWoken => {
                        line.waiting.push_back(Arc::clone(call));
                        Stage::Waiting
                    }
                    _ => Stage::Asleep,
                };
            }
            line.follow()
        };
        if let Some(next) = next {
            next.task.wake();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(call) = self;
        let next = {
            let mut line = call.line.lock();
            let held = std::mem::replace(&mut *lock(&call.stage), Stage::Over);
            match held {
                Stage::Admitted | Stage::Running | Stage::RunningAndWoken => line.follow(),
                Stage::Asleep | Stage::Waiting | Stage::Over => None,
            }
        };
        if let Some(next) = next {
            next.task.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can panic between two changes.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    /// Wakes itself and ends its step, as a component does that has run for a while.
    async fn end_step() {
        let mut is_over = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut is_over, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn steps(line: &Arc<Line>, name: u8, log: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
        let (line, log) = (Arc::clone(line), Arc::clone(log));
        tokio::spawn(async move {
            let call = async {
                for _ in 0..3 {
                    log.lock().unwrap().push(name);
                    end_step().await;
                }
            };
            line.run(call).await;
        })
    }

    #[tokio::test]
    async fn another_source_waits_for_few_of_many_calls() {
        let (line, other) = (Arc::new(Line::new(4)), Arc::new(Line::new(4)));
        let log = Arc::default();
        let mut calls: Vec<_> = (0..200).map(|_| steps(&line, 1, &log)).collect();
        calls.push(steps(&other, 2, &log));
        for call in calls {
            call.await.unwrap();
        }
        let log = log.lock().unwrap();
        assert_eq!(log.len(), 3 * 201);
        let last = log.iter().rposition(|name| *name == 2).unwrap();
        assert!(last < 30, "{last}");
        assert_eq!(line.lock().admitted, 0);
    }

    #[tokio::test]
    async fn a_call_that_waits_for_something_else_occupies_no_place() {
        let line = Arc::new(Line::new(1));
        let (sender, receiver) = oneshot::channel::<u8>();
        let mut asleep = Box::pin(line.run(receiver));
        assert!(asleep.as_mut().now_or_never().is_none());
        assert_eq!(line.run(async { 1 }).now_or_never(), Some(1));
        sender.send(7).unwrap();
        assert_eq!(asleep.await, Ok(7));
        assert_eq!(line.lock().admitted, 0);
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_leaves_its_place_to_the_next() {
        let line = Arc::new(Line::new(1));
        let admitted = {
            let (_sender, receiver) = oneshot::channel::<u8>();
            let mut call = Box::pin(line.run(receiver));
            assert!(call.as_mut().now_or_never().is_none());
            call
        };
        // Its sender is gone: the call is woken, but does not run again.
        let mut waiting = Box::pin(line.run(async { 2 }));
        assert!(waiting.as_mut().now_or_never().is_none());
        let mut dropped = Box::pin(line.run(async { 3 }));
        assert!(dropped.as_mut().now_or_never().is_none());
        drop(dropped);
        drop(admitted);
        assert_eq!(waiting.await, 2);
        assert_eq!(line.run(async { 4 }).now_or_never(), Some(4));
        assert_eq!(line.lock().admitted, 0);
        assert!(line.lock().waiting.is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_call_comes_to_its_end_on_several_threads() {
        let line = Arc::new(Line::new(2));
        let log = Arc::default();
        let calls: Vec<_> = (0..2_000).map(|_| steps(&line, 1, &log)).collect();
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(log.lock().unwrap().len(), 6_000);
        assert_eq!(line.lock().admitted, 0);
    }
}
