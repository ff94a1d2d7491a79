//! Threads that own the connections of a store, so that no runtime thread ever blocks.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use guildhall_core::{SnapshotEnded, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::connection::lock;
use crate::crew::{Crew, Stop};
use crate::error::NoAnswer;

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

    /// Runs `work` with one of the states and returns what it returns.
    ///
    /// # Cancel safety
    /// If dropped before the work began, it is not done; afterwards it runs to its end.
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

/// The next message of a queue, waited for until then at most; nothing when the wait or the queue is
/// over.
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
    use crate::crew::DROP_PATIENCE;
    use crate::error::Closed;

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
