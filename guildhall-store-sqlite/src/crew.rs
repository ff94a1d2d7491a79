//! The threads of a store, which closing it waits for.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use guildhall_core::StoreError;
use tokio::sync::mpsc;

use crate::connection::lock;
use crate::error::{Closed, NoAnswer};
use crate::workers::run_blocking;

/// How long dropping the last handle of a store waits for its threads. Their work is done by then,
/// unless it is an endless read or batch; a commit and a checkpoint take milliseconds, a log of
/// 64 MiB less than a second.
pub(crate) const DROP_PATIENCE: Duration = Duration::from_secs(5);

/// The threads of one store. Every handle of the store holds it, and no thread does: so the last
/// handle that is dropped waits until the threads have closed their connections.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    roll: Arc<Roll>,
}

#[derive(Debug, Default)]
struct Roll {
    entries: Mutex<Entries>,
    ended: Condvar,
    /// Connections are closed one after the other: SQLite folds the log in with the last one, and of
    /// two that are closed at once each takes the other for the last.
    closing: Mutex<()>,
}

#[derive(Default)]
struct Entries {
    is_closed: bool,
    /// How many were ever started; the next one's number.
    started: u64,
    running: Vec<Running>,
    queues: Vec<Box<dyn Queue>>,
}

/// A thread that was started, or is about to be.
#[derive(Debug)]
struct Running {
    number: u64,
    /// Which thread it is, once it runs.
    thread: Option<ThreadId>,
}

impl fmt::Debug for Entries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Entries")
            .field("is_closed", &self.is_closed)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

/// What a thread finds in its queue when the store is closed: it closes the queue, does what is
/// left in it, and ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop;

/// The queue of one thread or of several.
trait Queue: Send {
    /// Sends [`Stop`]. Blocks while the queue is full.
    fn stop(&self);
    /// Whether nobody can send to it any more.
    fn is_gone(&self) -> bool;
}

impl<M: From<Stop> + Send> Queue for mpsc::WeakSender<M> {
    fn stop(&self) {
        if let Some(sender) = self.upgrade() {
            // Refused where its threads have ended already.
            let _ = sender.blocking_send(Stop.into());
        }
    }

    fn is_gone(&self) -> bool {
        self.strong_count() == 0
    }
}

impl Crew {
    /// Starts a thread of the store's that takes from this queue, for which the weak sender stands.
    /// Its body returns what owns its connection.
    pub(crate) fn start<M: From<Stop> + Send + 'static, S>(
        &self,
        name: &str,
        queue: mpsc::WeakSender<M>,
        body: impl FnOnce() -> S + Send + 'static,
    ) -> Result<(), StoreError> {
        self.start_as(thread::Builder::new().name(name.to_owned()), queue, body)
    }

    fn start_as<M: From<Stop> + Send + 'static, S>(
        &self,
        thread: thread::Builder,
        queue: mpsc::WeakSender<M>,
        body: impl FnOnce() -> S + Send + 'static,
    ) -> Result<(), StoreError> {
        const DOING: &str = "starting a thread";
        let number = {
            let mut entries = lock(&self.roll.entries);
            if entries.is_closed {
                return Err(StoreError::permanent(DOING, Closed));
            }
            let number = entries.started;
            entries.started += 1;
            entries.running.push(Running { number, thread: None });
            entries.queues.retain(|queue| !queue.is_gone());
            entries.queues.push(Box::new(queue));
            number
        };
        // Not under the lock: a thread that does not start drops its body here, and with it what
        // may ask the crew.
        let roll = Arc::clone(&self.roll);
        let body = move || {
            let ended = Ended::here(roll, number);
            let state = body();
            let closing = lock(&ended.roll.closing);
            drop(state);
            drop(closing);
            drop(ended);
        };
        match thread.spawn(body) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.roll.strike_off(number);
                Err(StoreError::transient(DOING, error))
            }
        }
    }

    /// Stops every thread once it has done the work already sent to it, and waits for them. None can
    /// be started afterwards.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let roll = Arc::clone(&self.roll);
        let close = move || {
            let queues = {
                let mut entries = lock(&roll.entries);
                entries.is_closed = true;
                std::mem::take(&mut entries.queues)
            };
            queues.iter().for_each(|queue| queue.stop());
            roll.wait(None);
            Ok::<_, StoreError>(())
        };
        run_blocking("closing the database", close).await?
    }

    /// Fails if the store was closed.
    pub(crate) fn check_open(&self, doing: &'static str) -> Result<(), StoreError> {
        if self.is_closed() { Err(StoreError::permanent(doing, Closed)) } else { Ok(()) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.roll.entries).is_closed
    }

    /// Why a thread gave no answer.
    pub(crate) fn no_answer(&self, doing: &'static str) -> StoreError {
        if self.is_closed() {
            StoreError::permanent(doing, Closed)
        } else {
            StoreError::permanent(doing, NoAnswer)
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // The senders were dropped with the handles, so the threads are about to end.
        if !self.roll.wait(Some(DROP_PATIENCE)) {
            tracing::warn!("a thread of a dropped store is still at work; it goes on by itself");
        }
    }
}

impl Roll {
    /// Waits until every thread but this one has ended, and returns whether they have.
    fn wait(&self, patience: Option<Duration>) -> bool {
        let deadline = patience.map(|patience| Instant::now() + patience);
        // A read model that owns a handle of its store may be what drops the last one.
        let own = thread::current().id();
        let mut entries = lock(&self.entries);
        while entries.running.iter().any(|running| running.thread != Some(own)) {
            entries = match deadline {
                None => self.ended.wait(entries).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    let waited = self.ended.wait_timeout(entries, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }

    fn strike_off(&self, number: u64) {
        lock(&self.entries).running.retain(|running| running.number != number);
        self.ended.notify_all();
    }
}

/// Strikes its thread off the roll when dropped, also by a panic.
struct Ended {
    roll: Arc<Roll>,
    number: u64,
}

impl Ended {
    /// This thread is the one of this number.
    fn here(roll: Arc<Roll>, number: u64) -> Self {
        let own = thread::current().id();
        for running in &mut lock(&roll.entries).running {
            if running.number == number {
                running.thread = Some(own);
            }
        }
        Self { roll, number }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.roll.strike_off(self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::mpsc as std_mpsc;

    use super::*;

    // Elsewhere, a stack of any size may be promised.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_cannot_start_is_an_error_and_hangs_nobody() {
        /// Asks the crew when dropped, as a read model may that owns a handle of its store.
        struct Asking(Arc<Crew>);
        impl Drop for Asking {
            fn drop(&mut self) {
                self.0.is_closed();
            }
        }
        let (done, is_done) = std_mpsc::channel();
        thread::spawn(move || {
            let crew = Arc::new(Crew::default());
            let (jobs, _queue) = mpsc::channel::<Stop>(1);
            let asking = Asking(Arc::clone(&crew));
            let builder = thread::Builder::new().stack_size(1 << 47);
            let started = crew.start_as(builder, jobs.downgrade(), move || drop(asking));
            let is_idle = crew.roll.wait(Some(Duration::ZERO));
            done.send((started.map_err(|error| error.is_transient()), is_idle)).unwrap();
        });
        assert_eq!(is_done.recv_timeout(DROP_PATIENCE).unwrap(), (Err(true), true));
    }
}
