//! A chain of custody, recomputed: each link is judged as the projector judged it.

use guildhall_core::custody::ChainHead;
use guildhall_core::invariant::{ArtifactHead, Context, check};
use guildhall_core::{
    CustodyPolicy, CustodyState, CustodyTransition, CustodyTransitioned, Event, GovernedArtifact,
    MAX_PAGE_ROWS, OpsDb, Seq, StoreError, Violation,
};

use crate::format::words;

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
    /// Where the artifact's row says otherwise than the end of the chain.
    pub(crate) discrepancy: Option<Discrepancy>,
}

/// The artifact's row and the last link of its chain, which are written together, do not agree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the artifact's row says {}, its chain ends with {}", stand(.row), stand(.chain))]
pub(crate) struct Discrepancy {
    row: Stand,
    chain: Stand,
}

type Stand = (Option<Seq>, Option<CustodyState>);

fn stand((seq, state): &Stand) -> String {
    let link = seq.map_or_else(|| "no link".to_owned(), |seq| format!("link {seq}"));
    state.map_or_else(|| link.clone(), |state| format!("{link} ({})", words(state.as_str())))
}

impl JudgedChain {
    pub(crate) fn first_broken(&self) -> Option<&Judged> {
        self.links.iter().find(|judged| judged.violation.is_some())
    }

    /// A link, where it was recomputed.
    pub(crate) fn at(&self, seq: Seq) -> Option<&Judged> {
        let found = self.links.binary_search_by_key(&seq, |judged| judged.link.seq);
        found.ok().map(|at| &self.links[at])
    }

    fn end(&self) -> Stand {
        self.links.last().map(|judged| (judged.link.seq, judged.link.to_state)).unzip()
    }

    /// Compares the chain with the artifact's row as it was before the chain was read. Links may
    /// have come since; a row that is read now then knows of them.
    async fn compare(
        &self,
        ops_db: &dyn OpsDb,
        before: &GovernedArtifact,
    ) -> Result<Option<Discrepancy>, StoreError> {
        let (row, chain) = (stand_of(before), self.end());
        if row == chain {
            return Ok(None);
        }
        let of_link = |seq| self.at(seq).map(|judged| (seq, judged.link.to_state)).unzip();
        if row != row.0.map_or((None, None), of_link) {
            return Ok(Some(Discrepancy { row, chain }));
        }
        let Some(now) = ops_db.artifact(before.id).await? else { return Ok(None) };
        let row = stand_of(&now.artifact);
        Ok((row.0 < chain.0).then_some(Discrepancy { row, chain }))
    }
}

fn stand_of(artifact: &GovernedArtifact) -> Stand {
    (artifact.custody_seq, artifact.custody_state)
}

/// Reads the chain of an artifact, judges its links and compares its end with the artifact's row,
/// which was read before. What the artifact's content was at a link is not in the tables, so of
/// `CC08` only the projector can tell.
pub(crate) async fn judge(
    ops_db: &dyn OpsDb,
    policy: &CustodyPolicy,
    artifact: &GovernedArtifact,
) -> Result<JudgedChain, StoreError> {
    let mut chain = JudgedChain::default();
    let mut head = ArtifactHead { cid: artifact.cid, chain: None, ratified: Vec::new() };
    let mut after = Seq::ZERO;
    loop {
        let links = ops_db.chain(artifact.id, after, MAX_PAGE_ROWS).await?;
        let Some(last) = links.last() else { break };
        after = last.seq;
        for link in links {
            if chain.links.len() == MAX_LINKS {
                chain.is_cut = true;
                return Ok(chain);
            }
            chain.links.push(judged(link, policy, &mut head));
        }
    }
    chain.discrepancy = chain.compare(ops_db, artifact).await?;
    Ok(chain)
}

/// Judges a link against those before it, and adds it to them.
fn judged(link: CustodyTransition, policy: &CustodyPolicy, head: &mut ArtifactHead) -> Judged {
    head.cid = link.cid;
    let event = transitioned(&link);
    let next = ChainHead::from(&event);
    let context = Context { policy, accord_exists: true, artifact: Some(head) };
    let violation = check(&Event::from(event), context).err();
    head.chain = Some(next);
    if link.to_state == CustodyState::Ratified && !head.ratified.contains(&link.cid) {
        head.ratified.push(link.cid);
    }
    Judged { link, violation }
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
