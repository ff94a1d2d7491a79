//! Partitions of the tables that grow without end: `verification_results` by month of `verified_at`,
//! `deployment_changes` by month of `observed_at`, `custody_transitions` by hash of `artifact_id`. They are made
//! when a generation is built; months to come are made ahead of time afterwards.

use std::time::{Duration, Instant};

use guildhall_core::fold::Changes;
use guildhall_core::{Fault, Timestamp};
use sqlx::PgConnection;

use crate::changes::OpsTables;
use crate::database::Database;
use crate::entries::timestamp;
use crate::error::{fault, has_sqlstate};

/// Whether a rebuild divides tables into partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Partitions {
    /// As the live tables are.
    #[default]
    AsLive,
    /// No.
    Off,
    /// Yes.
    On,
}

/// How many parts the chains are divided into.
const CHAIN_PARTS: u32 = 8;

/// How many months before the present one are made at most; a hundred partitions cost a query next
/// to nothing, thousands would.
const MOST_MONTHS_BACK: i32 = 120;

/// How many are made at least: the clock of the first row may have been wrong.
const LEAST_MONTHS_BACK: i32 = 12;

/// How many after it.
const MONTHS_AHEAD: i32 = 3;

/// Makes the partitions of the chains.
pub(crate) async fn divide_transitions(
    connection: &mut PgConnection,
    tables: &OpsTables,
) -> Result<(), sqlx::Error> {
    for part in 0..CHAIN_PARTS {
        let create = tables.sql(&format!(
            "CREATE TABLE {{schema}}.custody_transitions{{next}}_{part} \
             PARTITION OF {{schema}}.custody_transitions{{next}} \
             FOR VALUES WITH (MODULUS {CHAIN_PARTS}, REMAINDER {part})"
        ));
        sqlx::raw_sql(create).execute(&mut *connection).await?;
    }
    Ok(())
}

/// A table that is divided by months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Monthly {
    /// `verification_results`.
    Verifications,
    /// `deployment_changes`.
    Changes,
}

impl Monthly {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Verifications, Self::Changes];

    const fn table(self) -> &'static str {
        match self {
            Self::Verifications => "verification_results",
            Self::Changes => "deployment_changes",
        }
    }

    /// The function that makes its months to come.
    const fn extend(self) -> &'static str {
        match self {
            Self::Verifications => "extend_verification_months",
            Self::Changes => "extend_change_months",
        }
    }

    /// The earliest time among rows of it; none where there are none.
    pub(crate) fn earliest(self, rows: &Changes) -> Option<Timestamp> {
        match self {
            Self::Verifications => rows.verifications.iter().map(|row| row.verified_at).min(),
            Self::Changes => rows.deployment_changes.iter().map(|row| row.observed_at).min(),
        }
    }
}

/// Makes the months of a table from that of the earliest row known so far; from the present one where
/// there is none.
pub(crate) async fn divide_by_month(
    connection: &mut PgConnection,
    tables: &OpsTables,
    divided: Monthly,
    earliest: Option<Timestamp>,
) -> Result<(), sqlx::Error> {
    let table = divided.table();
    let now = sqlx::query("SELECT pg_catalog.now()").fetch_one(&mut *connection).await?;
    let present = Month::of(timestamp(&now, 0).unwrap_or(Timestamp::MIN));
    let first = earliest
        .map_or(present, Month::of)
        .clamp(present.plus(-MOST_MONTHS_BACK), present.plus(-LEAST_MONTHS_BACK));
    let last = present.plus(MONTHS_AHEAD);
    let part = |name: &str, from: &str, to: &str| {
        format!(
            "CREATE TABLE {{schema}}.{table}{{next}}_{name} \
             PARTITION OF {{schema}}.{table}{{next}} \
             FOR VALUES FROM ({from}) TO ({to});"
        )
    };
    let mut create = part("earlier", "MINVALUE", &first.start());
    let mut month = first;
    while month <= last {
        create += &part(&month.name(), &month.start(), &month.plus(1).start());
        month = month.plus(1);
    }
    create += &part("later", &month.start(), "MAXVALUE");
    sqlx::raw_sql(tables.sql(&create)).execute(connection).await.map(drop)
}

/// A month of UTC, counted from the year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Month(i32);

impl Month {
    fn of(at: Timestamp) -> Self {
        let text = at.to_bytes();
        let number =
            |digits: &[u8]| digits.iter().fold(0, |sum, it| sum * 10 + i32::from(it - b'0'));
        Self(number(&text[..4]) * 12 + number(&text[5..7]) - 1)
    }

    fn plus(self, months: i32) -> Self {
        Self(self.0 + months)
    }

    fn name(self) -> String {
        format!("{:04}_{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }

    /// Its first moment, as an SQL literal.
    fn start(self) -> String {
        format!("'{:04}-{:02}-01 00:00:00Z'", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

/// When a projector last saw to the months to come.
#[derive(Debug, Default)]
pub(crate) struct MonthsAhead {
    seen_to: Option<Instant>,
}

impl MonthsAhead {
    /// How often they are seen to.
    const INTERVAL: Duration = Duration::from_secs(3600);

    /// Whether it is time to see to them.
    pub(crate) fn is_due(&self) -> bool {
        self.seen_to.is_none_or(|at| at.elapsed() >= Self::INTERVAL)
    }

    /// Makes the months to come, from time to time. Where that fails, rows go to the partition of what is
    /// later, and are moved once it succeeds: no reason to stop.
    pub(crate) async fn see_to(&mut self, database: &Database) -> Result<(), sqlx::Error> {
        if !self.is_due() {
            return Ok(());
        }
        self.seen_to = Some(Instant::now());
        let mut connection = database.acquire().await?;
        for divided in Monthly::ALL {
            let function = divided.extend();
            let extend = database.sql(&format!("SELECT {{schema}}.{function}({MONTHS_AHEAD})"));
            match sqlx::raw_sql(extend).execute(&mut *connection).await {
                Err(error)
                    if fault(&error) == Fault::Permanent || has_sqlstate(&error, "55P03") =>
                {
                    tracing::warn!(
                        %error, function, "partitions for the months ahead could not be made"
                    );
                }
                outcome => outcome.map(drop)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn months_follow_each_other_over_the_years() {
        let month = Month::of("2026-12-31T23:59:59.999999Z".parse().unwrap());
        assert_eq!((month.name().as_str(), month.plus(1).name().as_str()), ("2026_12", "2027_01"));
        assert_eq!(month.plus(-12).start(), "'2025-12-01 00:00:00Z'");
        assert!(month < month.plus(1));
    }
}
