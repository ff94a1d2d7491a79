//! Reading and decoding ahead, on a task of its own, while the writer writes.

use std::collections::VecDeque;
use std::sync::Arc;

use guildhall_core::{
    Batch, Checkpoint, Chronicle, ContinuityError, DecodedEntry, Origin, Position, ReadLimit,
    StoreError,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::RuntimeError;
use crate::settings::Settings;

/// A batch, and where the log ended when it was read.
#[derive(Debug)]
pub(crate) struct ReadBatch {
    pub(crate) batch: Batch,
    pub(crate) head: Position,
}

/// What one read answered.
struct Chunk {
    origin: Origin,
    entries: Vec<DecodedEntry>,
    head: Position,
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
    /// Starts reading where a read model stands: with the entry at its checkpoint, so that applying
    /// the first batch shows whether that is still the one it was. It goes on to `end`, or waits
    /// for more where there is none.
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
            if let Err(error) = reader.read(checkpoint.position).await {
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
        let Chunk { origin, mut entries, mut head } = first?;
        for _ in 1..self.batch_reads {
            match self.chunks.try_recv() {
                Ok(Ok(mut more)) => {
                    entries.append(&mut more.entries);
                    head = more.head;
                }
                Ok(Err(failure)) => {
                    self.failure = Some(failure);
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(Some(ReadBatch { batch: Batch::new(origin, entries)?, head }))
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

/// A read under way, and where it ends if the log reaches that far.
struct Read {
    entries: JoinHandle<Result<Vec<DecodedEntry>, StoreError>>,
    end: Position,
}

impl Reader {
    async fn read(self, checkpoint: Position) -> Result<(), RuntimeError> {
        let mut head = self.chronicle.head().await?.position;
        if head < checkpoint {
            return Err(ContinuityError::EndsBefore { head, checkpoint }.into());
        }
        let mut at = checkpoint.previous();
        let most = self.settings.read_limit();
        let mut limit = ReadLimit { entries: most.entries.div_ceil(FIRST_READ), ..most };
        let mut origin = None;
        let mut reads: VecDeque<Read> = VecDeque::new();
        let mut reads_at_once = READS;
        loop {
            // Positions are dense: where a read will end is known before it has, and the next one
            // can begin there at once.
            let mut next = reads.back().map_or(at, |read| read.end);
            while reads.is_empty() || (reads.len() < reads_at_once && next < head) {
                let read = self.start(next, limit);
                next = read.end;
                reads.push_back(read);
            }
            let Some(read) = reads.pop_front() else { continue };
            let entries = read.entries.await.map_err(RuntimeError::Panicked)??;
            let last = entries.last().map(|entry| entry.position);
            at = last.unwrap_or(at);
            if at >= read.end {
                head = self.chronicle.head().await?.position;
                limit.entries = most.entries.min(limit.entries.saturating_mul(2));
                reads_at_once = READS;
            } else {
                // It was cut short, and what was to follow does not. Where its size did that, the
                // next would be as well, so nothing is read beside it.
                reads.clear();
                reads_at_once = if at < head { 1 } else { READS };
            }
            if last.is_some() {
                head = head.max(at);
                let origin = match &origin {
                    Some(origin) => Origin::clone(origin),
                    None => origin.insert(self.origin(at).await?).clone(),
                };
                if self.sender.send(Ok(Chunk { origin, entries, head })).await.is_err() {
                    return Ok(());
                }
            }
            let is_all = last.is_none() || at >= head;
            if is_all && self.end.is_none_or(|end| at < end) {
                head = self.chronicle.wait_beyond(at, self.settings.patience).await?;
                if head < at {
                    // It was restored under our hands.
                    return Err(ContinuityError::EndsBefore { head, checkpoint: at }.into());
                }
            }
            if self.end.is_some_and(|end| at >= end) {
                return Ok(());
            }
        }
    }

    fn start(&self, after: Position, limit: ReadLimit) -> Read {
        let chronicle = Arc::clone(&self.chronicle);
        let entries = tokio::spawn(async move { chronicle.read_decoded(after, limit).await });
        Read { entries, end: Position::new(after.get().saturating_add(limit.entries as u64)) }
    }

    async fn origin(&self, head: Position) -> Result<Origin, RuntimeError> {
        let origin = self.chronicle.origin().await?;
        origin.ok_or_else(|| {
            let what = format!("it has {head} entries and no origin");
            StoreError::permanent("reading the Chronicle", what).into()
        })
    }
}
