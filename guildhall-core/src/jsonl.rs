//! A Chronicle as JSONL, in and out: one CloudEvent a line, over a caller's reader and writer.
//!
//! Both stream: neither holds more than one batch in memory, whatever the length of the log.
//!
//! An exported line carries its place and leaf hash ([`wire`]). **An import holds a line to them
//! where its `source` is the Chronicle's own origin**, or becomes it: the leaf hash has to be that of
//! the line's fields, the positions of such lines have to follow one another in the file, and each
//! entry has to get, or have, the place that its line states. So an export that is brought back into
//! an empty Chronicle gives the same Chronicle, leaf by leaf, or stops at the line that was changed,
//! exchanged or is missing. To record such lines elsewhere in their own Chronicle, or a part of them
//! in a new one, take `position`, `version` and `leafhash` out of them.
//!
//! A line of another Chronicle gets a place of its own here; such lines are counted
//! ([`Imported::foreign`]). One that indexes streams is left out, unless it gets the place that it
//! states in its own Chronicle ([`Imported::left_out`]). So are those that were recorded before with another time or metadata,
//! which no leaf hash or event id holds to anything ([`Imported::differing`]).

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

use crate::chronicle::{
    Append, AppendError, Appended, Chronicle, NewEntry, Origin, Place, ReadLimit,
};
use crate::error::StoreError;
use crate::event::wire::{self, LineError};
use crate::ids::Position;
use crate::json::MAX_PAYLOAD_BYTES;

/// What a line may take beside its payload: CloudEvents attributes and metadata. Every payload
/// that a Chronicle accepted is thus accepted again from its export.
pub const ENVELOPE_BYTES: usize = 8 << 10;

/// How an import goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportOptions {
    /// How long a line may be, in bytes without its end; [`MAX_PAYLOAD_BYTES`] and
    /// [`ENVELOPE_BYTES`] by default.
    pub line_limit_bytes: usize,
    /// How many entries one append holds at most.
    pub batch_entries: usize,
    /// How many bytes of lines one append holds at most (and one line more).
    pub batch_bytes: usize,
}

crate::setters!(ImportOptions {
    line_limit_bytes: usize,
    batch_entries: usize,
    batch_bytes: usize,
});

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            line_limit_bytes: MAX_PAYLOAD_BYTES + ENVELOPE_BYTES,
            batch_entries: 1000,
            batch_bytes: 4 << 20,
        }
    }
}

/// How far an import has got. Everything that it counts is durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Lines read, blank ones included.
    pub lines: u64,
    /// Entries that were new.
    pub appended: u64,
    /// Entries that had been recorded before.
    pub recorded_before: u64,
    /// The largest position among them.
    pub position: Position,
    /// Lines whose `source` is another Chronicle: recorded, but not held to what they say of their
    /// place.
    pub foreign: Noted,
    /// Lines whose event was recorded before with another time or metadata, which stay as they were
    /// ([`Appended::differs`]).
    pub differing: Noted,
    /// Lines that index the streams of another Chronicle, or do not say where they stood in this
    /// one ([`ChronicleIndexed`](crate::ChronicleIndexed)): left out, since what they say of the
    /// entries before them would not hold here.
    pub left_out: Noted,
}

/// Lines of which an import says something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Noted {
    /// How many.
    pub lines: u64,
    /// The first of them, counted from 1.
    pub first_line: Option<u64>,
}

impl Noted {
    fn note(&mut self, line: u64) {
        self.lines += 1;
        self.first_line.get_or_insert(line);
    }
}

