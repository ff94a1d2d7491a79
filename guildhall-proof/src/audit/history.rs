//! Tables that say what was, where they do not begin with the log.

use guildhall_core::store::Row as _;
use guildhall_core::{ArtifactRevision, Position, RowCount, Table};

/// From which position on the two tables of history have all that the log makes. A database that was made
/// before they were has their rows from where it stood, and one for how things stood then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct History {
    from: Position,
}

impl History {
    pub(super) const fn from(from: Position) -> Self {
        Self { from }
    }

    /// Whether a row of this table, by the entry at that position, cannot be compared. Of a count it is not
    /// known then by which entry it last changed.
    pub(super) fn leaves_out(
        self,
        table: &Table,
        position: impl FnOnce() -> Option<Position>,
    ) -> bool {
        let is_early = || position().is_some_and(|position| position <= self.from);
        !self.is_whole() && (table.name == RowCount::TABLE.name || table.is_history() && is_early())
    }

    fn is_whole(self) -> bool {
        self.from == Position::ZERO
    }

    /// Whether a column numbers rows of which the first are not there, so that it cannot be compared.
    pub(super) fn is_number(self, table: &Table, column: &str) -> bool {
        !self.is_whole() && table.name == ArtifactRevision::TABLE.name && column == "revision"
    }

    /// Whether a column names a row. Where a number cannot, the position does: an entry makes one revision.
    pub(super) fn is_key(self, table: &Table, column: &str) -> bool {
        table.key.contains(&column) || (column == "position" && self.is_number(table, "revision"))
    }
}
