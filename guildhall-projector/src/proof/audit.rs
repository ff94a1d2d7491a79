//! The audit: the log is folded again and held against the tables.

use std::sync::Arc;

use guildhall_core::fold::FoldError;
use guildhall_core::{
    ApplyError, Checkpoint, Chronicle, ContinuityError, CustodyPolicy, DecodedEntry, OPS_DB, OpsDb,
    Position, ReadLimit, Scan, StoreError, TableRow, Unchecked,
};
use guildhall_proof::audit::{AuditFinding, AuditReport, Compared, Folding, Naming};
use tokio::sync::mpsc;

use crate::continuity;
use crate::error::RuntimeError;
use crate::pipeline::ReadAhead;
use crate::settings::Settings;

/// How often the audit begins anew because the tables went back meanwhile.
const ROUNDS: u32 = 3;

/// How many reads of the tables wait for their comparison.
const SCANS_AHEAD: usize = 4;

/// Why an audit could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log could not be read.
    #[error(transparent)]
    Read(RuntimeError),
    /// Entries did not follow those before them.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The tables went back while they were read, again and again: somebody rebuilds them from a log
    /// that was restored. Try again later.
    #[error("the tables went back to position {checkpoint} while they were audited")]
    Unsteady {
        /// Where they are.
        checkpoint: Position,
    },
}

/// How far an audit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditProgress {
    /// Entries folded, and how many there are to fold.
    Folding {
        /// The last that was folded.
        position: Position,
        /// The last that will be.
        until: Position,
    },
    /// Rows compared.
    Comparing {
        /// How many.
        rows: u64,
    },
}

/// Whether the tables are what the log says: folds all entries up to the tables' checkpoint again, by the
/// policy that the projector has, and compares every row. The tables may be projected into meanwhile;
/// they are read as of one moment.
///
/// Memory is 32 bytes for each row, and what the fold holds of artifacts and targets.
///
/// # Errors
/// [`AuditError`]: nothing can be said. A log that was changed, so that it cannot be folded, is a
/// finding.
pub async fn audit(
    chronicle: Arc<dyn Chronicle>,
    ops_db: &dyn OpsDb,
    policy: &CustodyPolicy,
    settings: &Settings,
    mut progress: impl FnMut(AuditProgress) + Send,
) -> Result<AuditReport, AuditError> {
    let reading = Reading { chronicle, settings };
    let (mut until, mut history_from) = stands(ops_db).await?;
    for _ in 0..ROUNDS {
        let mut folding = Folding::new(policy, history_from);
        // Almost everything is folded before the tables are held at a moment, which costs whoever
        // writes them.
        let fault = reading.fold(&mut folding, until.position, &mut progress).await?;
        let scan = ops_db.scan().await?;
        let now = scan.checkpoint().cloned().unwrap_or(Checkpoint::ZERO);
        // A rebuild that was swapped in meanwhile has all of the history.
        if now.position < folding.position() || scan.history_from() != history_from {
            (until, history_from) = (now, scan.history_from());
            continue;
        }
        let fault = match fault {
            Some(fault) => Some(fault),
            None => reading.fold(&mut folding, now.position, &mut progress).await?,
        };
        let mut report = match fault {
            None => reading.compare(folding, scan, now.position, &mut progress).await?,
            Some(fault) => folding.unfinished(fault),
        };
        if let Some(reason) = reading.continuity(&now).await? {
            report.add(AuditFinding::Checkpoint { position: now.position, reason });
        }
        report.origin = reading.chronicle.origin().await?;
        report.checkpoint = now;
        return Ok(report);
    }
    Err(AuditError::Unsteady { checkpoint: until.position })
}

/// How far the tables are, and from where on they have their history.
async fn stands(ops_db: &dyn OpsDb) -> Result<(Checkpoint, Position), StoreError> {
    let all = ops_db.checkpoints().await?;
    let own = all.into_iter().find(|row| row.projector == OPS_DB);
    Ok(own.map_or((Checkpoint::ZERO, Position::ZERO), |row| {
        (row.checkpoint, row.history_from.unwrap_or(Position::ZERO))
    }))
}

/// What takes decoded entries, in order and without a gap.
trait Takes {
    fn position(&self) -> Position;
    fn take(&mut self, entries: Vec<DecodedEntry>) -> Result<(), FoldError>;
}

impl Takes for Folding<'_> {
    fn position(&self) -> Position {
        Self::position(self)
    }

    fn take(&mut self, entries: Vec<DecodedEntry>) -> Result<(), FoldError> {
        self.fold(entries)
    }
}

impl Takes for Naming<'_> {
    fn position(&self) -> Position {
        Self::position(self)
    }

    fn take(&mut self, entries: Vec<DecodedEntry>) -> Result<(), FoldError> {
        self.fold(entries)
    }
}

