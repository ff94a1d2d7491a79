//! Values as the Ops DB's columns hold them, both ways. Someone else may have written a row, so
//! reading one can fail.

use std::error::Error;
use std::str::FromStr;

use guildhall_core::{
    AccordBinding, Cid, CustodyTransition, DeploymentState, GovernedArtifact, Json, LeafHash,
    LinkHash, Position, QuarantinedEntry, Seq, Tier, Timestamp, VerificationResult,
};
use guildhall_core::{
    AccordId, ArtifactId, CeremonyId, Code, CustodyState, EventId, EventType, Health, Outcome,
    StreamId,
};
use rusqlite::Row;
use rusqlite::types::{FromSqlError, ToSql, ToSqlOutput, Type, ValueRef};
use uuid::Uuid;

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

/// What a column holds is not what belongs there.
fn misfit(
    index: usize,
    value: ValueRef<'_>,
    reason: impl Into<Box<dyn Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, value.data_type(), reason.into())
}

/// The columns of a row, in order, as what they mean.
pub(crate) struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    fn value(&mut self) -> rusqlite::Result<(usize, ValueRef<'r>)> {
        let index = self.next;
        self.next += 1;
        Ok((index, self.row.get_ref(index)?))
    }

    /// Whether the next column is null, and past it if it is.
    fn skips_null(&mut self) -> rusqlite::Result<bool> {
        let is_null = self.row.get_ref(self.next)?.data_type() == Type::Null;
        self.next += usize::from(is_null);
        Ok(is_null)
    }

    pub(crate) fn text(&mut self) -> rusqlite::Result<&'r str> {
        let (index, value) = self.value()?;
        value.as_str().map_err(|error: FromSqlError| misfit(index, value, error))
    }

    pub(crate) fn string(&mut self) -> rusqlite::Result<String> {
        self.text().map(str::to_owned)
    }

    /// A text that has to be read: a word, a time, a CID.
    pub(crate) fn parsed<T>(&mut self) -> rusqlite::Result<T>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let (index, value) = self.value()?;
        let text = value.as_str().map_err(|error| misfit(index, value, error))?;
        text.parse().map_err(|error: T::Err| misfit(index, value, error))
    }

    pub(crate) fn number(&mut self) -> rusqlite::Result<i64> {
        let (index, value) = self.value()?;
        value.as_i64().map_err(|error| misfit(index, value, error))
    }

    /// A count, or another number that is not negative.
    pub(crate) fn count(&mut self) -> rusqlite::Result<u64> {
        let index = self.next;
        let number = self.number()?;
        u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, number))
    }

    pub(crate) fn position(&mut self) -> rusqlite::Result<Position> {
        let index = self.next;
        let number = self.number()?;
        Position::from_i64(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(index, number))
    }

    pub(crate) fn seq(&mut self) -> rusqlite::Result<Seq> {
        let index = self.next;
        let number = self.number()?;
        Seq::from_i64(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(index, number))
    }

    pub(crate) fn tier(&mut self) -> rusqlite::Result<Tier> {
        let index = self.next;
        let number = self.number()?;
        let tier = u8::try_from(number).ok().and_then(|number| Tier::try_from(number).ok());
        tier.ok_or(rusqlite::Error::IntegralValueOutOfRange(index, number))
    }

    fn bytes<const N: usize>(&mut self) -> rusqlite::Result<[u8; N]> {
        let (index, value) = self.value()?;
        let bytes = value.as_blob().map_err(|error| misfit(index, value, error))?;
        bytes.try_into().map_err(|error: std::array::TryFromSliceError| misfit(index, value, error))
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
        let (index, value) = self.value()?;
        let text = value.as_str().map_err(|error| misfit(index, value, error))?;
        Json::from_canonical(text).map_err(|error| misfit(index, value, error))
    }

    /// What the next column holds, unless it is null.
    pub(crate) fn nullable<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        if self.skips_null()? { Ok(None) } else { read(self).map(Some) }
    }

    pub(crate) fn accord(&mut self) -> rusqlite::Result<AccordBinding> {
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
