//! What a table of the Ops DB is, and how a rebuilt one differs from the live one. The tables
//! themselves: [`store::rows`](crate::store::Row).

use std::fmt;

use crate::ids::Position;

/// A table of the Ops DB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns that name a row.
    pub key: &'static [&'static str],
    /// All of its columns, `position` among them, in the order in which rows are written and read.
    pub columns: &'static [Column],
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it can be null.
    pub is_nullable: bool,
}

/// What a column holds; each store has one type for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An id: 16 bytes.
    Uuid,
    /// A text, a word or a CID.
    Text,
    /// JSON.
    Json,
    /// A time, in microseconds.
    Time,
    /// A hash: 32 bytes.
    Hash,
    /// A number up to 2^53 - 1.
    Integer,
    /// A number of one digit.
    Small,
}

impl Table {
    /// The names of its columns, in order, separated by commas.
    pub fn list(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// The same, of the table under an alias.
    pub(crate) fn list_of(&self, alias: &str) -> String {
        let names = self.columns.iter().map(|column| format!("{alias}.{}", column.name));
        names.collect::<Vec<_>>().join(", ")
    }

    /// The columns that do not name a row.
    pub fn beside_key(&self) -> impl Iterator<Item = &'static str> {
        let names = self.columns.iter().map(|column| column.name);
        names.filter(|name| !self.key.contains(name))
    }

    /// The query for the greatest position that wrote a row of this table.
    pub fn greatest(&self, live: &str) -> String {
        format!("SELECT max(position) FROM {live}")
    }

    /// Up to which position the live tables can be compared with rebuilt ones: as far as the live
    /// checkpoint says that they go, and as far as their own rows go, which a checkpoint that somebody
    /// set back does not hide; of those, only what the rebuilt ones have reached.
    pub fn compared_up_to(live: Position, greatest: Position, rebuilt: Position) -> Position {
        live.max(greatest.min(rebuilt))
    }

    /// The queries that compare the live table with a rebuilt one, by what each finds, in the SQL that
    /// every store speaks: how many rows, and the first position that wrote one. Only rows that
    /// entries up to `$1` wrote are compared; a later one may have changed the others. The wording of
    /// a quarantined entry's `reason` is not compared: another version may say it otherwise.
    pub fn comparisons(&self, live: &str, next: &str) -> [(DifferenceKind, String); 3] {
        let join = |what: &str, separator: &str, columns: &[&str]| {
            let conditions = columns.iter().map(|it| format!("live.{it} {what} next.{it}"));
            conditions.collect::<Vec<_>>().join(separator)
        };
        let same_row = join("=", " AND ", self.key);
        let is_compared = |column: &&str| !["position", "reason"].contains(column);
        let compared = self.beside_key().filter(is_compared);
        let differs = join("IS DISTINCT FROM", " OR ", &compared.collect::<Vec<_>>());
        let absent = |from: &str, here: &str, there: &str, other: &str| {
            format!(
                "SELECT count(*), min({here}.position) FROM {from} AS {here} \
                 WHERE {here}.position <= $1 AND NOT EXISTS \
                 (SELECT 1 FROM {other} AS {there} WHERE {same_row})"
            )
        };
        let changed = format!(
            "SELECT count(*), min(live.position) FROM {live} AS live JOIN {next} AS next \
             ON {same_row} WHERE live.position <= $1 AND next.position <= $1 \
             AND (live.position <> next.position OR {differs})"
        );
        [
            (DifferenceKind::Gone, absent(live, "live", "next", next)),
            (DifferenceKind::Changed, changed),
            (DifferenceKind::New, absent(next, "next", "live", live)),
        ]
    }
}

/// How a rebuilt table differs from the live one, in rows that entries up to one position wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// What became of the rows.
    pub kind: DifferenceKind,
    /// How many rows.
    pub rows: u64,
    /// The first position that wrote one of them.
    pub first: Position,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, kind, rows, first } = self;
        let row = if *rows == 1 { "row" } else { "rows" };
        let kind = match kind {
            DifferenceKind::Gone => "gone",
            DifferenceKind::Changed => "changed",
            DifferenceKind::New => "new",
        };
        write!(formatter, "{table}: {rows} {row} {kind}, the first of position {first}")
    }
}

/// What became of rows in a rebuilt table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The live table has them, the rebuilt one does not.
    Gone,
    /// Both have them, with other values.
    Changed,
    /// The rebuilt table has them, the live one does not.
    New,
}
