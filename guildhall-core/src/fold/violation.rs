//! What a fold does about an entry that breaks an invariant, and why it can fail.

use crate::ids::Position;

/// What to do with an entry that breaks an invariant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnViolation {
    /// Set it aside in `quarantined_entries` and go on.
    #[default]
    Quarantine,
    /// Stop before it.
    Halt,
}

/// Why entries cannot be folded into what was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The store did not load a head that [`missing`](super::Fold::missing) named: it has a bug.
    #[error("the head that position {position} needs was not loaded")]
    HeadNotLoaded {
        /// The entry.
        position: Position,
    },
    /// A row that was loaded was written by this entry or a later one: the checkpoint was set back, or
    /// the tables were changed by hand.
    #[error("position {written} wrote a row that the entry at {position} is to be folded into")]
    RowAhead {
        /// What wrote the row.
        written: Position,
        /// The entry.
        position: Position,
    },
}
