//! Statements, put together from fixed parts and the values that they bind.

use chrono::{DateTime, Utc};
use guildhall_core::{AsOf, Position, Table, Timestamp};
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, Encode, Postgres, QueryBuilder, Type};

use crate::database::Schema;

/// Whether a `verdict` stands; asked of each by itself, so that a page ends where it is full.
pub(super) const STANDS: &str = "verdict.position = (SELECT later.position \
    FROM {schema}.verification_results AS later \
    WHERE later.artifact_id = verdict.artifact_id AND later.verifier = verdict.verifier \
    AND later.target IS NOT DISTINCT FROM verdict.target \
    AND pg_catalog.left(later.verifier, 128) = pg_catalog.left(verdict.verifier, 128) \
    AND coalesce(pg_catalog.left(later.target, 128), '') \
        = coalesce(pg_catalog.left(verdict.target, 128), '') \
    ORDER BY later.verified_at DESC, later.position DESC LIMIT 1)";

/// The tables as they were, in the place of those that are, for the statement that follows.
fn as_they_were(schema: &Schema, moment: AsOf) -> QueryBuilder<Postgres> {
    let mut parts = include_str!("../sql/as_of.sql").split("{shown ");
    let mut sql = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (table, rest) = part.split_once('}').unwrap_or((part, ""));
        match moment.column(table) {
            Some(column) => sql.extend([column, " <= $1"]),
            None => sql.push_str("true"),
        }
        sql.push_str(rest);
    }
    let mut arguments = PgArguments::default();
    // Numbers and times can be encoded.
    let _ = match moment {
        AsOf::Position(position) => arguments.add(position.as_i64()),
        AsOf::Time(at) => arguments.add(DateTime::<Utc>::from(at)),
    };
    QueryBuilder::with_arguments(schema.sql(&sql).as_str(), arguments)
}

/// A statement that is put together from fixed parts, which name the schema as `{schema}`, and the
/// values that it binds.
pub(super) struct Select<'d> {
    pub(super) schema: &'d Schema,
    /// Whether the tables are asked as they were.
    pub(super) is_past: bool,
    pub(super) parts: QueryBuilder<Postgres>,
    pub(super) has_where: bool,
}

impl<'d> Select<'d> {
    /// A statement that begins so, on the tables as they are or as they were.
    pub(super) fn from(schema: &'d Schema, as_of: Option<AsOf>, sql: &'static str) -> Self {
        let parts = match as_of {
            None => QueryBuilder::new(""),
            Some(moment) => as_they_were(schema, moment),
        };
        let mut select = Self { schema, is_past: as_of.is_some(), parts, has_where: false };
        select.text(&Table::expand(sql.trim_end()));
        select
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        if self.is_past {
            // Without a schema, a name is that of the table as it was.
            let as_it_was =
                |text: String, name: &&str| text.replace(&format!("{{schema}}.{name}"), name);
            let text = Table::NAMES.iter().fold(text.to_owned(), as_it_was);
            self.parts.push(self.schema.sql(&text).as_str());
        } else {
            self.parts.push(self.schema.sql(text).as_str());
        }
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
