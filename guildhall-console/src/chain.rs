//! A chain of custody, read whole and [judged anew](guildhall_core::custody::chain).

use guildhall_core::custody::chain::{BrokenChain, Chain};
use guildhall_core::{CustodyPolicy, GovernedArtifact, MAX_PAGE_ROWS, OpsDb, Seq, StoreError};

/// How many links of one chain are recomputed at most.
const MAX_LINKS: usize = 10_000;

/// A chain, as far as it was recomputed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recomputed {
    pub(crate) chain: Chain,
    /// Whether there are more links than are recomputed at most.
    pub(crate) is_cut: bool,
    /// Where the artifact's row says otherwise than the end of the chain.
    pub(crate) discrepancy: Option<BrokenChain>,
}

/// Reads the chain of an artifact, whose row was read before, and judges it.
pub(crate) async fn recompute(
    ops_db: &dyn OpsDb,
    policy: &CustodyPolicy,
    before: &GovernedArtifact,
) -> Result<Recomputed, StoreError> {
    let mut found = Recomputed::default();
    let mut after = Seq::ZERO;
    loop {
        let links = ops_db.chain(before.id, after, MAX_PAGE_ROWS).await?;
        let Some(last) = links.last() else { break };
        after = last.seq;
        for link in links {
            if found.chain.links().len() == MAX_LINKS {
                found.is_cut = true;
                return Ok(found);
            }
            found.chain.push(policy, link);
        }
    }
    let now = ops_db.artifact(before.id).await?;
    let after = now.as_ref().map_or(before, |now| &now.artifact);
    found.discrepancy = found.chain.check_end(before, after).err();
    Ok(found)
}
