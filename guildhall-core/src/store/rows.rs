//! The rows of the Ops DB as stores hold them: each table's columns once, in order, with what they
//! hold (DESIGN section 6).
//!
//! A store has a [`ColumnReader`] and a [`ColumnWriter`], and makes its lists of columns of
//! [`Row::TABLE`]; so no statement agrees with the code around it by position alone.

use std::error::Error;

use uuid::Uuid;

use crate::cid::{Cid, LeafHash, LinkHash};
use crate::custody::CustodyState;
use crate::event::{EventType, Outcome, Tier};
use crate::ids::{
    AccordId, ArtifactId, CeremonyId, EventId, HolderId, Position, Revision, Seq, StreamId,
};
use crate::invariant::Code;
use crate::json::Json;
use crate::ops::{
    AccordBinding, ArtifactRevision, Column, CountedRows, CustodyTransition, DeploymentChange,
    DeploymentState, GovernedArtifact, Health, Kind, QuarantinedEntry, RowCount, Table,
    VerificationResult,
};
use crate::origin::Origin;
use crate::time::Timestamp;

/// A row of one of the tables that the fold makes.
pub trait Row: Sized {
    /// Its table, with the columns in the order in which they are written and read.
    const TABLE: Table;

    /// The entry that last wrote the row.
    fn position(&self) -> Position;

    /// Writes every column, in order.
    ///
    /// # Errors
    /// The writer's own.
    fn write<'r, W: ColumnWriter<'r>>(&'r self, to: &mut W) -> Result<(), W::Error>;

    /// Reads every column, in order.
    ///
    /// # Errors
    /// The reader's own. Somebody else may have written the row, so nothing about it is certain.
    fn read<R: ColumnReader>(from: &mut R) -> Result<Self, R::Error>;
}

macro_rules! rows {
    ($($row:ident in $table:literal by ($($key:ident),+) { $($column:ident: $value:ty,)+ })+) => {$(
        impl Row for $row {
            const TABLE: Table = Table {
                name: $table,
                key: &[$(stringify!($key)),+],
                columns: &[$(Column {
                    name: stringify!($column),
                    kind: <$value as Value>::KIND,
                    is_nullable: <$value as Value>::IS_NULLABLE,
                }),+],
            };

            fn position(&self) -> Position {
                self.position
            }

            fn write<'r, W: ColumnWriter<'r>>(&'r self, to: &mut W) -> Result<(), W::Error> {
                $(<$value as Value>::write(&self.$column, to)?;)+
                Ok(())
            }

            fn read<R: ColumnReader>(from: &mut R) -> Result<Self, R::Error> {
                Ok(Self { $($column: <$value as Value>::read(from)?,)+ })
            }
        }
    )+};
}

rows! {
    AccordBinding in "accord_bindings" by (id) {
        id: AccordId,
        name: String,
        accord_terms: Json,
        bound_by: String,
        effective_at: Timestamp,
        position: Position,
    }

    GovernedArtifact in "governed_artifacts" by (id) {
        id: ArtifactId,
        accord_binding_id: AccordId,
        name: String,
        artifact_type: String,
        tier: Tier,
        cid: Cid,
        content: Json,
        content_schema: String,
        custody_state: Option<CustodyState>,
        custody_seq: Option<Seq>,
        registered_at: Timestamp,
        revised_at: Option<Timestamp>,
        position: Position,
    }

    ArtifactRevision in "artifact_revisions" by (artifact_id, revision) {
        artifact_id: ArtifactId,
        revision: Revision,
        cid: Cid,
        content: Json,
        content_schema: String,
        recorded_at: Timestamp,
        position: Position,
    }

    CustodyTransition in "custody_transitions" by (artifact_id, seq) {
        artifact_id: ArtifactId,
        seq: Seq,
        from_state: Option<CustodyState>,
        to_state: CustodyState,
        cid: Cid,
        actor: String,
        reason: String,
        ceremony_id: Option<CeremonyId>,
        evidence: Json,
        occurred_at: Timestamp,
        prev_hash: Option<LinkHash>,
        hash: LinkHash,
        position: Position,
    }

    DeploymentState in "deployment_states" by (artifact_id, target) {
        artifact_id: ArtifactId,
        target: String,
        desired_cid: Cid,
        observed_cid: Option<Cid>,
        health: Health,
        health_since: Timestamp,
        detail: Json,
        observed_at: Timestamp,
        position: Position,
    }

    DeploymentChange in "deployment_changes" by (artifact_id, target, observed_at, position) {
        artifact_id: ArtifactId,
        target: String,
        observed_at: Timestamp,
        desired_cid: Cid,
        observed_cid: Option<Cid>,
        previous_health: Option<Health>,
        health: Health,
        health_since: Timestamp,
        position: Position,
    }

    VerificationResult in "verification_results" by (id) {
        id: EventId,
        artifact_id: ArtifactId,
        target: Option<String>,
        verifier: String,
        outcome: Outcome,
        evidence: Json,
        verified_at: Timestamp,
        position: Position,
    }

    QuarantinedEntry in "quarantined_entries" by (position) {
        position: Position,
        event_id: EventId,
        stream_id: StreamId,
        event_type: EventType,
        code: Code,
        reason: String,
    }

    RowCount in "row_counts" by (counted) {
        counted: CountedRows,
        rows: i64,
        position: Position,
    }
}

impl Table {
    /// All of them, those first that others refer to.
    pub const ALL: [Self; 9] = [
        AccordBinding::TABLE,
        GovernedArtifact::TABLE,
        ArtifactRevision::TABLE,
        CustodyTransition::TABLE,
        DeploymentState::TABLE,
        DeploymentChange::TABLE,
        VerificationResult::TABLE,
        QuarantinedEntry::TABLE,
        RowCount::TABLE,
    ];

