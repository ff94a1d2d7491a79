//! A Chronicle as JSONL, in and out: one CloudEvent a line, over a caller's reader and writer.
//!
//! Both stream: neither holds more than a few batches in memory, whatever the length of the log. Neither
//! starts a thread; the caller may give one to what needs nothing but a processor ([`Work`]).
//!
//! An exported line carries its place and leaf hash ([`event::wire`](crate::event::wire)). **An import holds a line to them
//! where its `source` is the Chronicle's own origin**, or becomes it: the leaf hash has to be that of
//! the line's fields, the positions of such lines have to follow one another in the file, and each
//! entry has to get, or have, the place that its line states. So importing an export into an empty
//! Chronicle gives the same Chronicle, leaf by leaf, or stops at the line that was changed, replaced or
//! is missing. To record such lines elsewhere in their own Chronicle, or a part of them
//! in a new one, take `position`, `version` and `leafhash` out of them.
//!
//! A line of another Chronicle gets a place of its own here; such lines are counted
//! ([`Imported::foreign`]). One that indexes streams is left out, unless it gets the place that it
//! states in its own Chronicle ([`Imported::left_out`]). So are those that were recorded before with another time or metadata,
//! which no leaf hash or event id holds to anything ([`Imported::differing`]).

mod export;
mod import;
mod piece;

use std::future::poll_fn;
use std::pin::pin;

use crate::error::StoreError;

pub use self::export::{ExportError, export, export_on};
pub use self::import::{ImportError, ImportOptions, Imported, Noted, import, import_on};

/// What a line may take beside its payload: CloudEvents attributes and metadata. Every payload
/// that a Chronicle accepted is thus accepted again from its export.
pub const ENVELOPE_BYTES: usize = 8 << 10;

/// A batch of lines to be read or written: some milliseconds of a processor and no I/O, for any thread,
/// such as one of Tokio's that may block. Each goes its own way; what comes of them is put in order
/// again. An import or export whose work is dropped undone, or panics, fails.
pub type Work = Box<dyn FnOnce() + Send>;

/// How many batches are read, or worked on, before the one that is appended or written.
const AHEAD: usize = 3;

/// Some work was dropped undone, or panicked.
#[derive(Debug, thiserror::Error)]
#[error("a batch of lines was not processed")]
struct WorkLost;

fn work_lost(doing: &'static str) -> StoreError {
    StoreError::permanent(doing, WorkLost)
}

/// Awaits `first`, and goes on with `beside` meanwhile.
async fn with<T>(first: impl Future<Output = T>, beside: impl Future<Output = ()>) -> T {
    let (mut first, mut beside) = (pin!(first), pin!(beside));
    let mut goes_on = true;
    poll_fn(|context| {
        goes_on = goes_on && beside.as_mut().poll(context).is_pending();
        first.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests;
