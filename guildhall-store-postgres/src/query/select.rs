//! Statements, put together from fixed parts and the values that they bind.

use guildhall_core::{Position, Table, Timestamp};
use sqlx::{Encode, Postgres, QueryBuilder, Type};

use crate::database::Schema;

/// Whether a `verdict` stands; asked of each by itself, so that a page ends where it is full.
pub(super) const STANDS: &str = "verdict.position = (SELECT later.position \
    FROM {schema}.verification_results AS later \
    WHERE later.artifact_id = verdict.artifact_id AND later.verifier = verdict.verifier \
    AND later.target IS NOT DISTINCT FROM verdict.target \
    ORDER BY later.verified_at DESC, later.position DESC LIMIT 1)";

/// A statement that is put together from fixed parts, which name the schema as `{schema}`, and the
/// values that it binds.
pub(super) struct Select<'d> {
    pub(super) schema: &'d Schema,
    pub(super) parts: QueryBuilder<Postgres>,
    pub(super) has_where: bool,
}

impl<'d> Select<'d> {
    pub(super) fn from(schema: &'d Schema, sql: &'static str) -> Self {
        let parts = QueryBuilder::new(schema.sql(&Table::expand(sql.trim_end())).as_str());
        Self { schema, parts, has_where: false }
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.parts.push(self.schema.sql(text).as_str());
        self
    }

    pub(super) fn value<T>(&mut self, value: T) -> &mut Self
    where
        T: for<'t> Encode<'t, Postgres> + Type<Postgres>,
    {
        self.parts.push_bind(value);
        self
    }

    /// A time and a position, in parentheses.
    pub(super) fn moment(&mut self, (at, position): (Timestamp, Position)) -> &mut Self {
        let at = chrono::DateTime::<chrono::Utc>::from(at);
        self.text("(").value(at).text(", ").value(position.as_i64()).text(")")
    }

    /// Lets only those through for whom the condition that begins so holds.
    pub(super) fn and(&mut self, condition: &str) -> &mut Self {
        self.text(if self.has_where { " AND " } else { " WHERE " });
        self.has_where = true;
        self.text(condition)
    }

    /// Lets only those through that have one of the values, or all where there are none.
    pub(super) fn and_any<W, T>(
        &mut self,
        column: &'static str,
        words: &[W],
        value: impl Fn(&W) -> T,
    ) where
        T: for<'t> Encode<'t, Postgres> + Type<Postgres>,
    {
        let Some((first, others)) = words.split_first() else { return };
        self.and(column).text(" IN (").value(value(first));
        for word in others {
            self.text(", ").value(value(word));
        }
        self.text(")");
    }

    /// The same of a text that may be longer than an index takes, which has how it begins.
    pub(super) fn and_any_long(&mut self, column: &'static str, texts: &[String]) {
        let Some((first, others)) = texts.split_first() else { return };
        const BEGINNING: &str = "pg_catalog.left(";
        self.and(BEGINNING).text(column).text(", 128) IN (");
        self.text(BEGINNING).value(first.clone()).text(", 128)");
        for text in others {
            self.text(", ").text(BEGINNING).value(text.clone()).text(", 128)");
        }
        self.text(")");
        self.and_any(column, texts, String::clone);
    }

    pub(super) fn order(&mut self, order: &str, limit: i64) {
        self.parts.push(" ORDER BY ").push(order).push(" LIMIT ").push_bind(limit);
    }
}
