//! The counts that a dashboard opens with.

use guildhall_core::Overview;

use super::PostgresOpsDb;
use super::select::Select;
use crate::ops_rows::Columns;

/// The statement of these tables, or of what they were.
pub(super) fn select(ops_db: &PostgresOpsDb) -> Select<'_> {
    match ops_db.as_of {
        None => ops_db.select(include_str!("../sql/overview.sql")),
        Some(moment) => {
            let sql = include_str!("../sql/overview_as_of.sql");
            Select::of_moment(ops_db.database.schema(), moment, sql)
        }
    }
}

pub(super) fn read(columns: &mut Columns<'_>) -> Result<Overview, sqlx::Error> {
    let mut overview = Overview::default();
    for count in &mut overview.artifacts_by_tier {
        *count = columns.count()?;
    }
    overview.accords = columns.count()?;
    overview.drifted_deployments = columns.count()?;
    overview.unknown_deployments = columns.count()?;
    let others = overview.drifted_deployments + overview.unknown_deployments;
    overview.healthy_deployments = columns.count()?.saturating_sub(others);
    overview.custody_transitions = columns.count()?;
    overview.verifications = columns.count()?;
    overview.quarantined = columns.count()?;
    overview.open_ceremonies = columns.count()?;
    overview.oldest_ceremony_opened_at = columns.value()?;
    Ok(overview)
}
