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

/// A link, and the invariant that it breaks, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedLink {
    /// The link.
    pub link: CustodyTransition,
    /// What is wrong with it, as it follows the links before.
    pub violation: Option<Violation>,
}

/// The links of one chain, in order, each judged as the projector judged it.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    links: Vec<JudgedLink>,
    head: Option<ArtifactHead>,
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

impl From<&JudgedLink> for ChainEnd {
    fn from(judged: &JudgedLink) -> Self {
        Self { seq: Some(judged.link.seq), state: Some(judged.link.to_state) }
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

impl Chain {
    /// Judges the links of one artifact, from the first on, in order.
    pub fn judge(
        policy: &CustodyPolicy,
        links: impl IntoIterator<Item = CustodyTransition>,
    ) -> Self {
        let mut chain = Self::default();
        for link in links {
            chain.push(policy, link);
        }
        chain
    }

    /// Judges one more link against those before it, and adds it to them.
    pub fn push(&mut self, policy: &CustodyPolicy, link: CustodyTransition) {
        let head = self.head.get_or_insert_with(|| ArtifactHead {
            cid: link.cid,
            chain: None,
            ratified: Vec::new(),
        });
        head.cid = link.cid;
        let event = Event::from(event_of(&link));
        let context = Context { policy, accord_exists: true, artifact: Some(head) };
        let violation = check(&event, context).err();
        if let Event::CustodyTransitioned(event) = &event {
            // Also one that does not hold: the next is held against it, so that each fault is told once.
            head.advance(event);
        }
        self.links.push(JudgedLink { link, violation });
    }

    /// The links, in order.
    pub fn links(&self) -> &[JudgedLink] {
        &self.links
    }

    /// The link of this number, where it was judged.
    pub fn at(&self, seq: Seq) -> Option<&JudgedLink> {
        let at = self.links.partition_point(|judged| judged.link.seq < seq);
        self.links.get(at).filter(|judged| judged.link.seq == seq)
    }

    /// Where it ends.
    pub fn end(&self) -> ChainEnd {
        self.links.last().map_or(ChainEnd::NOWHERE, ChainEnd::from)
    }

    /// Holds every link against those before it.
    ///
    /// # Errors
    /// [`BrokenChain::Link`], of the first that does not follow them.
    pub fn check_links(&self) -> Result<(), BrokenChain> {
        let broken = |judged: &JudgedLink| {
            let violation = judged.violation.clone()?;
            Some(BrokenChain::Link { seq: judged.link.seq, violation })
        };
        self.links.iter().find_map(broken).map_or(Ok(()), Err)
    }

    /// Holds the end of the chain against the artifact's row, as it was read before the links and
    /// as it was read after them: between the two, links may have come.
    ///
    /// # Errors
    /// [`BrokenChain::End`].
    pub fn check_end(
        &self,
        before: &GovernedArtifact,
        after: &GovernedArtifact,
    ) -> Result<(), BrokenChain> {
        let (chain, row) = (self.end(), ChainEnd::from(before));
        if row == chain {
            return Ok(());
        }
        let here = row.seq.map_or(Some(ChainEnd::NOWHERE), |seq| self.at(seq).map(ChainEnd::from));
        if here != Some(row) {
            return Err(BrokenChain::End { row, chain });
        }
        let row = ChainEnd::from(after);
        if row.seq < chain.seq { Err(BrokenChain::End { row, chain }) } else { Ok(()) }
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
