//! The columns of queries about the past, and their order: a store's statements select them in the order in
//! which they are read here.

use super::rows::{ColumnReader, Value};
use crate::cid::Cid;
use crate::event::Tier;
use crate::ids::{AccordId, ArtifactId, Position, Revision};
use crate::ops::{
    Change, DriftSpan, Health, Named, PostureBy, PostureMoves, TimelineKind, TimelineQuery, What,
};
use crate::time::Timestamp;

/// Reads a change: its `position` and `artifact_id`, the artifact's `name`, `artifact_type` and `tier`, and
/// then what `what` reads.
///
/// # Errors
/// The reader's own.
pub fn read_change<R: ColumnReader>(
    from: &mut R,
    what: impl FnOnce(&mut R) -> Result<What, R::Error>,
) -> Result<Change, R::Error> {
    Ok(Change {
        position: Position::read(from)?,
        artifact_id: ArtifactId::read(from)?,
        artifact: Named {
            name: String::read(from)?,
            artifact_type: String::read(from)?,
            tier: Tier::read(from)?,
        },
        what: what(from)?,
    })
}

/// Reads what changed with a content: its `revision`, `cid` and `recorded_at`.
///
/// # Errors
/// The reader's own.
pub fn read_content<R: ColumnReader>(from: &mut R) -> Result<What, R::Error> {
    Ok(What::of_content(Revision::read(from)?, Cid::read(from)?, Timestamp::read(from)?))
}

/// Reads a drift of a target, in the order of its fields.
///
/// # Errors
/// The reader's own.
pub fn read_drift_span<R: ColumnReader>(from: &mut R) -> Result<DriftSpan, R::Error> {
    Ok(DriftSpan {
        artifact_id: ArtifactId::read(from)?,
        target: String::read(from)?,
        drifted_at: Timestamp::read(from)?,
        desired_cid: Cid::read(from)?,
        observed_cid: Option::<Cid>::read(from)?,
        ended_at: Option::<Timestamp>::read(from)?,
        ended_as: Option::<Health>::read(from)?,
        healthy_at: Option::<Timestamp>::read(from)?,
        position: Position::read(from)?,
    })
}

/// Reads how many targets of a group have one health: the group's column, `health`, and the count.
///
/// # Errors
/// The reader's own.
pub fn read_posture<R: ColumnReader>(
    by: PostureBy,
    from: &mut R,
) -> Result<(String, Health, u64), R::Error> {
    Ok((read_group(by, from)?, Health::read(from)?, read_count(from)?))
}

/// Reads how many targets of a group went from one health to another on a day: the group's column, the
/// day, `previous_health`, `health`, and the count.
///
/// # Errors
/// The reader's own.
pub fn read_posture_moves<R: ColumnReader>(
    by: PostureBy,
    from: &mut R,
) -> Result<PostureMoves, R::Error> {
    Ok(PostureMoves {
        group: read_group(by, from)?,
        day: Timestamp::read(from)?,
        from: Option::<Health>::read(from)?,
        to: Health::read(from)?,
        targets: read_count(from)?,
    })
}

fn read_group<R: ColumnReader>(by: PostureBy, from: &mut R) -> Result<String, R::Error> {
    Ok(match by {
        PostureBy::Estate => Option::<String>::read(from)?.unwrap_or_default(),
        PostureBy::Tier => Tier::read(from)?.get().to_string(),
        PostureBy::ArtifactType => String::read(from)?,
        PostureBy::Accord => AccordId::read(from)?.to_string(),
    })
}

fn read_count<R: ColumnReader>(from: &mut R) -> Result<u64, R::Error> {
    from.integer(|number| u64::try_from(number).ok())
}

/// Which links of a chain, as `changed`, a timeline asks for, as a condition of both databases; none where it
/// asks for no link.
pub fn links_of_timeline(query: &TimelineQuery) -> Option<&'static str> {
    let wants = |kind| query.wants(kind);
    match (wants(TimelineKind::Ceremony), wants(TimelineKind::Transition)) {
        (true, true) => Some("true"),
        (true, false) => Some(
            "(changed.to_state = 'ceremony_open' \
             OR coalesce(changed.from_state, '') = 'ceremony_open')",
        ),
        (false, true) => Some(
            "(changed.to_state <> 'ceremony_open' \
             AND coalesce(changed.from_state, '') <> 'ceremony_open')",
        ),
        (false, false) => None,
    }
}
