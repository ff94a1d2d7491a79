//! Statements, put together from fixed parts and the values that they bind.

use chrono::{DateTime, Utc};
use guildhall_core::ops::{Paging, beyond_beginning};
use guildhall_core::{AsOf, CustodyState, Health, Position, Table, Timestamp};
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, Encode, Postgres, QueryBuilder, Type};

use crate::database::Schema;

/// Whether a `verdict` stands: no later one follows it in its series. OFFSET keeps PostgreSQL from joining
/// all verdicts with all later ones, so that each is looked up by itself and a page ends where it is full;
/// of the two conditions on the time, partitions are chosen by the first.
pub(super) const STANDS: &str = "NOT EXISTS (SELECT 1 \
    FROM {schema}.verification_results AS later \
    WHERE later.artifact_id = verdict.artifact_id AND later.verifier = verdict.verifier \
    AND later.target IS NOT DISTINCT FROM verdict.target \
    AND pg_catalog.left(later.verifier, 128) = pg_catalog.left(verdict.verifier, 128) \
    AND coalesce(pg_catalog.left(later.target, 128), '') \
        = coalesce(pg_catalog.left(verdict.target, 128), '') \
    AND later.verified_at >= verdict.verified_at \
    AND (later.verified_at, later.position) > (verdict.verified_at, verdict.position) OFFSET 0)";

/// What binds the moment that a statement is about.
const MOMENT: &str = "$1";

/// The tables as they were, in the place of those that are, for the statement that follows.
fn as_they_were(schema: &Schema, moment: AsOf) -> QueryBuilder<Postgres> {
    moment_bound(schema, moment, include_str!("../sql/as_of.sql"))
}

/// A statement that binds the moment as $1.
fn moment_bound(schema: &Schema, moment: AsOf, sql: &str) -> QueryBuilder<Postgres> {
    let sql = moment.expand(sql, MOMENT);
    let mut arguments = PgArguments::default();
    // Numbers and times can be encoded.
    let _ = match moment {
        AsOf::Position(position) => arguments.add(position.as_i64()),
        AsOf::Time(at) => arguments.add(DateTime::<Utc>::from(at)),
    };
    QueryBuilder::with_arguments(schema.sql(&sql).as_str(), arguments)
}

const LEFT_OR_OF_HEALTH: &str = "(artifact_id, target) IN (\
     SELECT artifact_id, target FROM {schema}.deployment_states WHERE health = 'HEALTH' UNION ALL \
     SELECT artifact_id, target FROM {schema}.deployment_changes \
     WHERE previous_health = 'HEALTH' AND {after deployment_changes})";

/// An order of these columns, or the one turned round.
pub(super) fn ordered(columns: &[&str], is_descending: bool) -> String {
    let direction = if is_descending { " DESC" } else { "" };
    let order: Vec<_> = columns.iter().map(|column| format!("{column}{direction}")).collect();
    order.join(", ")
}

/// A statement that is put together from fixed parts, which name the schema as `{schema}`, and the
/// values that it binds.
pub(super) struct Select<'d> {
    pub(super) schema: &'d Schema,
    /// As of when the tables are asked.
    pub(super) as_of: Option<AsOf>,
    pub(super) parts: QueryBuilder<Postgres>,
    pub(super) has_where: bool,
}

impl<'d> Select<'d> {
    /// A statement about the moment itself ([`AsOf::expand`]), on the tables as they are.
    pub(super) fn of_moment(schema: &'d Schema, moment: AsOf, sql: &str) -> Self {
        let parts = moment_bound(schema, moment, sql);
        Self { schema, as_of: Some(moment), parts, has_where: true }
    }

    /// A statement that begins so, on the tables as they are or as they were.
    pub(super) fn from(schema: &'d Schema, as_of: Option<AsOf>, sql: &'static str) -> Self {
        let parts = match as_of {
            None => QueryBuilder::new(""),
            Some(moment) => as_they_were(schema, moment),
        };
        let mut select = Self { schema, as_of, parts, has_where: false };
        select.text(&Table::expand(sql.trim_end()));
        select
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        if self.as_of.is_none() {
            self.parts.push(self.schema.sql(text).as_str());
            return self;
        }
        // Without a schema, a name is that of the table as it was.
        let as_it_was =
            |text: String, name: &&str| text.replace(&format!("{{schema}}.{name}"), name);
        let text = Table::NAMES.iter().fold(text.to_owned(), as_it_was);
        self.parts.push(self.schema.sql(&text).as_str());
        self
    }

