//! The tables of the Ops DB that the fold makes: their names, keys and other columns (DESIGN section
//! 6), the same on every store; and how a rebuilt one differs from the live one.

use std::fmt;

use crate::ids::Position;

/// A table of the Ops DB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns that name a row.
    pub key: &'static [&'static str],
    /// The others, but for `position`, which every table has.
    pub columns: &'static [&'static str],
}

impl Table {
    /// All of them, those first that others refer to.
    pub const ALL: [Self; 6] = [
        Self {
            name: "accord_bindings",
            key: &["id"],
            columns: &["name", "accord_terms", "bound_by", "effective_at"],
        },
        Self {
            name: "governed_artifacts",
            key: &["id"],
            columns: &[
                "accord_binding_id",
                "name",
                "artifact_type",
                "tier",
                "cid",
                "content",
                "content_schema",
                "custody_state",
                "custody_seq",
                "registered_at",
                "revised_at",
            ],
        },
        Self {
            name: "custody_transitions",
            key: &["artifact_id", "seq"],
            columns: &[
                "from_state",
                "to_state",
                "cid",
                "actor",
                "reason",
                "ceremony_id",
                "evidence",
                "occurred_at",
                "prev_hash",
                "hash",
            ],
        },
        Self {
            name: "deployment_states",
            key: &["artifact_id", "target"],
            columns: &[
                "desired_cid",
                "observed_cid",
                "health",
                "health_since",
                "detail",
                "observed_at",
            ],
        },
        Self {
            name: "verification_results",
            key: &["id"],
            columns: &["artifact_id", "target", "verifier", "outcome", "evidence", "verified_at"],
        },
        Self {
            name: "quarantined_entries",
            key: &["position"],
            columns: &["event_id", "stream_id", "event_type", "code", "reason"],
        },
    ];

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
        let compared = self.columns.iter().copied().filter(|column| *column != "reason");
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
