//! The threads of a store: they own its connections, so that no runtime thread ever blocks, and
//! whoever closes the store waits for them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use guildhall_core::{SnapshotEnded, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::connection::lock;
use crate::error::{Closed, NoAnswer};

/// How long whoever drops the last handle of a store waits for its threads. What they were sent is
/// done by then, unless it is a read or a batch without end; a commit and a checkpoint take
/// milliseconds, a log of 64 MiB below a second.
const DROP_PATIENCE: Duration = Duration::from_secs(5);

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

    /// Stops every thread once it has done what it was sent before, and waits for them. Nobody can
    /// start one afterwards.
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

    /// Refuses where the store was closed.
    pub(crate) fn check_open(&self, doing: &'static str) -> Result<(), StoreError> {
        if self.is_closed() { Err(StoreError::permanent(doing, Closed)) } else { Ok(()) }
    }

    fn is_closed(&self) -> bool {
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
            tracing::warn!("a thread of a dropped store is still at work; it goes on alone");
        }
    }
}

impl Roll {
    /// Waits until every thread but this one has ended, and answers whether they have.
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

enum Job<S> {
    Run(Box<dyn FnOnce(&mut S) + Send>),
    Stop,
}

impl<S> From<Stop> for Job<S> {
    fn from(_: Stop) -> Self {
        Self::Stop
    }
}

/// Threads that own a state each (a connection, and what goes with it) and run what they are sent,
/// in order where there is one of them.
///
/// They end when the last clone is dropped, or the store closed, and what was sent is done.
pub(crate) struct Workers<S> {
    jobs: mpsc::Sender<Job<S>>,
    /// When they end by themselves, if ever.
    until: Option<Instant>,
    // After the sender: the last one to drop the crew waits for the threads.
    crew: Arc<Crew>,
}

impl<S> Clone for Workers<S> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), until: self.until, crew: Arc::clone(&self.crew) }
    }
}

impl<S> fmt::Debug for Workers<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Workers").finish_non_exhaustive()
    }
}

impl<S: Send + 'static> Workers<S> {
    /// How many jobs may wait before a caller does.
    const QUEUED_JOBS: usize = 64;

    /// A thread for each state.
    pub(crate) fn spawn(crew: &Arc<Crew>, name: &str, states: Vec<S>) -> Result<Self, StoreError> {
        Self::start(crew, name, states, None)
    }

    /// A thread that lets go of its state at `until`, or when the last clone is dropped. What it is
    /// sent afterwards fails with [`SnapshotEnded`].
    pub(crate) fn spawn_until(
        crew: &Arc<Crew>,
        name: &str,
        state: S,
        until: Instant,
    ) -> Result<Self, StoreError> {
        Self::start(crew, name, vec![state], Some(until))
    }

    fn start(
        crew: &Arc<Crew>,
        name: &str,
        states: Vec<S>,
        until: Option<Instant>,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel::<Job<S>>(Self::QUEUED_JOBS);
        let queue = Arc::new(Mutex::new(queue));
        for mut state in states {
            let queue = Arc::clone(&queue);
            crew.start(name, jobs.downgrade(), move || {
                loop {
                    let job = receive(&mut lock(&queue), until);
                    match job {
                        // A panic in a job is its caller's error, not the end of everyone's store.
                        // Its transaction was rolled back as it unwound.
                        Some(Job::Run(job)) => {
                            if catch_unwind(AssertUnwindSafe(|| job(&mut state))).is_err() {
                                tracing::error!("work on a database connection panicked");
                            }
                        }
                        Some(Job::Stop) => lock(&queue).close(),
                        None => return state,
                    }
                }
            })?;
        }
        Ok(Self { jobs, until, crew: Arc::clone(crew) })
    }

    /// The threads that these are of.
    pub(crate) fn crew(&self) -> &Arc<Crew> {
        &self.crew
    }

    /// Runs `work` with one of the states and answers what it answers.
    ///
    /// # Cancel safety
    /// Dropped before the work began, it is not done; afterwards it is done to its end.
    pub(crate) async fn run<T, E, F>(&self, doing: &'static str, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut S) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |state: &mut S| {
            if !answer.is_closed() {
                // A caller that has gone meanwhile wants no answer.
                let _ = answer.send(work(state));
            }
        });
        let no_answer = || {
            let has_ended = self.until.is_some_and(|until| until <= Instant::now());
            E::from(match has_ended && !self.crew.is_closed() {
                true => StoreError::transient(doing, SnapshotEnded),
                false => self.crew.no_answer(doing),
            })
        };
        self.jobs.send(Job::Run(job)).await.map_err(|_| no_answer())?;
        answered.await.map_err(|_| no_answer())?
    }
}

/// The next of a queue, waited for until then at most; nothing where there will be none.
fn receive<M>(queue: &mut mpsc::Receiver<M>, until: Option<Instant>) -> Option<M> {
    let Some(until) = until else { return queue.blocking_recv() };
    let waker = Waker::from(Arc::new(Unparks(thread::current())));
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        match queue.poll_recv(&mut Context::from_waker(&waker)) {
            Poll::Ready(next) => return next,
            Poll::Pending => thread::park_timeout(left),
        }
    }
}

