//! What is loaded of the tables as a head: which columns, in which order.
//!
//! A store's statements select them as they stand here, and its tests hold the statements to that.

use super::rows::{ColumnReader, Value};
use crate::cid::{Cid, LinkHash};
use crate::custody::{ChainHead, CustodyState};
use crate::fold::TargetHead;
use crate::ids::{CeremonyId, Position, Revision, Seq};
use crate::invariant::ArtifactHead;
use crate::ops::Health;
use crate::time::Timestamp;

/// The columns of the newest link that [`read_artifact_head`] reads, null where there is none.
pub const CHAIN_HEAD: [&str; 5] = ["seq", "to_state", "hash", "occurred_at", "ceremony_id"];

/// The columns of `deployment_states` that [`read_target_head`] reads.
pub const TARGET_HEAD: [&str; 6] =
    ["desired_cid", "observed_cid", "health", "health_since", "observed_at", "position"];

/// Reads the head of an artifact, with the entry that last wrote its row and the revision that its content
/// is: `position` of the artifact, the newest `revision`, `cid`, [`CHAIN_HEAD`], and the `actor` of the link
/// that opened the ceremony, null where none is open. What the chain ratified is loaded separately.
///
/// # Errors
/// The reader's own.
pub fn read_artifact_head<R: ColumnReader>(
    from: &mut R,
) -> Result<(Position, Revision, ArtifactHead), R::Error> {
    let (written, revision) = (Position::read(from)?, Revision::read(from)?);
    let cid = Cid::read(from)?;
    let ratified = Vec::new();
    let Some(seq) = Option::<Seq>::read(from)? else {
        return Ok((written, revision, ArtifactHead { cid, chain: None, ratified }));
    };
    let chain = ChainHead {
        seq,
        state: CustodyState::read(from)?,
        hash: LinkHash::read(from)?,
        occurred_at: Timestamp::read(from)?,
        ceremony_id: Option::<CeremonyId>::read(from)?,
        opened_by: Option::<String>::read(from)?.map(Into::into),
    };
    Ok((written, revision, ArtifactHead { cid, chain: Some(chain), ratified }))
}

/// Reads the head of a target, and the entry that last wrote its row.
///
/// # Errors
/// The reader's own.
pub fn read_target_head<R: ColumnReader>(from: &mut R) -> Result<(Position, TargetHead), R::Error> {
    let head = TargetHead {
        desired_cid: Cid::read(from)?,
        observed_cid: Option::<Cid>::read(from)?,
        health: Health::read(from)?,
        health_since: Timestamp::read(from)?,
        observed_at: Timestamp::read(from)?,
    };
    Ok((Position::read(from)?, head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{CustodyTransition, DeploymentState, Table};
    use crate::store::Row as _;

    #[test]
    fn the_columns_of_heads_are_columns_of_their_tables() {
        let has = |table: Table, columns: &[&str]| {
            columns.iter().all(|name| table.columns.iter().any(|column| column.name == *name))
        };
        assert!(has(CustodyTransition::TABLE, &CHAIN_HEAD));
        assert!(has(DeploymentState::TABLE, &TARGET_HEAD));
    }
}
