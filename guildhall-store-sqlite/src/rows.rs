//! Values as the Ops DB's columns hold them, both ways. Someone else may have written a row, so
//! reading one can fail.

use std::error::Error;

use guildhall_core::{
    AccordBinding, Cid, CustodyTransition, DeploymentState, GovernedArtifact, Json, LeafHash,
    LinkHash, Origin, Position, QuarantinedEntry, Seq, Tier, Timestamp, VerificationResult,
};
use guildhall_core::{
    AccordId, ArtifactId, CeremonyId, Code, CustodyState, EventId, EventType, Health, Outcome,
    StreamId,
};
use rusqlite::Row;
use rusqlite::types::{ToSql, ToSqlOutput, Type, ValueRef};
use uuid::Uuid;

/// What a column holds as a text, in the one form in which this store writes it.
pub(crate) trait FromColumn: Sized {
    fn from_column(text: &str) -> Result<Self, Box<dyn Error + Send + Sync>>;
}

impl FromColumn for Timestamp {
    fn from_column(text: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        // `parse` also reads what people write.
        Ok(Self::from_canonical(text)?)
    }
}

macro_rules! from_column {
    ($($name:ty),+) => {
        $(impl FromColumn for $name {
            fn from_column(text: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
                Ok(text.parse()?)
            }
        })+
    };
}

from_column!(Cid, Code, CustodyState, Health, Origin, Outcome);

/// A time as its 27 characters, bound without allocating.
pub(crate) struct TimeText([u8; 27]);

impl From<Timestamp> for TimeText {
    fn from(at: Timestamp) -> Self {
        Self(at.to_bytes())
    }
}

impl ToSql for TimeText {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

/// A CID as its 59 characters, bound without allocating.
pub(crate) struct CidText([u8; 59]);

impl From<Cid> for CidText {
    fn from(cid: Cid) -> Self {
        let mut text = [0; 59];
        cid.encode(&mut text);
        Self(text)
    }
}

impl ToSql for CidText {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

/// A column holds something else than what belongs there: somebody changed the row. A rebuild of
/// the Ops DB makes it again.
#[derive(Debug, thiserror::Error)]
#[error(
    "{table}.{column} of the row that position {} wrote holds something else than Guildhall writes: {reason}; rebuild the Ops DB",
    .position.map_or_else(|| "?".to_owned(), |position| position.to_string())
)]
struct BadCell {
    table: &'static str,
    column: String,
    position: Option<i64>,
    reason: Box<dyn Error + Send + Sync>,
}

/// A number is none of those that a column may hold.
#[derive(Debug, thiserror::Error)]
#[error("{0} is out of range")]
struct OutOfRange(i64);

