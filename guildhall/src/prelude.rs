//! What people use day to day: `use guildhall::prelude::*`.

pub use guildhall_core::command::{Act, Command, RecordError, Recorder};
pub use guildhall_core::event::artifact_type;
pub use guildhall_core::{
    AccordBound, AccordId, ArtifactId, ArtifactQuery, ArtifactRegistered, ArtifactRevised,
    ArtifactSort, CeremonyId, Chronicle, Cid, Code, Cursor, CustodyPolicy, CustodyState,
    CustodyTransitioned, DeploymentObserved, DeploymentQuery, Drift, Event, EventId, Health, Json,
    OnViolation, OpsDb, Outcome, Page, Position, ReadLimit, StoreError, Tier, Timestamp,
    VerificationQuery, VerificationRecorded, Violation,
};
pub use guildhall_projector::ceremony::{
    CeremonyOrchestrator, CeremonyOutcome, Change, Delivery, Notice, Subscription, Topic,
};
pub use guildhall_projector::{ReadModels, Runtime, RuntimeError, Status, WaitError};

pub use crate::{Guild, GuildError};
