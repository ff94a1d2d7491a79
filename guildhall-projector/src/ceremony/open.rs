//! Which ceremonies are open, so that a feed misses those whose source is gone.

use guildhall_core::{
    ArtifactId, CeremonyId, Cursor, CustodyState, MAX_PAGE_ROWS, OpenCeremony, Page, Position,
    ReadLimit, StoreError,
};

use super::feed::{Intake, Step, event_id};

impl Intake {
    /// A page of the ceremonies that the Ops DB holds open, whoever opened them, the one opened
    /// first first. What was recorded just now it may not hold yet.
    ///
    /// # Errors
    /// The store's own.
    pub async fn open_ceremonies(
        &self,
        after: Option<Cursor>,
    ) -> Result<Page<OpenCeremony>, StoreError> {
        self.source.ops_db.open_ceremonies(after, MAX_PAGE_ROWS).await
    }

    /// Whether the entry at this position is the opening that this feed reported under this
    /// identity: another feed's, or a command's, has another event id.
    ///
    /// # Errors
    /// The store's own.
    pub async fn has_opened(&self, identity: &str, at: Position) -> Result<bool, StoreError> {
        let entries = self.source.chronicle.read(at.previous(), ReadLimit::entries(1)).await?;
        let opening = event_id(self.name(), identity, Step::Opened);
        Ok(entries.first().is_some_and(|entry| entry.position == at && entry.event_id == opening))
    }

    /// Whether this ceremony is open by what the Chronicle says now.
    ///
    /// # Errors
    /// The store's own.
    pub async fn is_open(
        &self,
        artifact_id: ArtifactId,
        ceremony_id: CeremonyId,
    ) -> Result<bool, StoreError> {
        let artifact = self.recorder.artifact(artifact_id).await?;
        Ok(artifact.and_then(|artifact| artifact.chain).is_some_and(|head| {
            head.state == CustodyState::CeremonyOpen && head.ceremony_id == Some(ceremony_id)
        }))
    }
}