/// The columns of a row, in order, as what they mean.
pub(crate) struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
    table: &'static str,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r Row<'r>) -> Self {
        Self { row, next: 0, table: "the answer" }
    }

    /// The same, of a row of this table.
    pub(crate) fn of_table(row: &'r Row<'r>, table: &'static str) -> Self {
        Self { row, next: 0, table }
    }

    /// What a column holds is not what belongs there.
    fn misfit(
        &self,
        index: usize,
        value: ValueRef<'_>,
        reason: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> rusqlite::Error {
        let column = self.row.as_ref().column_name(index).unwrap_or("?").to_owned();
        let position = self.row.get("position").ok();
        let (table, reason) = (self.table, reason.into());
        let cell = BadCell { table, column, position, reason };
        rusqlite::Error::FromSqlConversionFailure(index, value.data_type(), cell.into())
    }

    /// The next column as what `read` makes of it.
    fn read<T, E>(&mut self, read: impl FnOnce(ValueRef<'r>) -> Result<T, E>) -> rusqlite::Result<T>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let index = self.next;
        self.next += 1;
        let value = self.row.get_ref(index)?;
        read(value).map_err(|error| self.misfit(index, value, error))
    }

    /// A number that `read` takes.
    fn ranged<T>(&mut self, read: impl FnOnce(i64) -> Option<T>) -> rusqlite::Result<T> {
        self.read(|value| -> Result<T, Box<dyn Error + Send + Sync>> {
            let number = value.as_i64()?;
            Ok(read(number).ok_or(OutOfRange(number))?)
        })
    }

    /// Whether the next column is null, and past it if it is.
    fn skips_null(&mut self) -> rusqlite::Result<bool> {
        let is_null = self.row.get_ref(self.next)?.data_type() == Type::Null;
        self.next += usize::from(is_null);
        Ok(is_null)
    }

    pub(crate) fn text(&mut self) -> rusqlite::Result<&'r str> {
        self.read(|value| value.as_str())
    }

    pub(crate) fn string(&mut self) -> rusqlite::Result<String> {
        self.text().map(str::to_owned)
    }

    /// A text that has to be read: a word, a time, a CID.
    pub(crate) fn parsed<T: FromColumn>(&mut self) -> rusqlite::Result<T> {
        self.read(|value| T::from_column(value.as_str()?))
    }

    pub(crate) fn number(&mut self) -> rusqlite::Result<i64> {
        self.ranged(Some)
    }

    /// A count, or another number that is not negative.
    pub(crate) fn count(&mut self) -> rusqlite::Result<u64> {
        self.ranged(|number| u64::try_from(number).ok())
    }

    pub(crate) fn position(&mut self) -> rusqlite::Result<Position> {
        self.ranged(Position::from_i64)
    }

    pub(crate) fn seq(&mut self) -> rusqlite::Result<Seq> {
        self.ranged(Seq::from_i64)
    }

    pub(crate) fn tier(&mut self) -> rusqlite::Result<Tier> {
        self.ranged(|number| {
            u8::try_from(number).ok().and_then(|number| Tier::try_from(number).ok())
        })
    }

    fn bytes<const N: usize>(&mut self) -> rusqlite::Result<[u8; N]> {
        self.read(|value| -> Result<[u8; N], Box<dyn Error + Send + Sync>> {
            Ok(value.as_blob()?.try_into()?)
        })
    }

    pub(crate) fn uuid(&mut self) -> rusqlite::Result<Uuid> {
        self.bytes().map(Uuid::from_bytes)
    }

    pub(crate) fn link_hash(&mut self) -> rusqlite::Result<LinkHash> {
        self.bytes().map(LinkHash::from_bytes)
    }

    pub(crate) fn leaf_hash(&mut self) -> rusqlite::Result<LeafHash> {
        self.bytes().map(LeafHash::from_bytes)
    }

    pub(crate) fn json(&mut self) -> rusqlite::Result<Json> {
        self.read(|value| -> Result<Json, Box<dyn Error + Send + Sync>> {
            Ok(Json::from_canonical(value.as_str()?)?)
        })
    }

    /// What the next column holds, unless it is null.
    pub(crate) fn nullable<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        if self.skips_null()? { Ok(None) } else { read(self).map(Some) }
    }

    pub(crate) fn accord(&mut self) -> rusqlite::Result<AccordBinding> {
        self.table = "accord_bindings";
        Ok(AccordBinding {
            id: AccordId::from_uuid(self.uuid()?),
            name: self.string()?,
            accord_terms: self.json()?,
            bound_by: self.string()?,
            effective_at: self.parsed()?,
            position: self.position()?,
        })
    }

    pub(crate) fn artifact(&mut self) -> rusqlite::Result<GovernedArtifact> {
        self.table = "governed_artifacts";
        Ok(GovernedArtifact {
            id: ArtifactId::from_uuid(self.uuid()?),
            accord_binding_id: AccordId::from_uuid(self.uuid()?),
            name: self.string()?,
            artifact_type: self.string()?,
            tier: self.tier()?,
            cid: self.parsed()?,
            content: self.json()?,
            content_schema: self.string()?,
            custody_state: self.nullable(Self::parsed::<CustodyState>)?,
            custody_seq: self.nullable(Self::seq)?,
            registered_at: self.parsed()?,
            revised_at: self.nullable(Self::parsed)?,
            position: self.position()?,
        })
    }

    pub(crate) fn transition(&mut self) -> rusqlite::Result<CustodyTransition> {
        self.table = "custody_transitions";
        Ok(CustodyTransition {
            artifact_id: ArtifactId::from_uuid(self.uuid()?),
            seq: self.seq()?,
            from_state: self.nullable(Self::parsed::<CustodyState>)?,
            to_state: self.parsed()?,
            cid: self.parsed()?,
            actor: self.string()?,
            reason: self.string()?,
            ceremony_id: self.nullable(Self::uuid)?.map(CeremonyId::from_uuid),
            evidence: self.json()?,
            occurred_at: self.parsed()?,
            prev_hash: self.nullable(Self::link_hash)?,
            hash: self.link_hash()?,
            position: self.position()?,
        })
    }

    pub(crate) fn deployment(&mut self) -> rusqlite::Result<DeploymentState> {
        self.table = "deployment_states";
        Ok(DeploymentState {
            artifact_id: ArtifactId::from_uuid(self.uuid()?),
            target: self.string()?,
            desired_cid: self.parsed()?,
            observed_cid: self.nullable(Self::parsed::<Cid>)?,
            health: self.parsed::<Health>()?,
            health_since: self.parsed()?,
            detail: self.json()?,
            observed_at: self.parsed()?,
            position: self.position()?,
        })
    }

    pub(crate) fn verification(&mut self) -> rusqlite::Result<VerificationResult> {
        self.table = "verification_results";
        Ok(VerificationResult {
            id: EventId::from_uuid(self.uuid()?),
            artifact_id: ArtifactId::from_uuid(self.uuid()?),
            target: self.nullable(Self::string)?,
            verifier: self.string()?,
            outcome: self.parsed::<Outcome>()?,
            evidence: self.json()?,
            verified_at: self.parsed()?,
            position: self.position()?,
        })
    }

    pub(crate) fn quarantined(&mut self) -> rusqlite::Result<QuarantinedEntry> {
        self.table = "quarantined_entries";
        Ok(QuarantinedEntry {
            position: self.position()?,
            event_id: EventId::from_uuid(self.uuid()?),
            stream_id: StreamId::from_uuid(self.uuid()?),
            event_type: EventType::new(self.text()?),
            code: self.parsed::<Code>()?,
            reason: self.string()?,
        })
    }
}
