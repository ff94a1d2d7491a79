//! A small batch in one statement, and so in one round trip: it checks that the projector's row is as
//! the projector left it, writes the rows, moves the checkpoint and commits.
//!
//! Each part of the statement that writes reads from `turn`, which has a row only where the check
//! holds. PostgreSQL runs all parts on one snapshot and checks foreign keys at the end, so their order
//! does not matter.

use std::time::Instant;

use chrono::{DateTime, Utc};
use guildhall_core::store::{CheckpointRow, Kind, Row};
use guildhall_core::{Checkpoint, Origin, Table, Timestamp};
use sqlx::{PgConnection, Row as _};

use crate::arrays::{Array, Arrays, insert_from, on_conflict, types};
use crate::changes::OpsTables;
use crate::error::has_sqlstate;

/// A projector's row as it was left, and the database's clock then.
#[derive(Debug)]
pub(crate) struct Left {
    row: CheckpointRow,
    now: Timestamp,
    at: Instant,
}

impl Left {
    /// The database's clock said `now`, at or before the moment `at` of this host's.
    pub(crate) fn new(row: CheckpointRow, now: Timestamp, at: Instant) -> Self {
        Self { row, now, at }
    }

    pub(crate) fn row(&self) -> &CheckpointRow {
        &self.row
    }

    /// The database's clock, or a little before: the lease that is counted from it ends no later than it
    /// should.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.at.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.now.as_micros().saturating_add(passed)).unwrap_or(self.now)
    }
}

/// The statement that writes changes.
#[derive(Debug, Default)]
pub(crate) struct AtOnce<'r> {
    parts: Vec<String>,
    /// Its parameters beside those of the row.
    values: Vec<Array<'r>>,
    /// The parts that each have to change a row.
    changing: Vec<String>,
}

impl<'r> AtOnce<'r> {
    /// How many parameters are the row's.
    const OF_THE_ROW: usize = 9;

    /// Adds rows.
    pub(crate) fn insert<R: Row>(&mut self, rows: &'r [R]) {
        self.insert_or(rows, "");
    }

    /// Adds rows, or puts each in the place of the one with its key.
    pub(crate) fn upsert<R: Row>(&mut self, rows: &'r [R]) {
        self.insert_or(rows, &on_conflict(&R::TABLE));
    }

    /// Adds rows, or does what `ending` says where one with that key is there.
    pub(crate) fn insert_or<R: Row>(&mut self, rows: &'r [R], ending: &str) {
        if rows.is_empty() {
            return;
        }
        let first = self.take_values(Arrays::of(rows).into_columns());
        let Table { name, .. } = R::TABLE;
        let insert = insert_from(&R::TABLE, first, "turn, ");
        self.parts.push(format!("of_{name} AS ({insert}{ending})"));
    }

    /// Changes rows that are there: in each row whose key has a value of the first column, the other
    /// columns. One part a row, so that it is found by its key whatever the planner knows of the table.
    pub(crate) fn update(&mut self, table: &str, columns: Vec<(&'static str, Kind, Array<'r>)>) {
        let rows = columns.first().map_or(0, |(.., key)| key.len());
        if rows == 0 {
            return;
        }
        let names: Vec<_> = columns.iter().map(|(name, kind, _)| (*name, types(*kind))).collect();
        let first = self.take_values(columns.into_iter().map(|(.., array)| array).collect());
        for row in 1..=rows {
            let equations: Vec<_> = (first..)
                .zip(&names)
                .map(|(nth, (name, (kind, cast)))| {
                    format!("{name} = (${nth}::{kind}[])[{row}]{cast}")
                })
                .collect();
            let part = format!("changed_{}", self.changing.len());
            self.parts.push(format!(
                "{part} AS (UPDATE {{schema}}.{table} SET {} FROM turn WHERE {} RETURNING 1)",
                equations[1..].join(", "),
                equations[0],
            ));
            self.changing.push(part);
        }
    }

    /// Takes parameters; returns the number of the first.
    fn take_values(&mut self, values: Vec<Array<'r>>) -> usize {
        let first = Self::OF_THE_ROW + self.values.len() + 1;
        self.values.extend(values);
        first
    }

    fn sql(&self) -> String {
        let turn = include_str!("sql/take_turn.sql").trim_end();
        let parts: String = self.parts.iter().map(|part| format!(", {part}")).collect();
        let ones =
            self.changing.iter().map(|part| format!("(SELECT pg_catalog.count(*) FROM {part})"));
        // A row that is not there fails the whole, by a division by zero.
        let check = match &ones.collect::<Vec<_>>()[..] {
            [] => "1".to_owned(),
            ones => format!(
                "CASE WHEN EXISTS (SELECT 1 FROM turn) \
                 THEN 1 / CASE WHEN {} = {} THEN 1 ELSE 0 END END",
                ones.join(" + "),
                ones.len()
            ),
        };
        format!("{turn}{parts} SELECT (SELECT pg_catalog.count(*) FROM turn), {check}")
    }

    /// Writes all of it; false where the projector's row is not as it was left, or somebody has it
    /// locked, and then nothing is done.
    ///
    /// # Errors
    /// The server's; [`sqlx::Error::RowNotFound`] where a row that was to be changed is not there.
    pub(crate) async fn execute(
        self,
        connection: &mut PgConnection,
        tables: &OpsTables,
        projector: &str,
        left: &CheckpointRow,
        row: &CheckpointRow,
    ) -> Result<bool, sqlx::Error> {
        let Checkpoint { position, leaf_hash, origin } = &row.checkpoint;
        let query = sqlx::query(tables.sql(&self.sql()))
            .bind(projector)
            .bind(left.checkpoint.position.as_i64())
            .bind(left.generation)
            .bind(left.lease.fence)
            .bind(left.lease.holder.map(|(holder, _)| *holder.as_uuid()))
            .bind(position.as_i64())
            .bind(leaf_hash.as_ref().map(|hash| hash.as_bytes().as_slice()))
            .bind(origin.as_ref().map(Origin::as_str))
            .bind(row.lease.holder.map(|(_, until)| DateTime::<Utc>::from(until)));
        let query = self.values.into_iter().fold(query, |query, values| values.bind(query));
        // The whole answer is read: foreign keys are checked once this row is told.
        match query.fetch_one(connection).await {
            Ok(written) => Ok(written.try_get::<i64, _>(0)? > 0),
            Err(error) if has_sqlstate(&error, "55P03") => Ok(false),
            Err(error) if has_sqlstate(&error, "22012") => Err(sqlx::Error::RowNotFound),
            Err(error) => Err(error),
        }
    }
}
