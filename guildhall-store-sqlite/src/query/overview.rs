//! The counts that a dashboard opens with.

use guildhall_core::{Overview, Tier};
use rusqlite::params_from_iter;

use super::select::Asked;
use crate::ops_rows::Columns;

pub(super) fn load(asked: &Asked<'_>) -> rusqlite::Result<Overview> {
    let mut overview = Overview::default();
    let mut by_tier = asked.prepare_one_of(
        "SELECT tier, count(*) FROM governed_artifacts GROUP BY tier",
        include_str!("../sql/tiers_as_of.sql"),
    )?;
    let mut counts = asked.prepare_one_of(
        include_str!("../sql/overview.sql"),
        include_str!("../sql/overview_as_of.sql"),
    )?;
    let mut ceremonies = asked.prepare_one_of(
        include_str!("../sql/count_ceremonies.sql"),
        include_str!("../sql/count_ceremonies_as_of.sql"),
    )?;
    let values = asked.values([]);
    let mut rows = by_tier.query(params_from_iter(&values))?;
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of(row);
        let tier = usize::from(columns.value::<Tier>()?.get());
        overview.artifacts_by_tier[tier] = columns.count()?;
    }
    counts.query_row(params_from_iter(&values), |row| {
        let mut columns = Columns::of(row);
        overview.accords = columns.count()?;
        overview.drifted_deployments = columns.count()?;
        overview.unknown_deployments = columns.count()?;
        let others = overview.drifted_deployments + overview.unknown_deployments;
        overview.healthy_deployments = columns.count()?.saturating_sub(others);
        overview.custody_transitions = columns.count()?;
        overview.verifications = columns.count()?;
        overview.quarantined = columns.count()?;
        Ok(())
    })?;
    ceremonies.query_row(params_from_iter(&values), |row| {
        let mut columns = Columns::of(row);
        overview.open_ceremonies = columns.count()?;
        overview.oldest_ceremony_opened_at = columns.value()?;
        Ok(())
    })?;
    Ok(overview)
}
