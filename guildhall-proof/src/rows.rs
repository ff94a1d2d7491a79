//! Rows of the Ops DB as JSON, by their columns: what evidence states and digests hash.

use std::collections::BTreeMap;
use std::fmt;

use guildhall_core::fold::{Changes, RowVisitor};
use guildhall_core::{Json, Table, TableRow};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// One row: each column's name, and its value as canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Row(BTreeMap<String, Json>);

impl Row {
    /// The row that a struct of the Ops DB serialises as ([`AccordBinding`] and the others).
    ///
    /// # Errors
    /// It is not a JSON object.
    ///
    /// [`AccordBinding`]: guildhall_core::AccordBinding
    pub fn of(row: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&serde_json::to_string(row)?)
    }

    /// Its columns.
    pub const fn columns(&self) -> &BTreeMap<String, Json> {
        &self.0
    }

    /// Its canonical JSON (RFC 8785).
    pub fn to_text(&self) -> String {
        // Names and JSON serialise; names of columns are ASCII, and sorted.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;

        impl<'de> Visitor<'de> for Columns {
            type Value = Row;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a row: an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut columns = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Json>()? {
                    if let Some(_twice) = columns.insert(name, value) {
                        return Err(A::Error::custom("a column occurs twice in one row"));
                    }
                }
                Ok(Row(columns))
            }
        }

        deserializer.deserialize_map(Columns)
    }
}

/// The tables that evidence has rows of: all but the counts, which are of every artifact's rows.
const NAMES: [&str; 8] = {
    let mut names = [""; 8];
    let mut nth = 0;
    while nth < names.len() {
        names[nth] = Table::NAMES[nth];
        nth += 1;
    }
    names
};

/// Rows of the Ops DB by their tables, each table's in the order of its key. Every table is there but
/// `row_counts`, if only without a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Rows(BTreeMap<&'static str, Vec<Row>>);

impl Default for Rows {
    /// No row.
    fn default() -> Self {
        Self(NAMES.iter().map(|name| (*name, Vec::new())).collect())
    }
}

/// Where rows differ from those that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowDifference {
    /// A table has a different number of rows.
    #[error("{table} has {found} rows, expected {expected}")]
    Count {
        /// The table.
        table: &'static str,
        /// How many it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
    /// A column differs.
    #[error("{table}, row {row}: {column} is {found}, expected {expected}")]
    Column {
        /// The table.
        table: &'static str,
        /// The row, from 1, in the order of the key.
        row: usize,
        /// The column.
        column: String,
        /// What it is, cut to 128 characters; "nothing" where the row does not have it.
        found: String,
        /// What it should be, likewise.
        expected: String,
    },
}

impl Rows {
    /// The rows that a fold over empty tables changed.
    ///
    /// # Errors
    /// None known: the rows of the Ops DB are JSON objects.
    pub fn of(changes: &Changes) -> Result<Self, serde_json::Error> {
        let mut found = Found(BTreeMap::new());
        changes.visit(&mut found);
        let mut rows = Self::default();
        for (table, mut of_it) in found.0 {
            of_it.sort_by(TableRow::cmp_key);
            rows.0.insert(table, of_it.iter().map(Row::of).collect::<Result<_, _>>()?);
        }
        Ok(rows)
    }

    /// The rows of a table; none where there is no table of that name.
    pub fn table(&self, name: &str) -> &[Row] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The same, to change them.
    pub fn table_mut(&mut self, name: &str) -> Option<&mut Vec<Row>> {
        self.0.get_mut(name)
    }

    /// The tables by their names, those first that others refer to.
    pub fn tables(&self) -> impl Iterator<Item = (&'static str, &[Row])> {
        NAMES.into_iter().map(|name| (name, self.table(name)))
    }

    /// Compares with the rows that should be there. How a quarantined entry's `reason` is worded is
    /// not compared: another version may say it otherwise.
    ///
    /// # Errors
    /// [`RowDifference`], the first.
    pub fn compare(&self, expected: &Self) -> Result<(), RowDifference> {
        for ((table, found), (_, expected)) in self.tables().zip(expected.tables()) {
            if found.len() != expected.len() {
                let (found, expected) = (found.len(), expected.len());
                return Err(RowDifference::Count { table, found, expected });
            }
            for (nth, (found, expected)) in found.iter().zip(expected).enumerate() {
                let names = found.0.keys().chain(expected.0.keys());
                let mut names =
                    names.filter(|name| *name != "reason" || table != "quarantined_entries");
                if let Some(column) = names.find(|name| found.0.get(*name) != expected.0.get(*name))
                {
                    let show = |row: &Row| {
                        let value = row.0.get(column).map_or("nothing", Json::as_str);
                        value.chars().take(128).collect()
                    };
                    return Err(RowDifference::Column {
                        table,
                        row: nth + 1,
                        column: column.clone(),
                        found: show(found),
                        expected: show(expected),
                    });
                }
            }
        }
        Ok(())
    }
}

struct Found(BTreeMap<&'static str, Vec<TableRow>>);

impl RowVisitor for Found {
    fn row<R: guildhall_core::store::Row>(&mut self, row: &R) {
        if NAMES.contains(&R::TABLE.name) {
            self.0.entry(R::TABLE.name).or_default().push(TableRow::of(row));
        }
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tables;

        impl<'de> Visitor<'de> for Tables {
            type Value = Rows;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("rows: an object of every table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rows, A::Error> {
                let mut tables = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    let known = NAMES.into_iter().find(|known| *known == name);
                    let known = known.ok_or_else(|| A::Error::unknown_field(&name, &NAMES))?;
                    if let Some(_twice) = tables.insert(known, map.next_value::<Vec<Row>>()?) {
                        return Err(A::Error::duplicate_field(known));
                    }
                }
                let missing = NAMES.into_iter().find(|name| !tables.contains_key(name));
                missing.map_or(Ok(Rows(tables)), |name| Err(A::Error::missing_field(name)))
            }
        }

        deserializer.deserialize_map(Tables)
    }
}
