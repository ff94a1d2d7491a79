//! A chain of custody, recomputed: each link is judged as the projector judged it.

use guildhall_core::custody::ChainHead;
use guildhall_core::invariant::{ArtifactHead, Context, check};
use guildhall_core::{
    ArtifactId, Cid, CustodyPolicy, CustodyState, CustodyTransition, CustodyTransitioned, Event,
    MAX_PAGE_ROWS, OpsDb, Seq, StoreError, Violation,
};

/// How many links of one chain are recomputed at most.
const MAX_LINKS: usize = 10_000;

/// A link, and the invariant that it breaks, if any.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) link: CustodyTransition,
    pub(crate) violation: Option<Violation>,
}

/// A chain, as far as it was recomputed.
#[derive(Debug, Clone, Default)]
pub(crate) struct JudgedChain {
    pub(crate) links: Vec<Judged>,
    /// Whether there are more links than are recomputed at most.
    pub(crate) is_cut: bool,
}

impl JudgedChain {
    pub(crate) fn first_broken(&self) -> Option<&Judged> {
        self.links.iter().find(|judged| judged.violation.is_some())
    }
}

/// Reads a chain and judges its links. What the artifact's content was at a link is not in the
/// tables, so of `CC08` only the projector can tell.
pub(crate) async fn judge(
    ops_db: &dyn OpsDb,
    policy: &CustodyPolicy,
    id: ArtifactId,
) -> Result<JudgedChain, StoreError> {
    let mut chain = JudgedChain::default();
    let mut head: Option<ChainHead> = None;
    let mut ratified: Vec<Cid> = Vec::new();
    let mut after = Seq::ZERO;
    loop {
        let links = ops_db.chain(id, after, MAX_PAGE_ROWS).await?;
        let Some(last) = links.last() else { return Ok(chain) };
        after = last.seq;
        for link in links {
            if chain.links.len() == MAX_LINKS {
                chain.is_cut = true;
                return Ok(chain);
            }
            let event = transitioned(&link);
            let artifact =
                ArtifactHead { cid: link.cid, chain: head.take(), ratified: ratified.clone() };
            head = Some(ChainHead::from(&event));
            if link.to_state == CustodyState::Ratified && !ratified.contains(&link.cid) {
                ratified.push(link.cid);
            }
            let context = Context { policy, accord_exists: true, artifact: Some(&artifact) };
            let violation = check(&Event::from(event), context).err();
            chain.links.push(Judged { link, violation });
        }
    }
}

/// The event that a row of the chain was made from.
fn transitioned(link: &CustodyTransition) -> CustodyTransitioned {
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
