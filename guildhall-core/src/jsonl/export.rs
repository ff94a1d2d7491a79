//! Out: entries are read, made into lines and written, each step on the batches after those of the next
//! one.

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::{AHEAD, Work, with, work_lost};
use crate::chronicle::{Chronicle, Entry, Origin, ReadLimit};
use crate::error::StoreError;
use crate::event::wire;
use crate::ids::Position;

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The writer failed.
    #[error("writing failed")]
    Write(#[from] std::io::Error),
    /// A stored payload is not JSON: something else wrote this log.
    #[error("the payload at position {position} cannot be exported: {reason}")]
    Payload {
        /// The entry.
        position: Position,
        /// What is wrong with it.
        reason: crate::json::JsonError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes every entry that the Chronicle holds as of now, a line each, and flushes; returns how
/// many. `progress` is called with every position reached.
///
/// # Errors
/// [`ExportError`]; what was written until then stands.
pub async fn export<W: AsyncWrite + Unpin + Send>(
    chronicle: &dyn Chronicle,
    writer: W,
    progress: impl FnMut(Position) + Send,
) -> Result<u64, ExportError> {
    export_on(chronicle, writer, |work| work(), progress).await
}

/// The same, with `run` to do the [`Work`] of making lines elsewhere, while the ones before are
/// written.
///
/// # Errors
/// [`ExportError`]; what was written until then stands.
pub async fn export_on<W: AsyncWrite + Unpin + Send>(
    chronicle: &dyn Chronicle,
    mut writer: W,
    run: impl FnMut(Work) + Send,
    mut progress: impl FnMut(Position) + Send,
) -> Result<u64, ExportError> {
    let end = chronicle.head().await?.position;
    let mut position = Position::ZERO;
    if let Some(origin) = chronicle.origin().await? {
        let (batches, mut coming) = mpsc::channel(AHEAD);
        let reading = read(chronicle, origin, end, run, batches);
        let writing = async {
            while let Some(lines) = coming.recv().await {
                let lines = lines?.await.map_err(|_| work_lost("exporting"))??;
                writer.write_all(&lines.text).await?;
                position = lines.last;
                progress(position);
            }
            Ok::<_, ExportError>(())
        };
        with(writing, reading).await?;
    }
    writer.flush().await?;
    Ok(position.get())
}

/// How much is read at a time.
const READ: ReadLimit = ReadLimit { entries: 1000, bytes: 4 << 20 };

/// Entries as they are written.
struct Lines {
    text: Vec<u8>,
    /// The last of them.
    last: Position,
}

/// Lines that are being made, or why there are none.
type Coming = Result<oneshot::Receiver<Result<Lines, ExportError>>, StoreError>;

/// Reads up to `end` and has lines made.
async fn read(
    chronicle: &dyn Chronicle,
    origin: Origin,
    end: Position,
    mut run: impl FnMut(Work),
    batches: mpsc::Sender<Coming>,
) {
    let mut after = Position::ZERO;
    while after < end {
        // Nobody wants more where writing failed.
        let Ok(room) = batches.reserve().await else { return };
        let entries = match chronicle.read(after, READ).await {
            Ok(entries) => entries,
            Err(error) => return room.send(Err(error)),
        };
        let within = entries.iter().take_while(|entry| entry.position <= end).count();
        let Some(last) = entries[..within].last().map(|entry| entry.position) else { return };
        after = last;
        let (answer, lines) = oneshot::channel();
        let origin = origin.clone();
        run(Box::new(move || drop(answer.send(lines_of(&entries[..within], last, &origin)))));
        room.send(Ok(lines));
    }
}

fn lines_of(entries: &[Entry], last: Position, origin: &Origin) -> Result<Lines, ExportError> {
    let bytes = entries.iter().map(|entry| entry.payload.len() + 512).sum();
    let mut text = Vec::with_capacity(bytes);
    for entry in entries {
        let position = entry.position;
        wire::write_line(&mut text, entry, origin)
            .map_err(|reason| ExportError::Payload { position, reason })?;
        text.push(b'\n');
    }
    Ok(Lines { text, last })
}
