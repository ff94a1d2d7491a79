//! In: lines are cut out, made into entries, held to what they say of themselves, and appended, each
//! step on the batches after those of the next one.

use tokio::io::AsyncBufRead;
use tokio::sync::{mpsc, oneshot};

use super::piece::{Line, Parsed, Piece};
use super::{AHEAD, ENVELOPE_BYTES, Work, with, work_lost};
use crate::chronicle::{Append, AppendError, Appended, Chronicle, NewEntry, Origin, Place};
use crate::error::StoreError;
use crate::event::wire::LineError;
use crate::ids::Position;
use crate::json::MAX_PAYLOAD_BYTES;

/// How an import goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Upper bound on a line, in bytes without its end; [`MAX_PAYLOAD_BYTES`] and
    /// [`ENVELOPE_BYTES`] by default.
    pub line_limit_bytes: usize,
    /// Upper bound on the entries of one append.
    pub batch_entries: usize,
    /// Upper bound on the bytes of lines in one append (and one line more).
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

/// Lines that an import reports.
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

/// Why an import stopped. The lines before stay recorded; import the corrected file again, and only what
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
        /// The reader's error.
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
/// to be what it says of itself (see the module). Blank lines, CRLF and a last
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
    reader: R,
    options: &ImportOptions,
    progress: impl FnMut(&Imported) + Send,
) -> Result<Imported, ImportError> {
    import_on(chronicle, reader, options, |work| work(), progress).await
}

/// The same, with `run` to do the [`Work`] of reading lines elsewhere, while the batches before are
/// appended.
///
/// # Errors
/// [`ImportError`].
///
/// # Cancel safety
/// As [`import`]. Work that was begun may still end.
pub async fn import_on<R: AsyncBufRead + Unpin + Send>(
    chronicle: &dyn Chronicle,
    reader: R,
    options: &ImportOptions,
    run: impl FnMut(Work) + Send,
    progress: impl FnMut(&Imported) + Send,
) -> Result<Imported, ImportError> {
    let origin = chronicle.origin().await?;
    let (pieces, coming) = mpsc::channel(AHEAD);
    let cutting = cut(reader, *options, origin.clone(), run, pieces);
    let import = Import { chronicle, origin, next: None, imported: Imported::default() };
    with(import.append_all(coming, progress), cutting).await
}

/// A piece that is being parsed, or why there is none.
type Coming = std::io::Result<oneshot::Receiver<Parsed>>;

/// Cuts the input into pieces and has them parsed.
async fn cut<R: AsyncBufRead + Unpin>(
    mut reader: R,
    options: ImportOptions,
    origin: Option<Origin>,
    mut run: impl FnMut(Work),
    pieces: mpsc::Sender<Coming>,
) {
    let (mut lines, mut may_follow) = (0, Ok(true));
    while let Ok(true) = may_follow {
        // Nobody wants more where an earlier line stopped it.
        let Ok(room) = pieces.reserve().await else { return };
        let mut piece = Piece::after(lines, options.line_limit_bytes);
        may_follow = piece.fill(&mut reader, &options).await;
        lines = piece.last();
        if !piece.is_empty() {
            let (answer, parsed) = oneshot::channel();
            let origin = origin.clone();
            run(Box::new(move || drop(answer.send(piece.parse(origin.as_ref())))));
            room.send(Ok(parsed));
        }
    }
    if let Err(source) = may_follow {
        // As above.
        drop(pieces.send(Err(source)).await);
    }
}

struct Import<'c> {
    chronicle: &'c dyn Chronicle,
    origin: Option<Origin>,
    /// The position that the next line of the Chronicle's own has to state.
    next: Option<Position>,
    imported: Imported,
}

/// Entries of one piece on their way.
#[derive(Default)]
struct Batch {
    entries: Vec<NewEntry>,
    /// The number of each one's line, and where it has to stand.
    lines: Vec<(u64, Option<Place>)>,
}

