//! Tasks that append at the same time.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::Barrier;

use crate::machine::peak_bytes;
use crate::rounds::Turn;

/// How many tasks append at the same time.
pub const TASKS: [usize; 3] = [1, 8, 32];

/// How long a turn appends.
pub const TURN: Duration = Duration::from_secs(2);

/// A way to append, and how many tasks go it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appending<W> {
    /// The way.
    pub way: W,
    /// How many tasks append at the same time.
    pub tasks: usize,
}

impl<W: Copy + fmt::Display> Appending<W> {
    /// Each of these ways, with each number of tasks.
    pub fn all(ways: &[W]) -> Vec<Self> {
        ways.iter().flat_map(|&way| TASKS.map(|tasks| Self { way, tasks })).collect()
    }

    /// The one of this name among them.
    ///
    /// # Errors
    /// Where there is none.
    pub fn named(name: &str, ways: &[W]) -> anyhow::Result<Self> {
        let known = Self::all(ways).into_iter().find(|known| known.to_string() == name);
        known.with_context(|| format!("{name:?} is not a way to append"))
    }
}

impl<W: fmt::Display> fmt::Display for Appending<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.way, self.tasks)
    }
}

/// A task's own way to append.
pub trait Appender: Send + 'static {
    /// What it appends.
    type Event: Send;

    /// Appends one event. Returned means durable.
    fn append(&mut self, event: Self::Event) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Lets each append a log of its own, one event after the other, until the time is over or one of
/// the logs is.
///
/// # Errors
/// Where a log is empty, or an append fails.
pub async fn append<A: Appender>(
    tasks: impl IntoIterator<Item = (A, impl Iterator<Item = A::Event> + Send + 'static)>,
    time: Duration,
) -> anyhow::Result<Turn> {
    let tasks: Vec<_> = tasks.into_iter().collect();
    let start = Arc::new(Barrier::new(tasks.len() + 1));
    let tasks: Vec<_> = tasks
        .into_iter()
        .map(|(mut appender, mut log)| {
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                // The first connects, or prepares the statement.
                let first = match log.next() {
                    Some(event) => appender.append(event).await,
                    None => Err(anyhow::anyhow!("a log is empty")),
                };
                // All of them arrive here, or the others would wait for ever.
                start.wait().await;
                first?;
                let began = Instant::now();
                let mut appended = 0_u32;
                for event in log {
                    appender.append(event).await?;
                    appended += 1;
                    if began.elapsed() >= time {
                        break;
                    }
                }
                anyhow::Ok(appended)
            })
        })
        .collect();
    start.wait().await;
    let began = Instant::now();
    let mut appended = 0;
    for task in tasks {
        appended += task.await.context("a task panicked")??;
    }
    Ok(turn(appended, began.elapsed()))
}

/// A turn that appended so many.
pub fn turn(appended: u32, elapsed: Duration) -> Turn {
    let rate = f64::from(appended) / elapsed.as_secs_f64();
    Turn { rate, peak_bytes: peak_bytes(), digest: None, latency: None }
}
