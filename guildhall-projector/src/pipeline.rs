//! Reading and decoding ahead, on a task of its own, while the writer writes.

use std::sync::Arc;

use guildhall_core::{Batch, Checkpoint, Chronicle, ContinuityError, Entry, Origin, Position};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::RuntimeError;
use crate::settings::Settings;

/// A batch, and where the log ended when it was read.
#[derive(Debug)]
pub(crate) struct ReadBatch {
    pub(crate) batch: Batch,
    pub(crate) head: Position,
}

/// The reading side; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    batches: mpsc::Receiver<Result<ReadBatch, RuntimeError>>,
    task: JoinHandle<()>,
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
        let (sender, batches) = mpsc::channel(settings.batches_ahead.max(1));
        let reader = Reader { chronicle, end, settings, sender };
        let task = tokio::spawn(async move {
            let sender = reader.sender.clone();
            if let Err(error) = reader.read(checkpoint.position).await {
                // A receiver that has gone wants no error either.
                let _ = sender.send(Err(error)).await;
            }
        });
        Self { batches, task }
    }

    /// The next batch; nothing once all is read.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<ReadBatch>, RuntimeError> {
        match self.batches.recv().await {
            Some(batch) => batch.map(Some),
            // The channel closes when the task ends: as it should, or in a panic.
            None => match (&mut self.task).await {
                Err(error) if error.is_panic() => Err(RuntimeError::Panicked(error)),
                _ => Ok(None),
            },
        }
    }
}

struct Reader {
    chronicle: Arc<dyn Chronicle>,
    end: Option<Position>,
    settings: Settings,
    sender: mpsc::Sender<Result<ReadBatch, RuntimeError>>,
}

impl Reader {
    async fn read(self, checkpoint: Position) -> Result<(), RuntimeError> {
        let head = self.chronicle.head().await?.position;
        if head < checkpoint {
            return Err(ContinuityError::EndsBefore { head, checkpoint }.into());
        }
        let is_done = |at: Position| self.end.is_some_and(|end| at >= end);
        let mut at = checkpoint.previous();
        let limit = self.settings.read_limit();
        let mut entries = Vec::new();
        let mut origin = None;
        loop {
            if entries.is_empty() {
                entries = self.chronicle.read(at, limit).await?;
            }
            let Some(last) = entries.last().map(|entry| entry.position) else {
                if is_done(at) {
                    return Ok(());
                }
                let head = self.chronicle.wait_beyond(at, self.settings.patience).await?;
                if head < at {
                    // It was restored under our hands.
                    return Err(ContinuityError::EndsBefore { head, checkpoint: at }.into());
                }
                continue;
            };
            at = last;
            let origin = match &origin {
                Some(origin) => Origin::clone(origin),
                None => origin.insert(self.origin(at).await?).clone(),
            };
            // The next entries are read while these are decoded.
            let current = std::mem::take(&mut entries);
            let (batch, next) = tokio::join!(decode(origin, current), async {
                if is_done(at) { Ok(Vec::new()) } else { self.chronicle.read(at, limit).await }
            });
            let head = match &next {
                Ok(next) if !next.is_empty() => self.chronicle.head().await?.position,
                _ => at,
            };
            // What is decoded is handed over even if what comes after cannot be read.
            let read = ReadBatch { batch: batch?, head };
            if self.sender.send(Ok(read)).await.is_err() || is_done(at) {
                return Ok(());
            }
            entries = next?;
        }
    }

    async fn origin(&self, head: Position) -> Result<Origin, RuntimeError> {
        let origin = self.chronicle.origin().await?;
        origin.ok_or_else(|| {
            let what = format!("it has {head} entries and no origin");
            guildhall_core::StoreError::permanent("reading the Chronicle", what).into()
        })
    }
}

async fn decode(origin: Origin, entries: Vec<Entry>) -> Result<Batch, RuntimeError> {
    let decoded = spawn_blocking(move || Batch::decode(origin, entries)).await;
    Ok(decoded.map_err(RuntimeError::Panicked)??)
}