    /// A condition on the tables as they are, which is about the moment itself ([`AsOf::expand`]); nothing where
    /// there is none.
    fn and_of_moment(&mut self, condition: &str) {
        let Some(moment) = self.as_of else { return };
        let condition = moment.expand(condition, MOMENT);
        self.parts.push(if self.has_where { " AND " } else { " WHERE " });
        self.has_where = true;
        self.parts.push(self.schema.sql(&condition).as_str());
    }

    /// As of a moment, lets only artifacts through that may have been in one of these states: those that are in
    /// one, and those that have left one since. An index finds them.
    pub(super) fn left_or_in_state(&mut self, id: &str, states: &[CustodyState]) {
        let states: Vec<_> = states.iter().map(|state| format!("'{state}'")).collect();
        let those = " IN (SELECT id FROM {schema}.governed_artifacts \
             WHERE coalesce(custody_state, '') IN (STATES) UNION ALL \
             SELECT artifact_id FROM {schema}.custody_transitions \
             WHERE from_state IN (STATES) AND {after custody_transitions})";
        self.and_of_moment(&(id.to_owned() + &those.replace("STATES", &states.join(", "))));
    }

    /// The same of targets and a health, `drifted` or `unknown`: those that are, and those that were found
    /// otherwise since.
    pub(super) fn left_or_of_health(&mut self, health: Health) {
        self.and_of_moment(&LEFT_OR_OF_HEALTH.replace("HEALTH", health.as_str()));
    }

    /// A condition that looks for targets `WHERE health = 'drifted'`, or `'unknown'`: as of a moment, among
    /// those alone that may have been.
    pub(super) fn among_few(&mut self, condition: &str) -> &mut Self {
        let Some(moment) = self.as_of else { return self.text(condition) };
        // In parts, so that the names in what is put between them stay those of the tables as they are.
        let mut rest = condition;
        while let Some((at, health)) = ["drifted", "unknown"]
            .iter()
            .filter_map(|health| {
                let found = rest.find(&format!("WHERE health = '{health}'"))?;
                Some((found, *health))
            })
            .min()
        {
            let end = at + "WHERE health = ''".len() + health.len();
            self.text(&rest[..end]).parts.push(" AND ");
            let few = moment.expand(&LEFT_OR_OF_HEALTH.replace("HEALTH", health), MOMENT);
            self.parts.push(self.schema.sql(&few).as_str());
            rest = &rest[end..];
        }
        self.text(rest)
    }

    pub(super) fn value<T>(&mut self, value: T) -> &mut Self
    where
        T: for<'t> Encode<'t, Postgres> + Type<Postgres>,
    {
        self.parts.push_bind(value);
        self
    }

    pub(super) fn time(&mut self, at: Timestamp) -> &mut Self {
        self.value(DateTime::<Utc>::from(at))
    }

    /// A time and a position.
    pub(super) fn moment(&mut self, (at, position): &(Timestamp, Position)) {
        self.time(*at).text(", ").value(position.as_i64());
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

    /// Lets only those through that begin with one of the texts, or all where there are none.
    pub(super) fn and_begins(&mut self, column: &'static str, beginnings: &[String]) {
        let Some((first, others)) = beginnings.split_first() else { return };
        let between = |select: &mut Self, text: &String| {
            select.text(column).text(" >= ").value(text.clone()).text(" AND ");
            select.text(column).text(" < ").value(beyond_beginning(text));
        };
        self.and("(");
        between(self, first);
        for text in others {
            self.text(" OR ");
            between(self, text);
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

    /// Lets only those of a page through, in the order of these columns or turned round. `bind` writes the
    /// values of the page's key, separated by commas.
    pub(super) fn page<K>(
        &mut self,
        columns: &[&str],
        is_descending: bool,
        paging: &Paging<K>,
        bind: impl FnOnce(&mut Self, &K),
    ) {
        let is_descending = is_descending != paging.is_turned;
        if let Some(key) = &paging.key {
            let beyond = if is_descending { "<" } else { ">" };
            self.and(&format!("({}) {beyond} (", columns.join(", ")));
            bind(self, key);
            self.text(")");
        }
        self.order(&ordered(columns, is_descending), paging.wanted().into());
    }

    /// Ends a statement that [counts](counting) the rows it began with.
    pub(super) fn count_to(&mut self, bound: u32) {
        self.parts.push(" LIMIT ").push_bind(i64::from(bound) + 1).push(") AS counted");
    }

    pub(super) fn order(&mut self, order: &str, limit: i64) {
        self.parts.push(" ORDER BY ").push(order).push(" LIMIT ").push_bind(limit);
    }
}
