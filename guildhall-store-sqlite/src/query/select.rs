//! Statements, put together from fixed parts and the values that they bind.

use guildhall_core::{AsOf, Outcome, Table};
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, Row, params_from_iter};
use uuid::Uuid;

/// The tables that are asked: as they are, or as they were.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'c> {
    pub(super) connection: &'c Connection,
    pub(super) as_of: Option<AsOf>,
}

impl<'c> Asked<'c> {
    /// A statement whose parameters are `?`, on these tables.
    pub(super) fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
        match self.as_of {
            None => self.connection.prepare_cached(sql),
            Some(moment) => self.connection.prepare_cached(&(as_they_were(moment) + sql)),
        }
    }

    /// What such a statement binds.
    pub(super) fn values(&self, values: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let moment = self.as_of.map(|moment| match moment {
            AsOf::Position(position) => Value::from(position.as_i64()),
            AsOf::Time(at) => Value::from(at.to_string()),
        });
        moment.into_iter().chain(values).collect()
    }
}

/// The tables as they were, in the place of those that are, for the statement that follows.
fn as_they_were(moment: AsOf) -> String {
    let mut parts = include_str!("../sql/as_of.sql").split("{shown ");
    let mut sql = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (table, rest) = part.split_once('}').unwrap_or((part, ""));
        match moment.column(table) {
            Some(column) => sql.extend([column, " <= ?1"]),
            None => sql.push_str("true"),
        }
        sql.push_str(rest);
    }
    sql
}

/// A statement that is put together from fixed parts, and the values that it binds, in order.
#[derive(Debug, Clone)]
pub(super) struct Select {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
    pub(super) has_where: bool,
}

impl Select {
    pub(super) fn from(sql: &'static str) -> Self {
        Self { sql: Table::expand(sql.trim_end()), values: Vec::new(), has_where: false }
    }

    /// Lets only those through for whom `condition` holds.
    pub(super) fn and(mut self, condition: &str, values: impl IntoIterator<Item = Value>) -> Self {
        self.sql.push_str(if self.has_where { " AND " } else { " WHERE " });
        self.has_where = true;
        self.sql.push_str(condition);
        self.values.extend(values);
        self
    }

    /// Lets only those through that have one of the values, or all where there are none.
    pub(super) fn and_any(self, column: &str, values: Vec<Value>) -> Self {
        if values.is_empty() {
            return self;
        }
        let marks = vec!["?"; values.len()].join(", ");
        self.and(&format!("{column} IN ({marks})"), values)
    }

    pub(super) fn ordered(mut self, order: &str, limit: i64) -> Self {
        self.sql.push_str(" ORDER BY ");
        self.sql.push_str(order);
        self.sql.push_str(" LIMIT ?");
        self.values.push(limit.into());
        self
    }

    pub(super) fn load<T>(
        &self,
        asked: &Asked<'_>,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut statement = asked.prepare(&self.sql)?;
        let values = asked.values(self.values.iter().cloned());
        statement.query_map(params_from_iter(values), |row| read(row))?.collect()
    }
}

pub(super) fn bytes(id: &Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}

pub(super) fn words<T: Copy>(words: &[T], text: impl Fn(T) -> &'static str) -> Vec<Value> {
    words.iter().map(|word| Value::Text(text(*word).to_owned())).collect()
}

pub(super) fn texts(texts: &[String]) -> Vec<Value> {
    texts.iter().cloned().map(Value::Text).collect()
}

/// Whether a `verdict` stands: it is the last of its series.
pub(super) const STANDS: &str = "verdict.position = (SELECT later.position \
    FROM verification_results AS later \
    WHERE later.artifact_id = verdict.artifact_id AND later.verifier = verdict.verifier \
    AND later.target IS verdict.target \
    ORDER BY later.verified_at DESC, later.position DESC LIMIT 1)";

/// Lets only verdicts of these outcomes through, of which there is one.
pub(super) fn outcome_condition(outcomes: &[Outcome]) -> (String, Vec<Value>) {
    // Written out, because that is how SQLite knows a partial index to fit.
    match outcomes {
        [Outcome::Failed] => ("outcome = 'failed'".to_owned(), Vec::new()),
        [Outcome::Inconclusive] => ("outcome = 'inconclusive'".to_owned(), Vec::new()),
        outcomes => {
            let marks = vec!["?"; outcomes.len()].join(", ");
            (format!("outcome IN ({marks})"), words(outcomes, Outcome::as_str))
        }
    }
}
