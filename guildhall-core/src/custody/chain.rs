//! A chain of custody, judged anew from the rows of the Ops DB: whether it holds, and if not, where
//! it breaks first.
//!
//! What the artifact's content was at a link is not in the tables, so of `CC08` only the projector
//! can tell.

use std::fmt;

use super::{CustodyPolicy, CustodyState};
use crate::event::{CustodyTransitioned, Event};
use crate::ids::Seq;
use crate::invariant::{ArtifactHead, Code, Context, Violation, check};
use crate::ops::{CustodyTransition, GovernedArtifact};

/// Judges the links of one chain in order, from the first on, each as the projector judged it.
///
/// It keeps none of them, so that a chain of any length is judged as its
/// [pages](crate::OpsDb::chain) come.
#[derive(Debug, Clone)]
pub struct Judge<'p> {
    policy: &'p CustodyPolicy,
    head: Option<ArtifactHead>,
    end: ChainEnd,
    links: u64,
    broken: Option<BrokenChain>,
}

/// Where a chain ends, or where the artifact's row says that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainEnd {
    /// The newest link; none before genesis.
    pub seq: Option<Seq>,
    /// The state that it moved to.
    pub state: Option<CustodyState>,
}

impl From<&GovernedArtifact> for ChainEnd {
    fn from(artifact: &GovernedArtifact) -> Self {
        Self { seq: artifact.custody_seq, state: artifact.custody_state }
    }
}

impl From<&CustodyTransition> for ChainEnd {
    fn from(link: &CustodyTransition) -> Self {
        Self { seq: Some(link.seq), state: Some(link.to_state) }
    }
}

impl ChainEnd {
    /// Where a chain without links ends.
    const NOWHERE: Self = Self { seq: None, state: None };
}

impl fmt::Display for ChainEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seq {
            Some(seq) => write!(formatter, "link {seq}")?,
            None => formatter.write_str("no link")?,
        }
        self.state.map_or(Ok(()), |state| write!(formatter, " ({state})"))
    }
}

/// Why a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenChain {
    /// A link does not follow those before it; the first such.
    #[error("link {seq} breaks {}: {violation}", .violation.code())]
    Link {
        /// The link.
        seq: Seq,
        /// What is wrong with it.
        violation: Violation,
    },
    /// The artifact's row, which is written with each link, says that the chain ends elsewhere:
    /// links are missing or were added, or the row was changed.
    #[error("the artifact's row says {row}, its chain ends with {chain}")]
    End {
        /// What the row says.
        row: ChainEnd,
        /// What the links say.
        chain: ChainEnd,
    },
}

impl BrokenChain {
    /// The invariant that a link breaks; none where the end is wrong.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Link { violation, .. } => Some(violation.code()),
            Self::End { .. } => None,
        }
    }
}

impl<'p> Judge<'p> {
    /// Has seen no link yet.
    pub fn new(policy: &'p CustodyPolicy) -> Self {
        Self { policy, head: None, end: ChainEnd::NOWHERE, links: 0, broken: None }
    }

    /// Judges the next link against those before it: the invariant that it breaks, if any.
    pub fn judge(&mut self, link: &CustodyTransition) -> Option<Violation> {
        let head = self.head.get_or_insert_with(|| ArtifactHead {
            cid: link.cid,
            chain: None,
            ratified: Vec::new(),
        });
        head.cid = link.cid;
        let event = Event::from(event_of(link));
        let context = Context { policy: self.policy, accord_exists: true, artifact: Some(head) };
        let violation = check(&event, context).err();
        if let Event::CustodyTransitioned(event) = &event {
            // Also one that does not hold: the next is held against it, so that each fault is reported once.
            head.advance(event);
        }
        self.links += 1;
        self.end = ChainEnd::from(link);
        if let (None, Some(violation)) = (&self.broken, &violation) {
            self.broken = Some(BrokenChain::Link { seq: link.seq, violation: violation.clone() });
        }
        violation
    }

    /// How many links were judged.
    pub fn links(&self) -> u64 {
        self.links
    }

    /// Where they end.
    pub fn end(&self) -> ChainEnd {
        self.end
    }

    /// Whether each link follows those before it.
    ///
    /// # Errors
    /// [`BrokenChain::Link`], of the first that does not.
    pub fn check_links(&self) -> Result<(), BrokenChain> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Holds the end of the chain against the artifact's row, read at the same moment.
    ///
    /// # Errors
    /// [`BrokenChain::End`].
    pub fn check_end(&self, artifact: &GovernedArtifact) -> Result<(), BrokenChain> {
        self.check_row(ChainEnd::from(artifact))
    }

    /// The same, of what that row says of the end.
    ///
    /// # Errors
    /// [`BrokenChain::End`].
    pub fn check_row(&self, row: ChainEnd) -> Result<(), BrokenChain> {
        let chain = self.end;
        if row == chain { Ok(()) } else { Err(BrokenChain::End { row, chain }) }
    }
}

/// The event that a row of the chain was made from.
fn event_of(link: &CustodyTransition) -> CustodyTransitioned {
    let link = link.clone();
    CustodyTransitioned {
        actor: link.actor,
        artifact_id: link.artifact_id,
        ceremony_id: link.ceremony_id,
        cid: link.cid,
        evidence: link.evidence,
        from_state: link.from_state,
        hash: link.hash,
        occurred_at: link.occurred_at,
        prev_hash: link.prev_hash,
        reason: link.reason,
        seq: link.seq,
        to_state: link.to_state,
    }
}

#[cfg(test)]
mod tests;
