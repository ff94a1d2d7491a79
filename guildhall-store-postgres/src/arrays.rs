//! Rows as arrays, a column a parameter, which `unnest` makes rows of again.

use std::borrow::Cow;
use std::convert::Infallible;

use chrono::{DateTime, Utc};
use guildhall_core::store::{ColumnWriter, Kind, Row};
use guildhall_core::{Cid, Json, Table, Timestamp};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use uuid::Uuid;

/// The type of a column in the statement, and what makes the table's of it.
pub(crate) const fn types(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Uuid => ("uuid", ""),
        Kind::Text => ("text", ""),
        Kind::Json => ("text", "::jsonb"),
        Kind::Time => ("timestamptz", ""),
        Kind::Hash => ("bytea", ""),
        Kind::Integer => ("bigint", ""),
        Kind::Small => ("smallint", ""),
    }
}

/// The statement that adds rows given as [`Arrays`], or puts each in the place of the one with its
/// key; `{schema}` and `{next}` are still to be put in.
pub(crate) fn upsert(table: &Table) -> String {
    insert_from(table, 1, "") + &on_conflict(table)
}

/// The statement that adds rows given as [`Arrays`], of which the first is the parameter `first`, for
/// each row of `beside`: nothing, or what it is called and a comma.
pub(crate) fn insert_from(table: &Table, first: usize, beside: &str) -> String {
    let Table { name, columns, .. } = table;
    let join = |parts: Vec<String>| parts.join(", ");
    let arrays = (first..).zip(*columns).map(|(nth, it)| format!("${nth}::{}[]", types(it.kind).0));
    let values = columns.iter().map(|it| format!("given.{}{}", it.name, types(it.kind).1));
    format!(
        "INSERT INTO {{schema}}.{name}{{next}} ({list}) SELECT {values} \
         FROM {beside}unnest({arrays}) AS given ({list})",
        list = table.list(),
        values = join(values.collect()),
        arrays = join(arrays.collect()),
    )
}

/// What puts each row in the place of the one with its key.
pub(crate) fn on_conflict(table: &Table) -> String {
    let set = table.beside_key().map(|it| format!("{it} = excluded.{it}"));
    let set = set.collect::<Vec<_>>().join(", ");
    format!(" ON CONFLICT ({key}) DO UPDATE SET {set}", key = table.key.join(", "))
}

/// One column of many rows.
#[derive(Debug)]
pub(crate) enum Array<'r> {
    Uuid(Vec<Option<Uuid>>),
    Text(Vec<Option<Cow<'r, str>>>),
    Time(Vec<Option<DateTime<Utc>>>),
    Hash(Vec<Option<&'r [u8]>>),
    Integer(Vec<Option<i64>>),
    Small(Vec<Option<i16>>),
}

impl<'r> Array<'r> {
    /// How many values it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Uuid(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Time(values) => values.len(),
            Self::Hash(values) => values.len(),
            Self::Integer(values) => values.len(),
            Self::Small(values) => values.len(),
        }
    }

    /// Binds it as the next parameter.
    pub(crate) fn bind<'q>(
        self,
        query: Query<'q, Postgres, PgArguments>,
    ) -> Query<'q, Postgres, PgArguments>
    where
        'r: 'q,
    {
        match self {
            Self::Uuid(values) => query.bind(values),
            Self::Text(values) => query.bind(values),
            Self::Time(values) => query.bind(values),
            Self::Hash(values) => query.bind(values),
            Self::Integer(values) => query.bind(values),
            Self::Small(values) => query.bind(values),
        }
    }
}

/// The columns of rows.
#[derive(Debug)]
pub(crate) struct Arrays<'r> {
    columns: Vec<Array<'r>>,
    /// The column that comes next.
    next: usize,
}

impl<'r> Arrays<'r> {
    pub(crate) fn of<R: Row>(rows: &'r [R]) -> Self {
        let column = |kind| match kind {
            Kind::Uuid => Array::Uuid(Vec::with_capacity(rows.len())),
            Kind::Text | Kind::Json => Array::Text(Vec::with_capacity(rows.len())),
            Kind::Time => Array::Time(Vec::with_capacity(rows.len())),
            Kind::Hash => Array::Hash(Vec::with_capacity(rows.len())),
            Kind::Integer => Array::Integer(Vec::with_capacity(rows.len())),
            Kind::Small => Array::Small(Vec::with_capacity(rows.len())),
        };
        let columns = R::TABLE.columns.iter().map(|it| column(it.kind)).collect();
        let mut arrays = Self { columns, next: 0 };
        for row in rows {
            arrays.next = 0;
            let Ok(()) = row.write(&mut arrays);
        }
        arrays
    }

    /// Binds the columns, in order.
    pub(crate) fn bind<'q>(
        self,
        query: Query<'q, Postgres, PgArguments>,
    ) -> Query<'q, Postgres, PgArguments>
    where
        'r: 'q,
    {
        self.columns.into_iter().fold(query, |query, column| column.bind(query))
    }

    /// The columns, in order.
    pub(crate) fn into_columns(self) -> Vec<Array<'r>> {
        self.columns
    }

    /// Adds a value to the next column, which is of its kind: both come from one description.
    fn push(&mut self, add: impl FnOnce(&mut Array<'r>)) -> Result<(), Infallible> {
        if let Some(column) = self.columns.get_mut(self.next) {
            add(column);
        }
        self.next += 1;
        Ok(())
    }
}

/// Adds to a column of this kind.
macro_rules! push {
    ($arrays:expr, $kind:ident, $value:expr) => {
        $arrays.push(|column| {
            if let Array::$kind(values) = column {
                values.push(Some($value));
            }
        })
    };
}

impl<'r> ColumnWriter<'r> for Arrays<'r> {
    type Error = Infallible;

    fn null(&mut self) -> Result<(), Infallible> {
        self.push(|column| match column {
            Array::Uuid(values) => values.push(None),
            Array::Text(values) => values.push(None),
            Array::Time(values) => values.push(None),
            Array::Hash(values) => values.push(None),
            Array::Integer(values) => values.push(None),
            Array::Small(values) => values.push(None),
        })
    }

    fn uuid(&mut self, value: Uuid) -> Result<(), Infallible> {
        push!(self, Uuid, value)
    }

    fn text(&mut self, value: &'r str) -> Result<(), Infallible> {
        push!(self, Text, value.into())
    }

    fn cid(&mut self, value: Cid) -> Result<(), Infallible> {
        push!(self, Text, value.to_string().into())
    }

    fn json(&mut self, value: &'r Json) -> Result<(), Infallible> {
        push!(self, Text, value.as_str().into())
    }

    fn time(&mut self, value: Timestamp) -> Result<(), Infallible> {
        push!(self, Time, value.into())
    }

    fn hash(&mut self, value: &'r [u8; 32]) -> Result<(), Infallible> {
        push!(self, Hash, value.as_slice())
    }

    fn integer(&mut self, value: i64) -> Result<(), Infallible> {
        push!(self, Integer, value)
    }

    fn small(&mut self, value: i16) -> Result<(), Infallible> {
        push!(self, Small, value)
    }
}