    /// Their names, in the same order.
    pub const NAMES: [&str; 9] = {
        let mut names = [""; 9];
        let mut nth = 0;
        while nth < names.len() {
            names[nth] = Self::ALL[nth].name;
            nth += 1;
        }
        names
    };

    /// Those of which a rebuilt one is compared with the live one, whose history begins at
    /// `history_from`: where that is not the log's beginning, without the two that say what was, and without
    /// the counts, of which a migration took by which entry they last changed from those two.
    pub fn compared(history_from: Position) -> impl Iterator<Item = Self> {
        let has_all = history_from == Position::ZERO;
        Self::ALL.into_iter().filter(move |table| {
            has_all || !(table.is_history() || table.name == RowCount::TABLE.name)
        })
    }

    /// Whether it says what was: rows of entries before a database had such tables came in by no
    /// entry.
    pub fn is_history(&self) -> bool {
        [ArtifactRevision::TABLE.name, DeploymentChange::TABLE.name].contains(&self.name)
    }

    /// A statement in which every `{table.*}` became the columns of that table, in order, and every
    /// `{alias: table.*}` those of the table under an alias. What else stands in braces stays.
    ///
    /// ```
    /// use guildhall_core::Table;
    ///
    /// let sql = Table::expand("SELECT {accord_bindings.*} FROM {schema}.accord_bindings");
    /// assert_eq!(
    ///     sql,
    ///     "SELECT id, name, accord_terms, bound_by, effective_at, position \
    ///      FROM {schema}.accord_bindings"
    /// );
    /// let sql = Table::expand("SELECT link.seq, {accord: accord_bindings.*} FROM …");
    /// assert!(sql.starts_with("SELECT link.seq, accord.id, accord.name, accord.accord_terms,"));
    /// ```
    pub fn expand(sql: &str) -> String {
        let mut expanded = String::with_capacity(sql.len() + 256);
        let mut rest = sql;
        while let Some((before, (inside, after))) =
            rest.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        {
            let (alias, name) = inside.split_once(": ").unwrap_or(("", inside));
            let name = name.strip_suffix(".*");
            expanded.push_str(before);
            match Self::ALL.iter().find(|table| Some(table.name) == name) {
                Some(table) if alias.is_empty() => expanded.push_str(&table.list()),
                Some(table) => expanded.push_str(&table.list_of(alias)),
                None => expanded.extend(["{", inside, "}"]),
            }
            rest = after;
        }
        expanded + rest
    }
}

/// Takes the values of rows, one column after the other. What they borrow lasts as long as the row.
#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "each takes a value of the kind that it is called by"
)]
pub trait ColumnWriter<'r> {
    /// Why a value is not taken.
    type Error;

    fn null(&mut self) -> Result<(), Self::Error>;
    fn uuid(&mut self, value: Uuid) -> Result<(), Self::Error>;
    fn text(&mut self, value: &'r str) -> Result<(), Self::Error>;
    fn cid(&mut self, value: Cid) -> Result<(), Self::Error>;
    fn json(&mut self, value: &'r Json) -> Result<(), Self::Error>;
    fn time(&mut self, value: Timestamp) -> Result<(), Self::Error>;
    fn hash(&mut self, value: &'r [u8; 32]) -> Result<(), Self::Error>;
    fn integer(&mut self, value: i64) -> Result<(), Self::Error>;
    fn small(&mut self, value: i16) -> Result<(), Self::Error>;
}

/// Why a text is none of those that a column may hold.
pub type Misread = Box<dyn Error + Send + Sync>;

/// Gives the values of a row, one column after the other.
#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "each gives a value of the kind that it is called by"
)]
pub trait ColumnReader {
    /// Why a column does not hold what belongs there.
    type Error;