/// Wakes a thread that is parked.
struct Unparks(Thread);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs blocking work on a thread of its own, which nobody joins.
pub(crate) async fn run_blocking<T, E>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<Result<T, E>, StoreError>
where
    T: Send + 'static,
    E: Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let body = move || {
        // A caller that has gone meanwhile wants no answer.
        let _ = answer.send(work());
    };
    thread::Builder::new()
        .name("guildhall-open".to_owned())
        .spawn(body)
        .map_err(|error| StoreError::transient("starting a thread", error))?;
    answered.await.map_err(|_| StoreError::permanent(doing, NoAnswer))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::sync::mpsc as std_mpsc;

    use super::*;

    fn workers<S: Send + 'static>(state: S) -> Workers<S> {
        Workers::spawn(&Arc::new(Crew::default()), "test", vec![state]).unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_its_callers_error_and_the_thread_goes_on() {
        let workers = workers(());
        let panicked: Result<(), StoreError> =
            workers.run("panicking", |()| panic!("on purpose")).await;
        assert!(!panicked.unwrap_err().is_transient());
        let answer: Result<u32, StoreError> = workers.run("answering", |()| Ok(7)).await;
        assert_eq!(answer.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_was_sent_before_the_last_handle_is_dropped_is_still_answered() {
        let workers = workers(());
        let (begin, begun) = std_mpsc::channel::<()>();
        let first = tokio::spawn({
            let workers = workers.clone();
            async move {
                workers.run("waiting", move |()| Ok::<_, StoreError>(begun.recv().is_ok())).await
            }
        });
        let second = tokio::spawn({
            let workers = workers.clone();
            async move { workers.run("answering", |()| Ok::<_, StoreError>(true)).await }
        });
        drop(workers);
        tokio::task::yield_now().await;
        begin.send(()).unwrap();
        assert!(first.await.unwrap().unwrap() && second.await.unwrap().unwrap());
    }

    /// Says that it is gone.
    struct State(std_mpsc::Sender<()>);

    impl Drop for State {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    #[test]
    fn the_last_handle_waits_until_the_threads_have_let_go() {
        let (gone, is_gone) = std_mpsc::channel();
        let workers = workers(State(gone));
        let other = workers.clone();
        drop(workers);
        assert!(is_gone.try_recv().is_err());
        drop(other);
        is_gone.try_recv().unwrap();
    }

    #[tokio::test]
    async fn a_thread_that_drops_the_last_handle_does_not_wait_for_itself() {
        // As a read model that owns a handle of its store.
        struct Owner(Option<Workers<Owner>>);
        let workers = workers(Owner(None));
        let own = workers.clone();
        let give = move |state: &mut Owner| {
            state.0 = Some(own);
            Ok::<_, StoreError>(())
        };
        workers.run("giving", give).await.unwrap();
        let (begin, begun) = std_mpsc::channel::<()>();
        let (done, is_done) = std_mpsc::channel();
        let take = move |state: &mut Owner| {
            begun.recv().unwrap();
            let dropped = Instant::now();
            state.0 = None;
            done.send(dropped.elapsed()).unwrap();
        };
        workers.jobs.send(Job::Run(Box::new(take))).await.unwrap_or_else(|_| panic!("it is gone"));
        drop(workers);
        begin.send(()).unwrap();
        assert!(is_done.recv().unwrap() < DROP_PATIENCE);
    }

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
            let (jobs, _queue) = mpsc::channel::<Job<()>>(1);
            let asking = Asking(Arc::clone(&crew));
            let builder = thread::Builder::new().stack_size(1 << 47);
            let started = crew.start_as(builder, jobs.downgrade(), move || drop(asking));
            let is_idle = crew.roll.wait(Some(Duration::ZERO));
            done.send((started.map_err(|error| error.is_transient()), is_idle)).unwrap();
        });
        assert_eq!(is_done.recv_timeout(DROP_PATIENCE).unwrap(), (Err(true), true));
    }

    #[tokio::test]
    async fn closing_does_what_was_sent_and_refuses_what_comes_after() {
        let (gone, is_gone) = std_mpsc::channel();
        let workers = workers(State(gone));
        let crew = Arc::clone(workers.crew());
        let sent = workers.run("answering", |_| Ok::<_, StoreError>(7));
        let (sent, closed) = tokio::join!(sent, crew.close());
        assert_eq!(sent.unwrap(), 7);
        closed.unwrap();
        is_gone.try_recv().unwrap();
        let late = workers.run("answering", |_| Ok::<_, StoreError>(7)).await.unwrap_err();
        assert_eq!(late.source.to_string(), Closed.to_string());
        assert!(Workers::spawn(&crew, "test", vec![()]).is_err());
        crew.close().await.unwrap();
    }
}
