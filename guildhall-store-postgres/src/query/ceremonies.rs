//! The rows of ceremonies.

use guildhall_core::{Ceremony, ClosedCeremony, CustodyTransition, OpenCeremony};

use crate::ops_rows::Columns;

pub(super) fn open(columns: &mut Columns<'_>) -> Result<OpenCeremony, sqlx::Error> {
    let (name, artifact_type) = (columns.value()?, columns.value()?);
    let (tier, accord) = (columns.value()?, columns.value()?);
    let opened = columns.row::<CustodyTransition>()?;
    Ok(OpenCeremony { ceremony_id: opened.ceremony_id, name, artifact_type, tier, accord, opened })
}

/// One that is open or closed.
pub(super) fn whole(columns: &mut Columns<'_>) -> Result<Ceremony, sqlx::Error> {
    let (name, artifact_type) = (columns.value()?, columns.value()?);
    let (tier, accord) = (columns.value()?, columns.value()?);
    let opened = columns.row::<CustodyTransition>()?;
    let closed = columns.row_if_any()?;
    let ceremony_id = opened.ceremony_id;
    Ok(Ceremony { ceremony_id, name, artifact_type, tier, accord, opened, closed })
}

pub(super) fn closed(columns: &mut Columns<'_>) -> Result<ClosedCeremony, sqlx::Error> {
    let (name, artifact_type) = (columns.value()?, columns.value()?);
    let (tier, accord) = (columns.value()?, columns.value()?);
    let (opened_by, opened_at) = (columns.value()?, columns.value()?);
    let closed = columns.row::<CustodyTransition>()?;
    Ok(ClosedCeremony {
        ceremony_id: closed.ceremony_id,
        name,
        artifact_type,
        tier,
        accord,
        opened_by,
        opened_at,
        closed,
    })
}
