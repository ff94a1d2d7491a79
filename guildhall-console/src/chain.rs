//! A chain of custody, read page by page and [judged anew](guildhall_core::custody::chain).

use std::collections::VecDeque;

use guildhall_core::custody::chain::{BrokenChain, Judge};
use guildhall_core::{
    CustodyPolicy, CustodyTransition, GovernedArtifact, MAX_PAGE_ROWS, OpsDb, Seq, StoreError,
    Violation,
};

/// How many links of one chain are recomputed at most.
pub(crate) const MAX_LINKS: usize = 10_000;

/// A link, and the invariant that it breaks, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JudgedLink {
    pub(crate) link: CustodyTransition,
    pub(crate) violation: Option<Violation>,
}

/// Which links are kept to be shown; the others are judged and let go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kept {
    /// So many of the newest.
    Newest(usize),
    /// So many from after this one on.
    After(Seq, usize),
}

/// What came of judging a chain, as far as it was recomputed.
#[derive(Debug, Clone)]
pub(crate) struct Recomputed {
    /// Those that were to be kept, in order.
    pub(crate) links: VecDeque<JudgedLink>,
    /// How many were judged.
    pub(crate) judged: u64,
    /// Whether each of them follows those before it.
    pub(crate) outcome: Result<(), BrokenChain>,
    /// Whether there are more links than are recomputed at most.
    pub(crate) is_cut: bool,
    /// Where the artifact's row says otherwise than the end of the chain.
    pub(crate) discrepancy: Option<BrokenChain>,
}

/// Reads the chain of an artifact at the moment at which its row was read, and judges it.
pub(crate) async fn recompute(
    moment: &dyn OpsDb,
    policy: &CustodyPolicy,
    artifact: &GovernedArtifact,
    kept: Kept,
) -> Result<Recomputed, StoreError> {
    let mut judge = Judge::new(policy);
    let (mut links, mut after, mut is_cut) = (VecDeque::new(), None, false);
    loop {
        let page = moment.chain(artifact.id, after, MAX_PAGE_ROWS).await?;
        for link in page.rows {
            if judge.links() == MAX_LINKS as u64 {
                is_cut = true;
                break;
            }
            let violation = judge.judge(&link);
            match kept {
                Kept::Newest(most) if links.len() == most => drop(links.pop_front()),
                Kept::After(seq, most) if link.seq <= seq || links.len() == most => continue,
                _ => {}
            }
            links.push_back(JudgedLink { link, violation });
        }
        after = page.next;
        if is_cut || after.is_none() {
            break;
        }
    }
    let discrepancy = if is_cut { None } else { judge.check_end(artifact).err() };
    let (judged, outcome) = (judge.links(), judge.check_links());
    Ok(Recomputed { links, judged, outcome, is_cut, discrepancy })
}
