//! Rows of the Ops DB as what they mean. Someone else may have written a row, so reading one can
//! fail.

use std::error::Error;
use std::str::FromStr;

use guildhall_core::{
    AccordBinding, AccordId, ArtifactId, CeremonyId, Cid, Code, CustodyState, CustodyTransition,
    DeploymentState, EventId, EventType, GovernedArtifact, Health, Json, LeafHash, LinkHash,
    Outcome, Position, QuarantinedEntry, Seq, StreamId, Tier, Timestamp, VerificationResult,
};
use sqlx::postgres::PgRow;
use sqlx::{Column, Decode, Postgres, Row, Type, ValueRef};
use uuid::Uuid;

use crate::row::timestamp;

/// A column holds what does not belong there.
#[derive(Debug, thiserror::Error)]
#[error("it holds no {0}")]
struct Misfit(&'static str);

/// The columns of a row, in order, as what they mean.
pub(crate) struct Columns<'r> {
    row: &'r PgRow,
    next: usize,
    /// The table that is read, as far as that is known.
    table: &'static str,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r PgRow) -> Self {
        Self { row, next: 0, table: "a row" }
    }

    fn take(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    pub(crate) fn value<T: Decode<'r, Postgres> + Type<Postgres>>(
        &mut self,
    ) -> Result<T, sqlx::Error> {
        let index = self.take();
        self.row.try_get(index).map_err(|error| match error {
            sqlx::Error::ColumnDecode { source, .. } => self.misfit(index, source),
            other => other,
        })
    }

    /// The error of a column that somebody else wrote: which it is, of which table, and which entry
    /// wrote the row.
    fn misfit(&self, index: usize, source: impl Into<Box<dyn Error + Send + Sync>>) -> sqlx::Error {
        let column = self.row.columns().get(index).map_or("?", Column::name);
        let position = self.row.try_get::<i64, _>("position");
        let at = position.map_or_else(|_| String::new(), |at| format!(" at position {at}"));
        let index = format!("{}.{column}{at}", self.table);
        sqlx::Error::ColumnDecode { index, source: source.into() }
    }

    fn checked<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(i64) -> Option<T>,
    ) -> Result<T, sqlx::Error> {
        let index = self.next;
        read(self.value()?).ok_or_else(|| self.misfit(index, Misfit(what)))
    }

    pub(crate) fn string(&mut self) -> Result<String, sqlx::Error> {
        self.value()
    }

    /// A text that has to be read: a word, a CID.
    pub(crate) fn parsed<T>(&mut self) -> Result<T, sqlx::Error>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let index = self.next;
        self.value::<&str>()?.parse().map_err(|error: T::Err| self.misfit(index, error))
    }

    /// A count, or another number that is not negative.
    pub(crate) fn count(&mut self) -> Result<u64, sqlx::Error> {
        self.checked("count", |number| u64::try_from(number).ok())
    }

    pub(crate) fn position(&mut self) -> Result<Position, sqlx::Error> {
        self.checked("position", Position::from_i64)
    }

    pub(crate) fn seq(&mut self) -> Result<Seq, sqlx::Error> {
        self.checked("seq", Seq::from_i64)
    }

    pub(crate) fn tier(&mut self) -> Result<Tier, sqlx::Error> {
        let index = self.next;
        let number: i16 = self.value()?;
        let tier = u8::try_from(number).ok().and_then(|number| Tier::try_from(number).ok());
        tier.ok_or_else(|| self.misfit(index, Misfit("tier")))
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, sqlx::Error> {
        let index = self.take();
        timestamp(self.row, index).ok_or_else(|| self.misfit(index, Misfit("time of our calendar")))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], sqlx::Error> {
        let index = self.next;
        self.value::<&[u8]>()?.try_into().map_err(|error| {
            let error: std::array::TryFromSliceError = error;
            self.misfit(index, error)
        })
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid, sqlx::Error> {
        self.value()
    }

    pub(crate) fn link_hash(&mut self) -> Result<LinkHash, sqlx::Error> {
        self.bytes().map(LinkHash::from_bytes)
    }

    pub(crate) fn leaf_hash(&mut self) -> Result<LeafHash, sqlx::Error> {
        self.bytes().map(LeafHash::from_bytes)
    }

    /// A `jsonb` value. Its binary form is a version and a text.
    pub(crate) fn json(&mut self) -> Result<Json, sqlx::Error> {
        let index = self.take();
        let value = self.row.try_get_raw(index)?;
        let bytes = value.as_bytes().map_err(|error| self.misfit(index, error))?;
        let Some((1, text)) = bytes.split_first() else {
            return Err(self.misfit(index, Misfit("jsonb")));
        };
        let text = std::str::from_utf8(text).map_err(|error| self.misfit(index, error))?;
        Json::from_rewritten(text).map_err(|error| self.misfit(index, error))
    }

    /// What the next column holds, unless it is null.
    pub(crate) fn nullable<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, sqlx::Error>,
    ) -> Result<Option<T>, sqlx::Error> {
        if self.row.try_get_raw(self.next)?.is_null() {
            self.next += 1;
            Ok(None)
        } else {
            read(self).map(Some)
        }
    }

    pub(crate) fn accord(&mut self) -> Result<AccordBinding, sqlx::Error> {
        self.table = "accord_bindings";
        Ok(AccordBinding {
            id: AccordId::from_uuid(self.uuid()?),
            name: self.string()?,
            accord_terms: self.json()?,
            bound_by: self.string()?,
            effective_at: self.time()?,
            position: self.position()?,
        })
    }

    pub(crate) fn artifact(&mut self) -> Result<GovernedArtifact, sqlx::Error> {
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
            registered_at: self.time()?,
            revised_at: self.nullable(Self::time)?,
            position: self.position()?,
        })
    }

    pub(crate) fn transition(&mut self) -> Result<CustodyTransition, sqlx::Error> {
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
            occurred_at: self.time()?,
            prev_hash: self.nullable(Self::link_hash)?,
            hash: self.link_hash()?,
            position: self.position()?,
        })
    }

    pub(crate) fn deployment(&mut self) -> Result<DeploymentState, sqlx::Error> {
        self.table = "deployment_states";
        Ok(DeploymentState {
            artifact_id: ArtifactId::from_uuid(self.uuid()?),
            target: self.string()?,
            desired_cid: self.parsed()?,
            observed_cid: self.nullable(Self::parsed::<Cid>)?,
            health: self.parsed::<Health>()?,
            health_since: self.time()?,
            detail: self.json()?,
            observed_at: self.time()?,
            position: self.position()?,
        })
    }

    pub(crate) fn verification(&mut self) -> Result<VerificationResult, sqlx::Error> {
        self.table = "verification_results";
        Ok(VerificationResult {
            id: EventId::from_uuid(self.uuid()?),
            artifact_id: ArtifactId::from_uuid(self.uuid()?),
            target: self.nullable(Self::string)?,
            verifier: self.string()?,
            outcome: self.parsed::<Outcome>()?,
            evidence: self.json()?,
            verified_at: self.time()?,
            position: self.position()?,
        })
    }

    pub(crate) fn quarantined(&mut self) -> Result<QuarantinedEntry, sqlx::Error> {
        self.table = "quarantined_entries";
        Ok(QuarantinedEntry {
            position: self.position()?,
            event_id: EventId::from_uuid(self.uuid()?),
            stream_id: StreamId::from_uuid(self.uuid()?),
            event_type: EventType::new(self.value()?),
            code: self.parsed::<Code>()?,
            reason: self.string()?,
        })
    }
}
