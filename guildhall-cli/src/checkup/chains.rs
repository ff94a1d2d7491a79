//! Whether the chains of custody in the tables are such as a policy permits.

use anyhow::Result;
use guildhall_core::custody::chain::{BrokenChain, Judge};
use guildhall_core::{
    ArtifactId, ArtifactQuery, ArtifactSort, Code, CustodyPolicy, CustodyState, MAX_PAGE_ROWS,
    OpsDb,
};

use super::Finding;

/// Judges every chain anew. A move that the projector let through and this policy does not permit (`CC04`)
/// was projected under another; the tables do not say under which.
pub(super) async fn judge(ops_db: &dyn OpsDb, policy: &CustodyPolicy) -> Result<Finding> {
    let mut query = ArtifactQuery::default()
        .custody_states(CustodyState::ALL.to_vec())
        .sort(ArtifactSort::Name)
        .limit(MAX_PAGE_ROWS);
    let (mut chains, mut not_permitted, mut broken) = (0_u64, Vec::new(), Vec::new());
    loop {
        let page = ops_db.artifacts(&query).await?;
        for artifact in page.rows {
            chains += 1;
            match check(ops_db, policy, artifact.id).await? {
                None => {}
                Some(fault) if fault.code() == Some(Code::CC04) => {
                    not_permitted.push((artifact.name, fault));
                }
                Some(fault) => broken.push((artifact.name, fault)),
            }
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let said = |faulty: &[(String, BrokenChain)]| match faulty {
        [] => String::new(),
        [(name, fault), ..] => {
            format!("{} of {chains} chains; of {name}, {fault}", faulty.len())
        }
    };
    Ok(if !broken.is_empty() {
        Finding::problem(
            "chains",
            format!("broken: {}", said(&broken)),
            "make the tables anew: `guildhall rebuild`",
        )
    } else if !not_permitted.is_empty() {
        Finding::warning(
            "chains",
            format!("projected under another policy: {}", said(&not_permitted)),
            "name that policy with --custody-policy; or make the tables anew by this one, with \
             `guildhall rebuild --accept-rewritten`",
        )
    } else {
        Finding::fine("chains", format!("{chains}, each as the policy permits"))
    })
}

/// What is wrong with the links of one chain, the first thing.
async fn check(
    ops_db: &dyn OpsDb,
    policy: &CustodyPolicy,
    artifact: ArtifactId,
) -> Result<Option<BrokenChain>> {
    let (mut judge, mut after) = (Judge::new(policy), None);
    loop {
        let page = ops_db.chain(artifact, after, MAX_PAGE_ROWS).await?;
        page.rows.iter().for_each(|link| drop(judge.judge(link)));
        after = page.next;
        if after.is_none() {
            return Ok(judge.check_links().err());
        }
    }
}
