//! The counts that a dashboard opens with: those that are kept, or, as of a moment, those that are made.

use guildhall_core::{AsOf, CountedRows, Overview, RowCount, Table, Tier};
use rusqlite::{OptionalExtension, params_from_iter};

use super::select::{Asked, expanded};
use crate::ops_rows::Columns;

/// All counts.
pub(super) const COUNTS: &str = "SELECT {row_counts.*} FROM row_counts";

/// One of them.
pub(super) const COUNT: &str = "SELECT rows FROM row_counts WHERE counted = ?";

pub(super) fn load(asked: &Asked<'_>) -> rusqlite::Result<Overview> {
    match asked.as_of {
        None => load_kept(asked),
        Some(moment) => load_as_of(asked, moment),
    }
}

/// How many rows of a kind there are now.
pub(super) fn load_count(asked: &Asked<'_>, counted: CountedRows) -> rusqlite::Result<u64> {
    let mut load = asked.prepare(COUNT)?;
    let found = load.query_row([counted.as_str()], |row| Columns::of(row).count());
    Ok(found.optional()?.unwrap_or(0))
}

fn load_kept(asked: &Asked<'_>) -> rusqlite::Result<Overview> {
    let mut load = asked.prepare(&Table::expand(COUNTS))?;
    let counts = load.query_map([], |row| Columns::of(row).row::<RowCount>())?;
    let counts: Vec<_> = counts.collect::<rusqlite::Result<_>>()?;
    let mut oldest = asked.prepare(include_str!("../sql/oldest_ceremony.sql"))?;
    let oldest = oldest.query_row([], |row| Columns::of(row).value())?;
    Ok(Overview::of_counts(counts, oldest))
}

fn load_as_of(asked: &Asked<'_>, moment: AsOf) -> rusqlite::Result<Overview> {
    let mut overview = Overview::default();
    let values = asked.values([]);
    let prepare = |sql| asked.connection.prepare_cached(&expanded(sql, moment));
    let mut by_tier = prepare(include_str!("../sql/tiers_as_of.sql"))?;
    let mut rows = by_tier.query(params_from_iter(&values))?;
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of(row);
        let tier = usize::from(columns.value::<Tier>()?.get());
        overview.artifacts_by_tier[tier] = columns.count()?;
    }
    let mut counts = prepare(include_str!("../sql/overview_as_of.sql"))?;
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
    let mut ceremonies = prepare(include_str!("../sql/count_ceremonies_as_of.sql"))?;
    ceremonies.query_row(params_from_iter(&values), |row| {
        let mut columns = Columns::of(row);
        overview.open_ceremonies = columns.count()?;
        overview.oldest_ceremony_opened_at = columns.value()?;
        Ok(())
    })?;
    Ok(overview)
}
