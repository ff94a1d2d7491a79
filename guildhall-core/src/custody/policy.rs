//! Which moves a custody chain may make, and who may make them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::link::ChainHead;
use super::state::CustodyState;
use crate::event::CustodyTransitioned;

/// Which moves are permitted: a table and [rules](Rule), as data. [`CustodyPolicy::standard`] is
/// DESIGN's, without rules; an embedder can pass another to the projector and to the recorder.
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
///
/// It can be stored: as JSON, `{"moves":[["drafted","retired"]],"rules":[{"rule":"four_eyes",
/// "to":"ratified"}]}`. One without `moves` has the standard table; one with a rule that this version
/// does not know is not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodyPolicy {
    #[serde(default = "standard_moves")]
    moves: Vec<(CustodyState, CustodyState)>,
    #[serde(default)]
    rules: Vec<Rule>,
}

fn standard_moves() -> Vec<(CustodyState, CustodyState)> {
    CustodyPolicy::standard().moves
}

/// What has to hold of a move beside being in the table. Genesis is not a move: no rule applies to
/// it. Actors are compared as they are written.
///
/// ```
/// use guildhall_core::custody::Rule;
/// use guildhall_core::{CustodyPolicy, CustodyState::{Ratified, Retired}};
///
/// let policy = CustodyPolicy::standard()
///     .with_rule(Rule::FourEyes { to: Ratified })
///     .with_rule(Rule::Reserved { to: Retired, actors: vec!["board".to_owned()] });
/// assert_eq!(
///     policy.rules()[0].to_string(),
///     "the actor who opened a ceremony may not close it as ratified",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Rule {
    /// The actor who opened a ceremony may not close it with this outcome.
    FourEyes {
        /// The outcome, such as `ratified`.
        to: CustodyState,
    },
    /// Only these actors may move an artifact to this state.
    Reserved {
        /// The state.
        to: CustodyState,
        /// Who may.
        actors: Vec<String>,
    },
    /// A move to this state needs evidence: any JSON but `null`.
    Evidence {
        /// The state.
        to: CustodyState,
    },
}

impl Rule {
    /// Whether a link may follow `head` as far as this rule is concerned.
    pub(crate) fn permits(&self, link: &CustodyTransitioned, head: &ChainHead) -> bool {
        match self {
            Self::FourEyes { to } => {
                let is_opener = match head.opened_by.as_deref() {
                    Some(opener) => opener == link.actor,
                    // Where the opener is not known, it may have been anybody.
                    None => head.state == CustodyState::CeremonyOpen,
                };
                link.to_state != *to || !is_opener
            }
            Self::Reserved { to, actors } => link.to_state != *to || actors.contains(&link.actor),
            Self::Evidence { to } => link.to_state != *to || link.evidence.as_str() != "null",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FourEyes { to } => {
                write!(formatter, "the actor who opened a ceremony may not close it as {to}")
            }
            Self::Reserved { to, actors } if actors.is_empty() => {
                write!(formatter, "nobody may move an artifact to {to}")
            }
            Self::Reserved { to, actors } => {
                write!(formatter, "only {} may move an artifact to {to}", actors.join(", "))
            }
            Self::Evidence { to } => {
                write!(formatter, "a move to {to} needs evidence")
            }
        }
    }
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

    /// The policy that permits exactly these moves, without rules. Genesis, to `drafted`, is not a move: every
    /// chain begins so.
    pub fn from_moves(moves: impl IntoIterator<Item = (CustodyState, CustodyState)>) -> Self {
        Self { moves: moves.into_iter().collect(), rules: Vec::new() }
    }

    /// The same with one more rule, which is judged after those that it has.
    #[must_use]
    pub fn with_rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// What has to hold of a move beside being in the table, in the order in which it is judged.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether an artifact in `from` may go to `to`, as far as the table is concerned.
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

#[cfg(test)]
mod tests;
