//! The meaning of Guildhall.
#![deny(missing_docs)]

mod chronicle;
mod cid;
pub mod command;
pub mod custody;
mod error;
pub mod event;
pub mod fold;
mod ids;
pub mod invariant;
mod json;
pub mod jsonl;
pub mod memory;
pub mod ops;
mod projector;
mod time;

pub use chronicle::append;
pub use chronicle::{
    Append, AppendError, Appended, Chronicle, Entry, Expected, Head, Metadata, NewEntry, Origin,
    OriginError, ReadLimit,
};
pub use cid::{Cid, CidError, HashError, LeafHash, LinkHash};
pub use custody::{CustodyPolicy, CustodyState};
pub use error::{Fault, StoreError};
pub use event::{
    AccordBound, ArtifactRegistered, ArtifactRevised, CustodyTransitioned, Decoded,
    DeploymentObserved, Event, EventKind, EventType, Outcome, Tier, VerificationRecorded,
};
pub use ids::{
    AccordId, ArtifactId, CeremonyId, EventId, HolderId, IdError, Position, Seq, StreamId, Version,
};
pub use invariant::{Code, Violation};
pub use json::{Json, JsonError, MAX_DEPTH, MAX_PAYLOAD_BYTES};
pub use ops::{
    AccordBinding, ArtifactDetail, ArtifactQuery, ArtifactSort, ArtifactSummary, Checkpoint,
    Cursor, CustodyTransition, DeploymentQuery, DeploymentState, Drift, GovernedArtifact, Health,
    MAX_PAGE_ROWS, OpenCeremony, OpsDb, Overview, Page, QuarantinedEntry, VerificationQuery,
    VerificationResult,
};
pub use projector::{
    Applied, ApplyError, Batch, ContinuityError, DecodedEntry, Generation, Lease, NotConsecutive,
    OPS_DB, OnViolation, Projector, Rebuild,
};
pub use time::{Timestamp, TimestampError};
