//! The router without a network: who is let in, what is refused, what people and machines are told.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod api;
mod attention;
mod changes;
mod custody;
mod details;
mod due;
mod embedded;
mod feeds;
mod health;
mod hostile;
mod lists;
mod live;
mod past;
mod posture;
#[cfg(feature = "proof")]
mod proof;
mod search;
mod served;
mod then;
mod timeline;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode, header};
use common::{Guild, SOON, at};
use guildhall_console::{Access, Console, PATHS, serve, serve_probes};
use guildhall_core::command::{Act, Command, Recorder};
use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
use guildhall_core::{
    AccordBinding, AccordBound, AccordId, AccordQuery, Append, AppendError, Appended, Applied,
    ApplyError, ArtifactDetail, ArtifactId, ArtifactQuery, ArtifactRevision, ArtifactSummary, AsOf,
    AsOfError, Batch, Ceremony, CeremonyId, Change, ChangeQuery, Checkpoint, Chronicle,
    ClosedCeremony, Counted, Cursor, CustodyPolicy, CustodyState, CustodyTransition, Decided,
    DeploymentQuery, DeploymentState, DriftSpan, Entry, EventType, Head, HealthTimes, Json, Lease,
    LogFault, NewEntry, OpenCeremony, OpsDb, Origin, Outcome, Overview, Page, PeriodQuery,
    Position, PostureDay, PostureQuery, Projector, ProjectorCheckpoint, QuarantinedEntry,
    ReadLimit, Recovery, Scan, Seq, StoreError, StreamId, TargetChange, TimelineEntry,
    TimelineQuery, Timestamp, Total, VerificationQuery, VerificationRecorded, VerificationResult,
    Version,
};
use guildhall_projector::ceremony::{
    CeremonyFeed, CeremonyOrchestrator, CeremonyOutcome, CeremonyReport, FeedError, FeedState,
    Intake, Step,
};
use guildhall_projector::{Runtime, Settings};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

const LOCAL: [(&str, &str); 1] = [("host", "localhost")];

async fn get(router: &Router, path: &str) -> Response<Body> {
    ask(router, path, &LOCAL).await
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn json(router: &Router, path: &str) -> Value {
    let response = get(router, path).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    serde_json::from_str(&text(response).await).unwrap()
}

/// A console in memory, before which nothing projects; a test may move its clock.
fn in_memory() -> (Arc<MemoryChronicle>, Arc<MemoryOpsDb>, Console) {
    let (chronicle, ops_db) = (Arc::new(MemoryChronicle::new()), Arc::new(MemoryOpsDb::new()));
    let orchestrator = CeremonyOrchestrator::new(chronicle.clone(), ops_db.clone()).start();
    (chronicle, Arc::clone(&ops_db), Console::new(ops_db, orchestrator))
}

/// An entry that changes no table.
fn note() -> NewEntry {
    let empty = || Json::parse("{}").unwrap();
    NewEntry {
        event_type: EventType::new("org.example.noted.v1"),
        payload: empty(),
        ..NewEntry::new(&AccordBound::new("a", "b", empty(), at(0)).into())
    }
}

fn value_of(answer: &impl serde::Serialize) -> Value {
    serde_json::to_value(answer).unwrap()
}
