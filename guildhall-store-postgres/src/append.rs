//! Group commit: one task that appends for every caller of this process.
//!
//! Dense order lets one transaction at a time into the log, so what waits while one commits goes
//! into the next together and shares its sync. As long as no other process appends, the task knows
//! what the log holds from its own last commit, and a group costs one statement; the head row tells
//! it when that is no longer so, and then it takes its turn: locks the row, looks and appends.

mod committer;

use std::sync::Arc;

use guildhall_core::store::Seen;
use guildhall_core::{
    Append, AppendError, Appended, Entry, LeafHash, Origin, Position, StoreError,
};
use tokio::sync::{mpsc, oneshot};

use crate::database::Database;
use crate::entries::Failure;
use crate::error::NoAnswer;
use crate::options::PostgresOptions;
use crate::watch::Signal;
use committer::Committer;

const DOING: &str = "appending to the Chronicle";

/// Hands appends to the task that commits them, which ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Appender {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
enum Request {
    Append { append: Append, answer: oneshot::Sender<Result<Vec<Appended>, AppendError>> },
    FixOrigin { origin: Origin, answer: oneshot::Sender<Result<Origin, StoreError>> },
}

impl Appender {
    /// How many requests may wait before a caller does.
    const QUEUED_REQUESTS: usize = 256;

    /// Starts the task.
    pub(crate) fn start(
        database: &Database,
        signal: &Arc<Signal>,
        seen: &Arc<Seen>,
        options: &PostgresOptions,
    ) -> Self {
        let (requests, queue) = mpsc::channel(Self::QUEUED_REQUESTS);
        let committer = Committer::new(database, signal, seen, queue, options);
        tokio::spawn(committer.run());
        Self { requests }
    }

    /// See [`Chronicle::append`](guildhall_core::Chronicle::append).
    pub(crate) async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Append { append, answer }).await?;
        answered.await.map_err(|_| no_answer())?
    }

    /// See [`Chronicle::fix_origin`](guildhall_core::Chronicle::fix_origin).
    pub(crate) async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::FixOrigin { origin, answer }).await?;
        answered.await.map_err(|_| no_answer())?
    }

    async fn send(&self, request: Request) -> Result<(), StoreError> {
        self.requests.send(request).await.map_err(|_| no_answer())
    }
}

fn no_answer() -> StoreError {
    StoreError::permanent(DOING, NoAnswer)
}

impl Request {
    /// How many entries and bytes it puts into a transaction.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Append { append, .. } => {
                let bytes = append.entries.iter().map(|entry| entry.payload.as_str().len()).sum();
                (append.entries.len(), bytes)
            }
            Self::FixOrigin { .. } => (0, 0),
        }
    }

    /// Whether nobody waits for its answer any more.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Append { answer, .. } => answer.is_closed(),
            Self::FixOrigin { answer, .. } => answer.is_closed(),
        }
    }

    /// The name that it wants the Chronicle to have.
    fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Append { .. } => None,
            Self::FixOrigin { origin, .. } => Some(origin),
        }
    }

    /// Answers what was committed. A caller that has gone meanwhile wants no answer.
    fn answer(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Append { answer, .. }, Outcome::Append(outcome)) => drop(answer.send(outcome)),
            (Self::FixOrigin { answer, .. }, Outcome::Origin(origin)) => {
                drop(answer.send(Ok(origin)));
            }
            // Outcomes are in the order of their requests.
            (Self::Append { .. }, Outcome::Origin(_))
            | (Self::FixOrigin { .. }, Outcome::Append(_)) => {}
        }
    }

    fn fail(self, failure: &Failure) {
        match self {
            Self::Append { answer, .. } => drop(answer.send(Err(failure.to_error(DOING).into()))),
            Self::FixOrigin { answer, .. } => drop(answer.send(Err(failure.to_error(DOING)))),
        }
    }
}

/// An answer that is true once the transaction is committed.
#[derive(Debug)]
enum Outcome {
    Append(Result<Vec<Appended>, AppendError>),
    Origin(Origin),
}

/// A group, judged against a state of the log.
#[derive(Debug)]
struct Judged {
    /// Where the log ended.
    head: Position,
    /// What to add to it.
    entries: Vec<Entry>,
    /// What to answer to each request then.
    outcomes: Vec<Outcome>,
}

impl Judged {
    /// The last of the entries, by which the log shows whether they are there.
    fn last(&self) -> Option<(Position, LeafHash)> {
        self.entries.last().map(|entry| (entry.position, entry.leaf_hash))
    }

    /// Whether it acknowledges anything as recorded.
    fn acknowledges(&self) -> bool {
        self.outcomes.iter().any(|outcome| match outcome {
            Outcome::Append(Ok(answers)) => !answers.is_empty(),
            Outcome::Append(Err(_)) => false,
            Outcome::Origin(_) => true,
        })
    }

    /// Whether an append repeats what was recorded before.
    fn has_repeats(&self) -> bool {
        self.outcomes.iter().any(|outcome| match outcome {
            Outcome::Append(Ok(answers)) => answers.iter().any(|answer| answer.was_recorded),
            Outcome::Append(Err(AppendError::IdReused { .. })) => true,
            Outcome::Append(Err(_)) | Outcome::Origin(_) => false,
        })
    }
}
