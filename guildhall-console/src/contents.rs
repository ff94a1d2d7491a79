//! What an artifact said when: contents by their CIDs, from the artifact's stream.

use std::collections::BTreeMap;

use guildhall_core::{
    ArtifactId, Cid, Decoded, DeploymentState, Entry, Event, Json, Position, ReadLimit, StoreError,
    StreamId, Version,
};

use crate::app::App;

/// How many entries of a stream are read at once, and at most.
const READ_ENTRIES: usize = 500;
const MOST_ENTRIES: usize = 20_000;

/// What an observation saw, where it carries it: the member `content` of its detail, if that has the CID that was
/// observed.
pub(crate) fn observed(row: &DeploymentState) -> Option<Json> {
    carried(&row.detail, row.observed_cid)
}

/// The same of the observation that was recorded at this position.
pub(crate) async fn observed_at(app: &App, position: Position) -> Result<Option<Json>, StoreError> {
    let chronicle = app.orchestrator.chronicle();
    let read = chronicle.read(position.previous(), ReadLimit::entries(1)).await?;
    let decoded = read.first().filter(|entry| entry.position == position).map(Entry::decode);
    Ok(match decoded {
        Some(Ok(Decoded::Event(Event::DeploymentObserved(event)))) => {
            carried(&event.detail, event.observed_cid)
        }
        _ => None,
    })
}

fn carried(detail: &Json, observed: Option<Cid>) -> Option<Json> {
    let detail = detail.to_value();
    let content = Json::parse(&detail.get("content")?.to_string()).ok()?;
    (observed == Some(Cid::of(&content))).then_some(content)
}

/// The contents of these CIDs that the artifact had, as far as its stream is read.
pub(crate) async fn of(
    app: &App,
    id: ArtifactId,
    wanted: impl IntoIterator<Item = Cid>,
) -> Result<BTreeMap<Cid, Json>, StoreError> {
    let mut missing: Vec<Cid> = wanted.into_iter().collect();
    let mut found = BTreeMap::new();
    let (mut after, mut read) = (Version::ZERO, 0);
    while !missing.is_empty() && read < MOST_ENTRIES {
        let limit = ReadLimit::entries(READ_ENTRIES);
        let chronicle = app.orchestrator.chronicle();
        let entries = chronicle.read_stream(StreamId::from(id), after, limit).await?;
        let Some(last) = entries.last() else { break };
        (after, read) = (last.version, read + entries.len());
        for entry in &entries {
            let (cid, content) = match entry.decode() {
                Ok(Decoded::Event(Event::ArtifactRegistered(event))) => (event.cid, event.content),
                Ok(Decoded::Event(Event::ArtifactRevised(event))) => (event.cid, event.content),
                _ => continue,
            };
            if missing.contains(&cid) && Cid::of(&content) == cid {
                missing.retain(|it| *it != cid);
                found.insert(cid, content);
            }
        }
    }
    Ok(found)
}