impl Import<'_> {
    async fn append_all(
        mut self,
        mut coming: mpsc::Receiver<Coming>,
        mut progress: impl FnMut(&Imported) + Send,
    ) -> Result<Imported, ImportError> {
        let mut read = 0;
        while let Some(parsed) = coming.recv().await {
            let parsed = parsed.map_err(|source| ImportError::Read { line: read, source })?;
            let Parsed { piece, lines, mut fault } =
                parsed.await.map_err(|_| work_lost("importing"))?;
            let mut batch = Batch::default();
            for line in lines {
                let number = line.number;
                if let Err(reason) = self.take(line, &mut batch).await? {
                    fault = Some((number, reason));
                    break;
                }
            }
            self.append(batch, &piece).await?;
            if let Some((line, reason)) = fault {
                return Err(ImportError::Line { line, reason, imported: self.imported });
            }
            read = piece.last();
            self.imported.lines = read;
            progress(&self.imported);
        }
        Ok(self.imported)
    }

    /// Adds a line's entry to the batch, unless it is left out. A line of the Chronicle's own is held
    /// to what it says of itself. The first entry's source becomes the origin where there is none,
    /// and must be one then.
    async fn take(
        &mut self,
        line: Line,
        batch: &mut Batch,
    ) -> Result<Result<(), LineError>, StoreError> {
        let Line { number, source, entry, place } = line;
        let candidate = match &self.origin {
            Some(_) => None,
            None => match source.parse::<Origin>() {
                Ok(candidate) => Some(candidate),
                Err(error) => {
                    let reason = error.to_string();
                    return Ok(Err(LineError::Wrong { name: "source", reason }));
                }
            },
        };
        let is = |origin: Option<&Origin>| origin.is_some_and(|it| it.as_str() == source);
        let place = match place {
            place if is(self.origin.as_ref().or(candidate.as_ref())) => match place {
                Ok(place) => place,
                Err(reason) => return Ok(Err(reason)),
            },
            _ => None,
        };
        if let Some(Place { position: found, .. }) = place {
            if let Some(expected) = self.next.filter(|expected| *expected != found) {
                return Ok(Err(LineError::OutOfOrder { found, expected }));
            }
            self.next = found.next();
        }
        if let Some(candidate) = candidate {
            self.origin = Some(self.chronicle.fix_origin(candidate).await?);
        }
        // Also not where somebody else fixed the origin meanwhile.
        let is_own = is(self.origin.as_ref());
        let place = place.filter(|_| is_own);
        if entry.event_type.is_index() && place.is_none() {
            self.imported.left_out.note(number);
            return Ok(Ok(()));
        }
        if !is_own {
            self.imported.foreign.note(number);
        }
        batch.entries.push(entry);
        batch.lines.push((number, place));
        Ok(Ok(()))
    }

    async fn append(&mut self, batch: Batch, piece: &Piece) -> Result<(), ImportError> {
        let Batch { entries, lines } = batch;
        if entries.is_empty() {
            return Ok(());
        }
        let placed = entries.iter().zip(&lines);
        let places = placed.filter_map(|(entry, (_, place))| Some((entry.event_id, (*place)?)));
        let places = places.collect();
        match self.chronicle.append(Append { places, ..Append::of(entries) }).await {
            Ok(answers) => {
                count(&mut self.imported, lines.iter().map(|(line, _)| *line), &answers);
                Ok(())
            }
            Err(AppendError::Store(error)) => Err(error.into()),
            // One of them is refused: singly, the ones before it go in and it shows which.
            Err(_) => self.append_singly(&lines, piece).await,
        }
    }

    async fn append_singly(
        &mut self,
        lines: &[(u64, Option<Place>)],
        piece: &Piece,
    ) -> Result<(), ImportError> {
        let entries = piece.entries_of(lines.iter().map(|(line, _)| *line));
        for (entry, &(line, place)) in entries.into_iter().zip(lines) {
            let places = place.map(|place| (entry.event_id, place)).into_iter().collect();
            match self.chronicle.append(Append { places, ..Append::of([entry]) }).await {
                Ok(answers) => count(&mut self.imported, [line], &answers),
                Err(AppendError::Store(error)) => return Err(error.into()),
                Err(reason) => {
                    return Err(ImportError::Refused { line, reason, imported: self.imported });
                }
            }
        }
        Ok(())
    }
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