/// Why an import stopped. The lines before stay recorded; run the mended file again, and only what
/// is missing is appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A line is not an entry.
    #[error("line {line}: {reason}")]
    Line {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: LineError,
        /// What was imported before it.
        imported: Imported,
    },
    /// The Chronicle refuses a line's entry.
    #[error("line {line}: {reason}")]
    Refused {
        /// The line, counted from 1.
        line: u64,
        /// Why.
        reason: AppendError,
        /// What was imported before it.
        imported: Imported,
    },
    /// The reader failed.
    #[error("reading after line {line} failed")]
    Read {
        /// The last whole line.
        line: u64,
        /// What the reader said.
        #[source]
        source: std::io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Appends the entries of every line, in order, unless they are recorded already. Whether they
/// keep the chain's invariants is the projector's to say: an import appends what decodes.
///
/// A Chronicle without an origin takes the first line's `source`. A line of the Chronicle's own has
/// to be what it says of itself (see [the module](self)). Blank lines, CRLF and a last
/// line without an end are accepted. `progress` is called for every batch.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use guildhall_core::{jsonl, memory::MemoryChronicle};
///
/// let chronicle = MemoryChronicle::new();
/// let lines = concat!(
///     r#"{"specversion":"1.0","id":"0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b","source":"guildhall/demo","#,
///     r#""type":"com.example.note.v1","subject":"0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c","#,
///     r#""time":"2026-11-23T10:05:00Z","data":{"text":"kept, and skipped by the projector"}}"#,
/// );
/// let imported =
///     jsonl::import(&chronicle, lines.as_bytes(), &jsonl::ImportOptions::default(), |_| {}).await?;
/// assert_eq!(imported.appended, 1);
///
/// let mut exported = Vec::new();
/// jsonl::export(&chronicle, &mut exported, |_| {}).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ImportError`].
///
/// # Cancel safety
/// What was appended stays; importing again appends what is missing.
pub async fn import<R: AsyncBufRead + Unpin + Send>(
    chronicle: &dyn Chronicle,
    mut reader: R,
    options: &ImportOptions,
    mut progress: impl FnMut(&Imported) + Send,
) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    let mut batch = Vec::new();
    let mut batch_bytes = 0;
    let mut origin = chronicle.origin().await?;
    let mut next = None;
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let read = read_line(&mut reader, &mut line, options.line_limit_bytes).await;
        let parsed = match read {
            Ok(false) => break,
            Ok(true) => parse(&line, options.line_limit_bytes),
            Err(source) => {
                flush(chronicle, &mut batch, &mut imported).await?;
                return Err(ImportError::Read { line: number, source });
            }
        };
        number += 1;
        match parsed.and_then(|parsed| place(parsed, origin.as_ref(), &mut next)) {
            Ok(None) => {}
            Ok(Some((parsed, place, candidate))) => {
                let fixed = match origin.take() {
                    Some(origin) => origin,
                    None => chronicle.fix_origin(candidate).await?,
                };
                // Also not where somebody else fixed the origin meanwhile.
                let is_own = parsed.source == fixed.as_str();
                let place = place.filter(|_| is_own);
                origin = Some(fixed);
                if parsed.entry.event_type.is_index() && place.is_none() {
                    imported.left_out.note(number);
                    continue;
                }
                if !is_own {
                    imported.foreign.note(number);
                }
                batch.push((number, parsed.entry, place));
                batch_bytes += line.len();
            }
            Err(reason) => {
                flush(chronicle, &mut batch, &mut imported).await?;
                return Err(ImportError::Line { line: number, reason, imported });
            }
        }
        if batch.len() >= options.batch_entries || batch_bytes >= options.batch_bytes {
            flush(chronicle, &mut batch, &mut imported).await?;
            batch_bytes = 0;
            imported.lines = number;
            progress(&imported);
        }
    }
    flush(chronicle, &mut batch, &mut imported).await?;
    imported.lines = number;
    progress(&imported);
    Ok(imported)
}

/// Reads up to the next line feed, which it leaves out; returns false at the end. Of a line that is
/// too long, it keeps one byte more than the limit and goes no further.
async fn read_line<R: AsyncBufRead + Unpin>(
    reader: &mut R,
    line: &mut Vec<u8>,
    limit_bytes: usize,
) -> std::io::Result<bool> {
    let mut is_any = false;
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(is_any);
        }
        is_any = true;
        let end = available.iter().position(|&byte| byte == b'\n');
        let wanted = end.unwrap_or(available.len());
        // A carriage return before the line feed is not part of the line.
        let kept = wanted.min((limit_bytes + 2).saturating_sub(line.len()));
        line.extend_from_slice(&available[..kept]);
        let consumed = wanted + usize::from(end.is_some());
        reader.consume(consumed);
        if end.is_some() || kept < wanted {
            return Ok(true);
        }
    }
}

