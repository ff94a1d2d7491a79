//! Reading and decoding ahead, on a task of its own, while the writer writes.

use std::collections::VecDeque;
use std::sync::Arc;

use guildhall_core::store::Mark;
use guildhall_core::{
    Batch, Checkpoint, Chronicle, ContinuityError, DecodedEntry, LogFault, NotConsecutive, Origin,
    Position, ReadLimit, StoreError,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::RuntimeError;
use crate::settings::Settings;

const DOING: &str = "reading the Chronicle";

/// A batch, and where the log ended when it was read.
#[derive(Debug)]
pub(crate) struct ReadBatch {
    pub(crate) batch: Batch,
    pub(crate) head: Position,
    /// Whether another follows at once: there is a whole read's worth of entries.
    pub(crate) is_followed: bool,
}

impl ReadBatch {
    /// What ends a transaction where there is nothing more to read.
    pub(crate) fn nothing(origin: Origin) -> Result<Self, NotConsecutive> {
        let batch = Batch::new(origin, Vec::new())?;
        Ok(Self { batch, head: Position::ZERO, is_followed: false })
    }
}

/// What one read answered: the entry that ended the one before, and what follows it.
struct Chunk {
    origin: Origin,
    entries: Vec<DecodedEntry>,
    /// The first entry that the chunk before did not hold.
    first_new: usize,
    head: Position,
    is_followed: bool,
}

/// The reading side; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    chunks: mpsc::Receiver<Result<Chunk, RuntimeError>>,
    task: JoinHandle<()>,
    batch_reads: usize,
    /// Why no more can be read, while what was read before is still to be handed over.
    failure: Option<RuntimeError>,
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ReadAhead {
    /// Starts reading where a read model stands. Every read begins with the entry that ended the one
    /// before, and every batch with the entry at the checkpoint, so that both the reader and who
    /// applies see whether it is still the one it was. It goes on to `end`, or waits for more where
    /// there is none.
    pub(crate) fn spawn(
        chronicle: Arc<dyn Chronicle>,
        checkpoint: Checkpoint,
        end: Option<Position>,
        settings: Settings,
    ) -> Self {
        let (sender, chunks) = mpsc::channel(settings.batch_reads.max(1));
        let batch_reads = settings.batch_reads;
        let reader = Reader { chronicle, end, settings, sender };
        let task = tokio::spawn(async move {
            let sender = reader.sender.clone();
            if let Err(error) = reader.read(checkpoint).await {
                // A receiver that has gone wants no error either.
                let _ = sender.send(Err(error)).await;
            }
        });
        Self { chunks, task, batch_reads, failure: None }
    }

    /// The next batch: all that was read and waits, within the settings; nothing once all is read.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<ReadBatch>, RuntimeError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let Some(first) = self.chunks.recv().await else {
            // The channel closes when the task ends: as it should, or in a panic.
            return match (&mut self.task).await {
                Err(error) if error.is_panic() => Err(RuntimeError::Panicked(error)),
                _ => Ok(None),
            };
        };
        let Chunk { origin, mut entries, mut head, mut is_followed, .. } = first?;
        for _ in 1..self.batch_reads {
            match self.chunks.try_recv() {
                Ok(Ok(more)) => {
                    entries.extend(more.entries.into_iter().skip(more.first_new));
                    (head, is_followed) = (more.head, more.is_followed);
                }
                Ok(Err(failure)) => {
                    self.failure = Some(failure);
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(Some(ReadBatch { batch: Batch::new(origin, entries)?, head, is_followed }))
    }
}

struct Reader {
    chronicle: Arc<dyn Chronicle>,
    end: Option<Position>,
    settings: Settings,
    sender: mpsc::Sender<Result<Chunk, RuntimeError>>,
}

/// The first read is a sixteenth of the largest, each further one twice the one before, so that
/// the writer need not wait long for its first.
const FIRST_READ: usize = 16;

/// How many reads are under way at a time: reading and decoding an entry takes twice as long as
/// writing what it changes.
const READS: usize = 2;

/// A read under way: whether it begins with the entry that ended the one before, and where it ends
/// if the log reaches that far.
struct Read {
    entries: JoinHandle<Result<Vec<DecodedEntry>, StoreError>>,
    reaches_back: bool,
    end: Position,
}

impl Reader {
    async fn read(self, checkpoint: Checkpoint) -> Result<(), RuntimeError> {
        let mut head = self.chronicle.head().await?.position;
        let mut at = checkpoint.position;
        if head < at {
            return Err(ContinuityError::EndsBefore { head, checkpoint: at }.into());
        }
        let mut mark = checkpoint.leaf_hash.map(|leaf_hash| Mark { position: at, leaf_hash });
        let most = self.settings.read_limit();
        let mut limit = ReadLimit { entries: most.entries.div_ceil(FIRST_READ), ..most };
        let mut origin = None;
        let mut reads: VecDeque<Read> = VecDeque::new();
        let mut reads_at_once = READS;
        let mut reach_back = true;
        loop {
            // Positions are dense: where a read will end is known before it has, and the next one
            // can begin there at once.
            let mut next = reads.back().map_or(at, |read| read.end);
            while reads.is_empty() || (reads.len() < reads_at_once && next < head) {
                let read = self.start(next, limit, reach_back && next > Position::ZERO);
                next = read.end;
                reads.push_back(read);
            }
            let Some(read) = reads.pop_front() else { continue };
            let entries = read.entries.await.map_err(RuntimeError::Panicked)??;
            let first_new = usize::from(read.reaches_back);
            if read.reaches_back {
                check_first(entries.first(), mark, at, head)?;
            }
            let last = entries.get(first_new..).and_then(<[_]>::last);
            let is_any = last.is_some();
            if let Some(last) = last {
                at = last.position;
                mark = Some(Mark { position: at, leaf_hash: last.leaf_hash });
            }
            if at >= read.end {
                head = self.look(head).await?;
                limit.entries = most.entries.min(limit.entries.saturating_mul(2));
                reads_at_once = READS;
            } else {
                // It was cut short, and what was to follow does not. Where its size did that, the
                // next would be as well, so nothing is read beside it.
                reads.clear();
                reads_at_once = if at < head { 1 } else { READS };
            }
            if is_any {
                head = head.max(at);
                let origin = match &origin {
                    Some(origin) => Origin::clone(origin),
                    None => origin.insert(self.origin(at).await?).clone(),
                };
                let left =
                    self.end.map_or(head, |end| end.min(head)).get().saturating_sub(at.get());
                let is_followed = left >= most.entries as u64;
                let chunk = Chunk { origin, entries, first_new, head, is_followed };
                if self.sender.send(Ok(chunk)).await.is_err() {
                    return Ok(());
                }
            }
            // An entry that alone is as large as a read may be leaves no room for the next one.
            reach_back = is_any || at >= head || !read.reaches_back;
            let is_all = (!is_any && reach_back) || at >= head;
            if is_all && self.end.is_none_or(|end| at < end) {
                let reached = self.chronicle.wait_beyond(at, self.settings.patience).await?;
                // Whoever waits may learn of the log's end a little later than whoever looks.
                head = if reached < head { self.look(head).await? } else { reached };
            }
            if self.end.is_some_and(|end| at >= end) {
                return Ok(());
            }
        }
    }

    /// Where the log ends now, which is nowhere before `known`.
    async fn look(&self, known: Position) -> Result<Position, RuntimeError> {
        let head = self.chronicle.head().await?.position;
        check_head(known, head)?;
        Ok(head)
    }

    fn start(&self, after: Position, limit: ReadLimit, reaches_back: bool) -> Read {
        let chronicle = Arc::clone(&self.chronicle);
        let end = after.checked_add(limit.entries as u64).unwrap_or(Position::MAX);
        let (after, limit) = if reaches_back {
            (after.previous(), ReadLimit { entries: limit.entries.saturating_add(1), ..limit })
        } else {
            (after, limit)
        };
        let entries = tokio::spawn(async move { chronicle.read_decoded(after, limit).await });
        Read { entries, reaches_back, end }
    }

    async fn origin(&self, head: Position) -> Result<Origin, RuntimeError> {
        let origin = self.chronicle.origin().await?;
        origin.ok_or_else(|| StoreError::log(DOING, LogFault::NoOrigin { head }).into())
    }
}

/// Whether the log still has, as the first entry of a read that reaches back, the one at `at` that
/// ended the read before.
fn check_first(
    first: Option<&DecodedEntry>,
    mark: Option<Mark>,
    at: Position,
    head: Position,
) -> Result<(), RuntimeError> {
    let found = first.filter(|entry| entry.position == at).map(|entry| entry.leaf_hash);
    match (found, mark) {
        (None, _) => Err(StoreError::log(DOING, LogFault::WentBack { seen: at, head }).into()),
        (found, Some(mark)) => {
            mark.check(found, head).map_err(|fault| StoreError::log(DOING, fault).into())
        }
        (Some(_), None) => Ok(()),
    }
}

/// Whether the log ends where it was known to end, or beyond.
pub(crate) fn check_head(known: Position, head: Position) -> Result<(), StoreError> {
    if head < known {
        return Err(StoreError::log(DOING, LogFault::WentBack { seen: known, head }));
    }
    Ok(())
}
