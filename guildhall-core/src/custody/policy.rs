//! Which moves a custody chain may make.

use super::state::CustodyState;

/// Which moves are permitted: a table, as data. [`CustodyPolicy::standard`] is DESIGN's; an
/// embedder can pass another to the projector and to the recorder.
///
/// ```
/// use guildhall_core::{CustodyPolicy, CustodyState::{Deployed, Drafted, Ratified, Retired}};
///
/// let standard = CustodyPolicy::standard();
/// assert!(standard.permits(Ratified, Deployed));
/// assert!(!standard.permits(Drafted, Deployed));
///
/// let strict = CustodyPolicy::from_moves([(Drafted, Retired)]);
/// assert!(!strict.permits(Ratified, Deployed));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustodyPolicy {
    moves: Vec<(CustodyState, CustodyState)>,
}

impl CustodyPolicy {
    /// DESIGN section 4's table.
    pub fn standard() -> Self {
        use CustodyState::{
            CeremonyOpen, Deployed, Drafted, Ratified, Rejected, Retired, Suspended,
        };
        let table: [(CustodyState, &[CustodyState]); 7] = [
            (Drafted, &[CeremonyOpen, Retired]),
            (CeremonyOpen, &[Ratified, Rejected, Drafted]),
            (Ratified, &[Deployed, CeremonyOpen, Suspended, Retired]),
            (Rejected, &[Drafted, Retired]),
            (Deployed, &[CeremonyOpen, Suspended, Retired]),
            (Suspended, &[CeremonyOpen, Retired]),
            (Retired, &[]),
        ];
        Self::from_moves(table.iter().flat_map(|(from, to)| to.iter().map(|to| (*from, *to))))
    }

    /// The policy that permits exactly these moves. Genesis, to `drafted`, is not a move: every
    /// chain begins so.
    pub fn from_moves(moves: impl IntoIterator<Item = (CustodyState, CustodyState)>) -> Self {
        Self { moves: moves.into_iter().collect() }
    }

    /// Whether an artifact in `from` may go to `to`.
    pub fn permits(&self, from: CustodyState, to: CustodyState) -> bool {
        self.moves.contains(&(from, to))
    }

    /// The states that `from` may go to, in the table's order.
    pub fn successors(&self, from: CustodyState) -> impl Iterator<Item = CustodyState> {
        self.moves.iter().filter(move |(state, _)| *state == from).map(|(_, to)| *to)
    }
}

impl Default for CustodyPolicy {
    fn default() -> Self {
        Self::standard()
    }
}