/// The entry of a line; nothing where the line is blank.
fn parse(line: &[u8], limit_bytes: usize) -> Result<Option<wire::Line>, LineError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > limit_bytes {
        return Err(LineError::TooLong { limit_bytes });
    }
    let text = std::str::from_utf8(line)
        .map_err(|error| LineError::NotUtf8 { valid_bytes: error.valid_up_to() })?;
    if text.trim_ascii().is_empty() { Ok(None) } else { wire::parse(text).map(Some) }
}

/// Judges what a line says of itself; `next` is the position that has to follow. Answers it with
/// the place that it has to get and the origin of the Chronicle, which is the line's own where there
/// was none: only the first entry's source can become the origin, and then it must be one.
fn place(
    line: Option<wire::Line>,
    origin: Option<&Origin>,
    next: &mut Option<Position>,
) -> Result<Option<(wire::Line, Option<Place>, Origin)>, LineError> {
    let Some(line) = line else { return Ok(None) };
    let origin = origin.cloned().map_or_else(|| line.source.parse::<Origin>(), Ok);
    let origin =
        origin.map_err(|error| LineError::Wrong { name: "source", reason: error.to_string() })?;
    let place = line.check(&origin)?;
    if let Some(Place { position: found, .. }) = place {
        if let Some(expected) = next.filter(|expected| *expected != found) {
            return Err(LineError::OutOfOrder { found, expected });
        }
        *next = found.next();
    }
    Ok(Some((line, place, origin)))
}

/// Lines on their way: the number, the entry, and where it has to stand.
type Lines = Vec<(u64, NewEntry, Option<Place>)>;

async fn flush(
    chronicle: &dyn Chronicle,
    batch: &mut Lines,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    let batch = std::mem::take(batch);
    if batch.is_empty() {
        return Ok(());
    }
    let mut whole = Append::of(batch.iter().map(|(_, entry, _)| entry.clone()));
    let placed =
        |(_, entry, place): &(_, NewEntry, Option<Place>)| Some((entry.event_id, (*place)?));
    whole.places = batch.iter().filter_map(placed).collect();
    match chronicle.append(whole).await {
        Ok(answers) => count(imported, batch.iter().map(|(line, ..)| *line), &answers),
        Err(AppendError::Store(error)) => return Err(error.into()),
        // One of them is refused: singly, the ones before it go in and it shows which.
        Err(_) => {
            for (line, entry, place) in batch {
                let places = place.map(|place| (entry.event_id, place)).into_iter().collect();
                let single = Append { places, ..Append::of([entry]) };
                match chronicle.append(single).await {
                    Ok(answers) => count(imported, [line], &answers),
                    Err(AppendError::Store(error)) => return Err(error.into()),
                    Err(reason) => {
                        return Err(ImportError::Refused { line, reason, imported: *imported });
                    }
                }
            }
        }
    }
    Ok(())
}

fn count(imported: &mut Imported, lines: impl IntoIterator<Item = u64>, answers: &[Appended]) {
    for (line, answer) in lines.into_iter().zip(answers) {
        imported.lines = line;
        if answer.differs.is_some() {
            imported.differing.note(line);
        }
        *(if answer.was_recorded {
            &mut imported.recorded_before
        } else {
            &mut imported.appended
        }) += 1;
        imported.position = imported.position.max(answer.position);
    }
}

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
    mut writer: W,
    mut progress: impl FnMut(Position) + Send,
) -> Result<u64, ExportError> {
    let end = chronicle.head().await?.position;
    let mut position = Position::ZERO;
    if let Some(origin) = chronicle.origin().await? {
        while position < end {
            let entries = chronicle.read(position, ReadLimit::entries(1000)).await?;
            let mut lines = String::new();
            for entry in entries.iter().take_while(|entry| entry.position <= end) {
                position = entry.position;
                let line = wire::to_line(entry, &origin)
                    .map_err(|reason| ExportError::Payload { position, reason })?;
                lines.push_str(&line);
                lines.push('\n');
            }
            if lines.is_empty() {
                break;
            }
            writer.write_all(lines.as_bytes()).await?;
            progress(position);
        }
    }
    writer.flush().await?;
    Ok(position.get())
}

#[cfg(test)]
mod tests;