/// The log, as it is read for an audit.
struct Reading<'s> {
    chronicle: Arc<dyn Chronicle>,
    settings: &'s Settings,
}

impl Reading<'_> {
    /// Hands over the entries up to `until`, or up to where the log ends. Answers what is wrong with the
    /// log, where it cannot be read further.
    async fn fold(
        &self,
        takes: &mut (impl Takes + Send),
        until: Position,
        progress: &mut (impl FnMut(AuditProgress) + Send),
    ) -> Result<Option<String>, AuditError> {
        let end = self.chronicle.head().await?.position.min(until);
        if takes.position() >= end {
            return Ok(None);
        }
        let from = Checkpoint { position: takes.position(), ..Checkpoint::ZERO };
        let (chronicle, settings) = (Arc::clone(&self.chronicle), self.settings.clone());
        let mut ahead = ReadAhead::spawn(chronicle, from, Some(end), settings);
        loop {
            let batch = match ahead.next().await {
                Ok(Some(read)) => read.batch,
                Ok(None) => return Ok(None),
                Err(error) => return self.fault_at(takes.position(), error).await.map(Some),
            };
            let mut entries = batch.into_entries_after(takes.position());
            entries.truncate(entries.partition_point(|entry| entry.position <= end));
            takes.take(entries)?;
            progress(AuditProgress::Folding { position: takes.position(), until: end });
        }
    }

    /// What is wrong with the log after a position, where it is the log that is wrong.
    async fn fault_at(
        &self,
        position: Position,
        error: RuntimeError,
    ) -> Result<String, AuditError> {
        let RuntimeError::Store(store) = &error else { return Err(AuditError::Read(error)) };
        if let Some(fault) = store.log_fault() {
            return Ok(fault.to_string());
        }
        if store.is_transient() {
            return Err(AuditError::Read(error));
        }
        // A row that is missing or is not an entry is reported by each store in words of its own.
        let mut after = position;
        loop {
            let next = self.chronicle.read_unchecked(after, ReadLimit::entries(1_000)).await?;
            if next.is_empty() {
                return Err(AuditError::Read(error));
            }
            for found in next {
                let expected = after.next().unwrap_or(Position::MAX);
                match found {
                    _ if found.position() != expected => {
                        let found = found.position();
                        return Ok(format!(
                            "no entry stands at position {expected}; the next is at {found}"
                        ));
                    }
                    Unchecked::Unreadable { reason, .. } => return Ok(reason),
                    Unchecked::Entry(_) => after = expected,
                }
            }
        }
    }

    /// Compares the tables, and folds once more to name what differs.
    async fn compare(
        &self,
        folding: Folding<'_>,
        scan: Box<dyn Scan>,
        until: Position,
        progress: &mut (impl FnMut(AuditProgress) + Send),
    ) -> Result<AuditReport, AuditError> {
        let mut comparing = folding.compare();
        let mut compared = 0;
        let mut rows = read_ahead(scan);
        while let Some(next) = rows.recv().await {
            let next = next?;
            compared += next.len() as u64;
            comparing.rows(next);
            progress(AuditProgress::Comparing { rows: compared });
        }
        let mut naming = match comparing.finish() {
            Compared::Done(report) => return Ok(report),
            Compared::Differs(naming) => naming,
        };
        // It was read a moment ago, so what is wrong now changed since.
        match self.fold(&mut *naming, until, progress).await? {
            None => Ok(naming.finish()),
            Some(reason) => {
                let mut report = naming.finish();
                report.add(AuditFinding::Log { reason });
                Ok(report)
            }
        }
    }

    /// Why the log does not go on from the tables' checkpoint, where it does not.
    async fn continuity(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<Option<ContinuityError>, AuditError> {
        match continuity::check(&*self.chronicle, checkpoint).await {
            Ok(_) => Ok(None),
            Err(RuntimeError::Apply(ApplyError::Continuity(reason))) => Ok(Some(reason)),
            // A log that cannot be read there was found before.
            Err(RuntimeError::Store(error)) if !error.is_transient() => Ok(None),
            Err(error) => Err(AuditError::Read(error)),
        }
    }
}

/// The rows of the tables, read on a task of its own while those before are compared.
fn read_ahead(mut scan: Box<dyn Scan>) -> mpsc::Receiver<Result<Vec<TableRow>, StoreError>> {
    let (sender, rows) = mpsc::channel(SCANS_AHEAD);
    tokio::spawn(async move {
        while let Some(next) = scan.next_rows().await.transpose() {
            let is_last = next.is_err();
            if sender.send(next).await.is_err() || is_last {
                break;
            }
        }
    });
    rows
}
