//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses some of it")]

use guildhall_core::{
    AccordId, Append, Appended, ArtifactId, Batch, Chronicle, Event, Json, NewEntry, Outcome,
    Position, ReadLimit, StreamId, VerificationRecorded,
};

/// A folder of the test's own, removed when dropped.
pub(crate) fn new_folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The artifact that a number stands for.
pub(crate) fn artifact(nth: u128) -> ArtifactId {
    ArtifactId::from_uuid(uuid::Uuid::from_u128(nth))
}

/// Its stream.
pub(crate) fn stream(nth: u128) -> StreamId {
    artifact(nth).into()
}

/// The accord that a number stands for.
pub(crate) fn accord(nth: u128) -> AccordId {
    AccordId::from_uuid(uuid::Uuid::from_u128(nth))
}

/// Some event of an artifact.
pub(crate) fn event(nth: u128) -> Event {
    Event::VerificationRecorded(VerificationRecorded {
        artifact_id: artifact(nth),
        evidence: Json::null(),
        outcome: Outcome::Passed,
        target: None,
        verified_at: guildhall_core::Timestamp::MIN,
        verifier: "nightly".to_owned(),
    })
}

/// Appends one fresh event of an artifact.
pub(crate) async fn append_one(chronicle: &impl Chronicle, nth: u128) -> Appended {
    chronicle.append(Append::of([NewEntry::new(&event(nth))])).await.unwrap()[0]
}

/// The whole log.
pub(crate) async fn batch_of_all(chronicle: &impl Chronicle) -> Batch {
    let origin = chronicle.origin().await.unwrap().unwrap();
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(usize::MAX)).await.unwrap();
    Batch::decode(origin, entries).unwrap()
}
