//! Statements, put together from fixed parts and the values that they bind.

use guildhall_core::ops::{Paging, beyond_beginning};
use guildhall_core::{AsOf, Outcome, Position, Table, Timestamp};
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, Row, params_from_iter};
use uuid::Uuid;

use crate::ops_rows::Columns;

/// What binds the moment that a statement is about.
const MOMENT: &str = "?1";

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

    /// What a statement on these tables binds, or one about the moment.
    pub(super) fn values(&self, values: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let moment = self.as_of.map(|moment| match moment {
            AsOf::Position(position) => Value::from(position.as_i64()),
            AsOf::Time(at) => Value::from(at.to_string()),
        });
        moment.into_iter().chain(values).collect()
    }
}

/// A part of a statement about a moment ([`AsOf::expand`]).
pub(super) fn expanded(sql: &str, moment: AsOf) -> String {
    moment.expand(sql, MOMENT)
}

/// The tables as they were, in the place of those that are, for the statement that follows.
fn as_they_were(moment: AsOf) -> String {
    expanded(include_str!("../sql/as_of.sql"), moment)
}

/// The artifacts that may have been in one of so many states, whose marks stand in it twice: those that are
/// in one, and those that have left one since. An index finds them.
pub(super) fn left_or_in_state(marks: &str, moment: AsOf) -> String {
    let those = "id IN (SELECT id FROM main.governed_artifacts \
         WHERE coalesce(custody_state, '') IN (MARKS) UNION ALL \
         SELECT artifact_id FROM main.custody_transitions \
         WHERE {after custody_transitions} AND from_state IN (MARKS))";
    expanded(those, moment).replace("MARKS", marks)
}

/// The targets that may have been of a health, `drifted` or `unknown`: those that are, and those that
/// were found otherwise since. An index finds them.
pub(super) fn left_or_of_health(health: &str, moment: AsOf) -> String {
    let those = "(artifact_id, target) IN (\
         SELECT artifact_id, target FROM main.deployment_states WHERE health = 'HEALTH' UNION ALL \
         SELECT artifact_id, target FROM main.deployment_changes \
         WHERE {after deployment_changes} AND previous_health = 'HEALTH')";
    expanded(&those.replace("HEALTH", health), moment)
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

    /// Lets only those through that begin with one of the texts, or all where there are none.
    pub(super) fn and_begins(self, column: &str, beginnings: &[String]) -> Self {
        if beginnings.is_empty() {
            return self;
        }
        let one = format!("({column} >= ? AND {column} < ?)");
        let any = vec![one; beginnings.len()].join(" OR ");
        let ends = beginnings.iter().flat_map(|text| [text.clone(), beyond_beginning(text)]);
        self.and(&format!("({any})"), ends.map(Value::Text))
    }

    pub(super) fn ordered(mut self, order: &str, limit: i64) -> Self {
        self.sql.push_str(" ORDER BY ");
        self.sql.push_str(order);
        self.sql.push_str(" LIMIT ?");
        self.values.push(limit.into());
        self
    }

    /// Lets only those of a page through, in the order of these columns or turned round. `values` are those of the
    /// page's key.
    pub(super) fn paged<K>(
        mut self,
        columns: &[&str],
        is_descending: bool,
        paging: &Paging<K>,
        values: impl FnOnce(&K) -> Vec<Value>,
    ) -> Self {
        let is_descending = is_descending != paging.is_turned;
        if let Some(key) = &paging.key {
            let beyond = if is_descending { "<" } else { ">" };
            let marks = vec!["?"; columns.len()].join(", ");
            self = self.and(&format!("({}) {beyond} ({marks})", columns.join(", ")), values(key));
        }
        self.ordered(&ordered(columns, is_descending), paging.wanted().into())
    }

    /// How many rows there are, up to one beyond `bound`.
    pub(super) fn count(&self, asked: &Asked<'_>, bound: u32) -> rusqlite::Result<u64> {
        let sql = format!("SELECT count(*) FROM ({} LIMIT ?)", self.sql);
        let values = self.values.iter().cloned().chain([Value::from(i64::from(bound) + 1)]);
        let mut statement = asked.prepare(&sql)?;
        statement.query_row(params_from_iter(asked.values(values)), |row| Columns::of(row).count())
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

/// An order of these columns, or the one turned round.
pub(super) fn ordered(columns: &[&str], is_descending: bool) -> String {
    let direction = if is_descending { " DESC" } else { "" };
    let order: Vec<_> = columns.iter().map(|column| format!("{column}{direction}")).collect();
    order.join(", ")
}

/// The values of a time and a position.
pub(super) fn moment((at, position): &(Timestamp, Position)) -> Vec<Value> {
    vec![at.to_string().into(), position.as_i64().into()]
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