    /// Whether the next column is null; only then, the one after it is the next.
    fn skips_null(&mut self) -> Result<bool, Self::Error>;
    fn uuid(&mut self) -> Result<Uuid, Self::Error>;
    /// A text, as what `read` makes of it.
    fn text<T>(&mut self, read: impl FnOnce(&str) -> Result<T, Misread>) -> Result<T, Self::Error>;
    fn json(&mut self) -> Result<Json, Self::Error>;
    fn time(&mut self) -> Result<Timestamp, Self::Error>;
    fn hash(&mut self) -> Result<[u8; 32], Self::Error>;
    /// A number, if `read` takes it.
    fn integer<T>(&mut self, read: impl FnOnce(i64) -> Option<T>) -> Result<T, Self::Error>;
    /// A small number, if `read` takes it.
    fn small<T>(&mut self, read: impl FnOnce(i16) -> Option<T>) -> Result<T, Self::Error>;
}

/// What a column can hold.
pub trait Value: Sized {
    /// As what.
    const KIND: Kind;

    /// Whether it can be nothing.
    const IS_NULLABLE: bool = false;

    /// Writes one column.
    ///
    /// # Errors
    /// The writer's own.
    fn write<'r, W: ColumnWriter<'r>>(&'r self, to: &mut W) -> Result<(), W::Error>;

    /// Reads one column.
    ///
    /// # Errors
    /// The reader's own.
    fn read<R: ColumnReader>(from: &mut R) -> Result<Self, R::Error>;
}

macro_rules! value {
    ($($value:ty: $kind:ident, |$it:ident, $to:ident| $write:expr, |$from:ident| $read:expr;)+) => {$(
        impl Value for $value {
            const KIND: Kind = Kind::$kind;

            fn write<'r, W: ColumnWriter<'r>>(&'r self, $to: &mut W) -> Result<(), W::Error> {
                let $it = self;
                $write
            }

            fn read<R: ColumnReader>($from: &mut R) -> Result<Self, R::Error> {
                $read
            }
        }
    )+};
}

macro_rules! ids {
    ($($id:ident),+) => {
        value! { $($id: Uuid, |it, to| to.uuid(*it.as_uuid()), |from| from.uuid().map($id::from_uuid);)+ }
    };
}

macro_rules! counters {
    ($($counter:ident),+) => {
        value! { $($counter: Integer, |it, to| to.integer(it.as_i64()), |from| from.integer($counter::from_i64);)+ }
    };
}

/// Texts of which not every one will do.
macro_rules! texts {
    ($($text:ident),+) => {
        value! { $($text: Text, |it, to| to.text(it.as_str()), |from| from.text(|text| Ok(text.parse()?));)+ }
    };
}

macro_rules! hashes {
    ($($hash:ident),+) => {
        value! { $($hash: Hash, |it, to| to.hash(it.as_bytes()), |from| from.hash().map($hash::from_bytes);)+ }
    };
}

ids!(AccordId, ArtifactId, CeremonyId, EventId, HolderId, StreamId);
counters!(Position, Revision, Seq);
texts!(Code, CountedRows, CustodyState, Health, Origin, Outcome);
hashes!(LeafHash, LinkHash);
value! {
    String: Text, |it, to| to.text(it), |from| from.text(|text| Ok(text.to_owned()));
    EventType: Text, |it, to| to.text(it.as_str()), |from| from.text(|text| Ok(Self::new(text)));
    Cid: Text, |it, to| to.cid(*it), |from| from.text(|text| Ok(text.parse()?));
    Json: Json, |it, to| to.json(it), |from| from.json();
    Timestamp: Time, |it, to| to.time(*it), |from| from.time();
    i64: Integer, |it, to| to.integer(*it), |from| from.integer(Some);
    Tier: Small, |it, to| to.small(it.get().into()), |from| from.small(tier);
}

fn tier(number: i16) -> Option<Tier> {
    u8::try_from(number).ok().and_then(|number| Tier::try_from(number).ok())
}

impl<V: Value> Value for Option<V> {
    const KIND: Kind = V::KIND;
    const IS_NULLABLE: bool = true;

    fn write<'r, W: ColumnWriter<'r>>(&'r self, to: &mut W) -> Result<(), W::Error> {
        match self {
            Some(value) => value.write(to),
            None => to.null(),
        }
    }

    fn read<R: ColumnReader>(from: &mut R) -> Result<Self, R::Error> {
        if from.skips_null()? { Ok(None) } else { V::read(from).map(Some) }
    }
}
