//! Ceremonies: those of an id, those that are open, those that have closed.

use guildhall_core::ops::{MomentKey, Paging, PositionKey};
use guildhall_core::{AsOf, Ceremony, CeremonyId, ClosedCeremony, CustodyTransition, OpenCeremony};

use super::select::{Select, bytes, left_or_in_state, moment};
use crate::ops_rows::Columns;

pub(super) fn select(id: CeremonyId, paging: &Paging<PositionKey>) -> Select {
    Select::from(include_str!("../sql/select_ceremonies.sql"))
        .and("link.to_state = 'ceremony_open'", [])
        .and("link.ceremony_id = ?", [bytes(id.as_uuid())])
        .paged(&["link.position"], false, paging, |(position,)| vec![position.as_i64().into()])
}

pub(super) fn those_open(as_of: Option<AsOf>) -> Select {
    let select = Select::from(include_str!("../sql/select_open_ceremonies.sql"));
    match as_of {
        None => select,
        Some(moment) => {
            let those = left_or_in_state("'ceremony_open'", moment);
            select.and(&format!("artifact.{those}"), [])
        }
    }
}

pub(super) fn select_open(as_of: Option<AsOf>, paging: &Paging<MomentKey>) -> Select {
    those_open(as_of).paged(&["link.occurred_at", "link.position"], false, paging, moment)
}

pub(super) fn those_closed() -> Select {
    Select::from(include_str!("../sql/select_closed_ceremonies.sql"))
        .and("link.from_state = 'ceremony_open'", [])
}

pub(super) fn select_closed(paging: &Paging<MomentKey>) -> Select {
    those_closed().paged(&["link.occurred_at", "link.position"], true, paging, moment)
}

/// One that is open or closed.
pub(super) fn whole(row: &rusqlite::Row<'_>) -> rusqlite::Result<Ceremony> {
    let mut columns = Columns::of(row);
    let (name, artifact_type) = (columns.value()?, columns.value()?);
    let (tier, accord) = (columns.value()?, columns.value()?);
    let opened = columns.row::<CustodyTransition>()?;
    let closed = columns.row_if_any()?;
    let ceremony_id = opened.ceremony_id;
    Ok(Ceremony { ceremony_id, name, artifact_type, tier, accord, opened, closed })
}

pub(super) fn open(row: &rusqlite::Row<'_>) -> rusqlite::Result<OpenCeremony> {
    let mut columns = Columns::of(row);
    let (name, artifact_type) = (columns.value()?, columns.value()?);
    let (tier, accord) = (columns.value()?, columns.value()?);
    let opened = columns.row::<CustodyTransition>()?;
    Ok(OpenCeremony { ceremony_id: opened.ceremony_id, name, artifact_type, tier, accord, opened })
}

pub(super) fn closed(row: &rusqlite::Row<'_>) -> rusqlite::Result<ClosedCeremony> {
    let mut columns = Columns::of(row);
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
