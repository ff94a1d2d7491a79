//! The meaning of Guildhall: events, the chain of custody, the fold and the traits of the stores.
//!
//! A program that embeds Guildhall begins at the crate `guildhall`, which puts this one, a store and
//! the projector together behind one handle.
//!
//! An organisation governs configuration artifacts; an engine decides about them in ceremonies, and
//! all that it decides or observes goes into one append-only log, the [`Chronicle`]. This crate says
//! what such a log may hold and what it means, without doing any I/O:
//!
//! - [`Event`] is what can happen, [`event::wire`] how it is written down, [`Json`] which JSON is kept;
//! - [`custody`] is the chain of hash-linked transitions, [`invariant`] what must hold of an entry;
//! - [`command::Recorder`] turns what somebody wants into sound entries;
//! - [`fold::Fold`] turns entries into rows of the Ops DB ([`ops`]), the same for every store;
//! - [`Chronicle`], [`Projector`], [`Rebuild`] and [`OpsDb`] are what a store implements,
//!   [`memory`] the stores for an embedder's own tests, [`testing`] what those of a policy are
//!   written with;
//! - [`Seals`] is what a Chronicle keeps so that it can be proved;
//! - [`store`] is what only a store's author needs: the decisions that all of them share;
//! - [`jsonl`] imports and exports;
//! - [`text`] makes what others wrote safe to show on a terminal.
//!
//! A link of the chain is made from what is wanted, and judged against what is known:
//!
//! ```
//! use guildhall_core::custody::{self, ChainHead, Move};
//! use guildhall_core::invariant::{ArtifactHead, Context, check};
//! use guildhall_core::{ArtifactId, Cid, Code, CustodyPolicy, CustodyState, Json};
//!
//! let cid = Cid::of(&Json::parse(r#"{"ttl": 300}"#)?);
//! let artifact_id = ArtifactId::new();
//! let draft = Move {
//!     to_state: CustodyState::Drafted,
//!     actor: "ada".into(),
//!     reason: "first draft".into(),
//!     ceremony_id: None,
//!     evidence: Json::null(),
//!     occurred_at: "2026-11-23T10:05:00Z".parse()?,
//! };
//! let genesis = custody::link(artifact_id, cid, None, draft.clone());
//!
//! // Nobody deploys a draft: the policy does not permit it.
//! let head = ChainHead::from(&genesis);
//! let deploy = Move { to_state: CustodyState::Deployed, ..draft };
//! let link = custody::link(artifact_id, cid, Some(&head), deploy);
//! let artifact = ArtifactHead { cid, chain: Some(head), ratified: Vec::new() };
//! let policy = CustodyPolicy::standard();
//! let context = Context { policy: &policy, accord_exists: true, artifact: Some(&artifact) };
//! let violation = check(&link.into(), context).unwrap_err();
//! assert_eq!(violation.code(), Code::CC04);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod checkpoint;
mod chronicle;
mod cid;
pub mod command;
pub mod custody;
pub mod diff;
mod error;
pub mod event;
#[cfg(test)]
mod fixtures;
pub mod fold;
mod hash;
mod ids;
pub mod invariant;
mod json;
pub mod jsonl;
pub mod memory;
pub mod ops;
mod origin;
mod projector;
pub mod seals;
mod setters;
pub mod store;
pub mod terms;
pub mod testing;
pub mod text;
mod time;
mod verdict;
mod words;

pub use checkpoint::{Checkpoint, ContinuityError};
pub use chronicle::{
    Append, AppendError, Appended, Chronicle, DecodedEntry, Entry, Expected, Head, Metadata,
    NewEntry, Origin, OriginError, Place, ReadLimit, Unchecked,
};
pub use cid::{Cid, CidError, HashError, LeafHash, LinkHash, TreeHash};
pub use custody::{CustodyPolicy, CustodyState};
pub use error::{Fault, LogFault, StoreError};
pub use event::{
    AccordBound, ArtifactRegistered, ArtifactRevised, ChronicleIndexed, CustodyTransitioned,
    Decoded, DeploymentObserved, Event, EventKind, EventType, Outcome, Tier, VerificationRecorded,
};
pub use fold::OnViolation;
pub use ids::{
    AccordId, ArtifactId, CeremonyId, CounterError, EventId, HolderId, IdError, Position, Revision,
    Seq, StreamId, Version,
};
pub use invariant::{Code, Violation};
pub use json::{Json, JsonError, MAX_DEPTH, MAX_PAYLOAD_BYTES};
pub use ops::{
    AccordBinding, AccordQuery, AccordSort, ArtifactDetail, ArtifactQuery, ArtifactRevision,
    ArtifactSort, ArtifactSummary, AsOf, AsOfError, AsOfTextError, Ceremony, Change, ChangeQuery,
    ClosedCeremony, Counted, CountedRows, Cursor, CustodyTransition, Decided, DeploymentChange,
    DeploymentQuery, DeploymentSort, DeploymentState, Difference, DifferenceKind, Drift, DriftSpan,
    GovernedArtifact, Happened, Health, HealthTimes, HeldLease, MAX_PAGE_ROWS, MAX_POSTURE_DAYS,
    Named, OpenCeremony, OpsDb, Overdue, OverdueArtifact, Overview, Page, PeriodQuery, PostureBy,
    PostureDay, PostureMoves, PostureQuery, ProjectorCheckpoint, QuarantinedEntry, Recovery,
    RowCount, Scan, SnapshotEnded, Table, TableRow, Tables, TargetChange, TimelineEntry,
    TimelineKind, TimelineQuery, Total, VerificationQuery, VerificationResult, Wakeup, What,
};
pub use projector::{
    Applied, ApplyError, Batch, Disagreement, Generation, Lease, NotConsecutive, OPS_DB, Projector,
    Rebuild,
};
pub use seals::{
    NewSeal, SaveSealError, Seals, StoredCosignature, StoredSeal, StoredStream, StoredTile,
};
pub use time::{Timestamp, TimestampError};
pub use verdict::{Judged, Verdict};
