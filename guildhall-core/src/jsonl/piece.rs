//! A run of whole lines: cut out of the input where it is read, made into entries on any thread.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::ImportOptions;
use crate::chronicle::{NewEntry, Origin, Place};
use crate::event::wire::{self, LineError};

/// Lines as they were read.
pub(super) struct Piece {
    /// Without line feeds.
    text: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
    /// How many lines come before.
    after: u64,
    line_limit_bytes: usize,
}

/// Lines as entries, up to the first that is none.
pub(super) struct Parsed {
    pub(super) piece: Piece,
    /// Those that are not blank.
    pub(super) lines: Vec<Line>,
    /// The line that is not an entry, counted from 1.
    pub(super) fault: Option<(u64, LineError)>,
}

pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) source: String,
    pub(super) entry: NewEntry,
    /// Where it stood in the Chronicle that `source` names, and what is wrong with what it says of
    /// that; it matters to that Chronicle only.
    pub(super) place: Result<Option<Place>, LineError>,
}

impl Piece {
    pub(super) fn after(lines: u64, line_limit_bytes: usize) -> Self {
        Self { text: Vec::new(), ends: Vec::new(), after: lines, line_limit_bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The number of its last line.
    pub(super) fn last(&self) -> u64 {
        self.after + self.ends.len() as u64
    }

    /// Reads as many lines as one append takes; returns whether more may follow. Of a line that is
    /// too long, it keeps one byte more than the limit and goes no further.
    ///
    /// # Errors
    /// The reader's; the whole lines before are kept.
    pub(super) async fn fill<R: AsyncBufRead + Unpin>(
        &mut self,
        reader: &mut R,
        options: &ImportOptions,
    ) -> io::Result<bool> {
        let mut start = 0;
        loop {
            let available = match reader.fill_buf().await {
                Ok(available) => available,
                Err(error) => {
                    self.text.truncate(start);
                    return Err(error);
                }
            };
            if available.is_empty() {
                if self.text.len() > start {
                    self.ends.push(self.text.len());
                }
                return Ok(false);
            }
            let feed = available.iter().position(|&byte| byte == b'\n');
            let wanted = feed.unwrap_or(available.len());
            // A carriage return before the line feed is not part of the line.
            let room = (self.line_limit_bytes + 2).saturating_sub(self.text.len() - start);
            let kept = wanted.min(room);
            self.text.extend_from_slice(&available[..kept]);
            reader.consume(wanted + usize::from(feed.is_some()));
            if feed.is_some() || kept < wanted {
                start = self.text.len();
                self.ends.push(start);
                if kept < wanted {
                    return Ok(false);
                }
                if self.ends.len() >= options.batch_entries || start >= options.batch_bytes {
                    return Ok(true);
                }
            }
        }
    }

    fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let texts = starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end]);
        (self.after + 1..).zip(texts)
    }

    /// The entries. What a line says of its place is judged where its source is `origin`, or may
    /// become it as there is none.
    pub(super) fn parse(self, origin: Option<&Origin>) -> Parsed {
        let mut lines = Vec::with_capacity(self.ends.len());
        let mut fault = None;
        let mut candidate: Option<Origin> = None;
        for (number, text) in self.lines() {
            let line = match parse(text, self.line_limit_bytes) {
                Ok(None) => continue,
                Ok(Some(line)) => line,
                Err(reason) => {
                    fault = Some((number, reason));
                    break;
                }
            };
            let origin = origin.or_else(|| {
                if candidate.as_ref().is_none_or(|known| known.as_str() != line.source) {
                    candidate = line.source.parse().ok();
                }
                candidate.as_ref()
            });
            let place = origin.map_or(Ok(None), |origin| line.check(origin));
            let wire::Line { source, entry, .. } = line;
            lines.push(Line { number, source, entry, place });
        }
        Parsed { piece: self, lines, fault }
    }

    /// The entries of these lines once more, in the order of both.
    pub(super) fn entries_of(&self, numbers: impl IntoIterator<Item = u64>) -> Vec<NewEntry> {
        let mut numbers = numbers.into_iter().peekable();
        let wanted = self.lines().filter(|(number, _)| numbers.next_if_eq(number).is_some());
        let parsed = wanted.filter_map(|(_, text)| parse(text, self.line_limit_bytes).ok()?);
        parsed.map(|line| line.entry).collect()
    }
}

/// What a line says; nothing where it is blank.
fn parse(line: &[u8], limit_bytes: usize) -> Result<Option<wire::Line>, LineError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > limit_bytes {
        return Err(LineError::TooLong { limit_bytes });
    }
    let text = std::str::from_utf8(line)
        .map_err(|error| LineError::NotUtf8 { valid_bytes: error.valid_up_to() })?;
    if text.trim_ascii().is_empty() { Ok(None) } else { wire::parse(text).map(Some) }
}
