//! Statements, put together from fixed parts and the values that they bind.

use guildhall_core::{Outcome, Table};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use uuid::Uuid;

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
        connection: &Connection,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        statement.query_map(params_from_iter(&self.values), |row| read(row))?.collect()
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

/// Whether a `verdict` stands: looked for among its artifact's, to which the plus keeps SQLite.
pub(super) const STANDS: &str = "verdict.position = (SELECT later.position \
    FROM verification_results AS later \
    WHERE later.artifact_id = verdict.artifact_id AND +later.verifier = verdict.verifier \
    AND +later.target IS verdict.target \
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
