//! Lists as CSV (RFC 4180): every row that matches, streamed page by page.
//!
//! A file is not of one moment: rows that come while it is written may be in it. One that could not be written
//! to its end ends its connection, and is not mistaken for a whole one. JSON that rows carry (content,
//! evidence, detail) is left to the API.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use futures::stream;
use guildhall_core::{
    AccordBinding, ArtifactSummary, Cursor, DeploymentState, Happened, MAX_PAGE_ROWS, OpsDb, Page,
    StoreError, TimelineEntry, VerificationResult,
};
use tokio::sync::mpsc;

use crate::api::{Id, Named};
use crate::app::{App, Shared};
use crate::error::RequestError;
use crate::moment::Then;
use crate::params::Params;

/// How many pages may wait for a client, and for how long the next one does.
const UNREAD: usize = 2;
const UNREAD_FOR: Duration = Duration::from_secs(30);

type Answer = Result<Response, RequestError>;

/// A row of a file.
trait Record: Send + 'static {
    /// What it has, in order: the names that the API uses.
    const COLUMNS: &'static [&'static str];

    fn cells(&self) -> Vec<String>;
}

/// How a page is asked for, after the one before.
type Ask<T> = Box<
    dyn for<'o> Fn(&'o dyn OpsDb, Option<Cursor>) -> BoxFuture<'o, Result<Page<T>, StoreError>>
        + Send
        + Sync,
>;

pub(crate) async fn artifacts(
    State(app): State<Shared>,
    then: Then,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Params::parse(query.as_deref()).artifacts(MAX_PAGE_ROWS)?;
    let ask: Ask<ArtifactSummary> = Box::new(move |ops_db, after| {
        let query = query.clone().after(after);
        Box::pin(async move { ops_db.artifacts(&query).await })
    });
    file(&app, then, "artifacts.csv", ask)
}

pub(crate) async fn accords(
    State(app): State<Shared>,
    then: Then,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Params::parse(query.as_deref()).accords(MAX_PAGE_ROWS)?;
    let ask: Ask<AccordBinding> = Box::new(move |ops_db, after| {
        let query = query.clone().after(after);
        Box::pin(async move { ops_db.accords(&query).await })
    });
    file(&app, then, "accords.csv", ask)
}

pub(crate) async fn deployments(
    State(app): State<Shared>,
    then: Then,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Params::parse(query.as_deref()).deployments(MAX_PAGE_ROWS)?;
    let ask: Ask<DeploymentState> = Box::new(move |ops_db, after| {
        let query = query.clone().after(after);
        Box::pin(async move { ops_db.deployments(&query).await })
    });
    file(&app, then, "deployments.csv", ask)
}

pub(crate) async fn verifications(
    State(app): State<Shared>,
    then: Then,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Params::parse(query.as_deref()).verifications(MAX_PAGE_ROWS)?;
    let ask: Ask<VerificationResult> = Box::new(move |ops_db, after| {
        let query = query.clone().after(after);
        Box::pin(async move { ops_db.verifications(&query).await })
    });
    file(&app, then, "verifications.csv", ask)
}

pub(crate) async fn timeline(
    State(app): State<Shared>,
    then: Then,
    Named(id): Id,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Params::parse(query.as_deref()).timeline(id, MAX_PAGE_ROWS)?;
    then.ops_db.artifact(id).await?.ok_or(RequestError::Missing("artifact"))?;
    let ask: Ask<TimelineEntry> = Box::new(move |ops_db, after| {
        let query = query.clone().after(after);
        Box::pin(async move { ops_db.timeline(&query).await })
    });
    file(&app, then, "timeline.csv", ask)
}

fn file<T: Record>(app: &App, then: Then, name: &'static str, ask: Ask<T>) -> Answer {
    let permit = Arc::clone(&app.streams).try_acquire_owned();
    let permit = permit.map_err(|_| RequestError::Crowded)?;
    let (sender, receiver) = mpsc::channel(UNREAD);
    // No part of the body, which nobody may be asking for more.
    tokio::spawn(async move {
        let _permit = permit;
        write(&*then.ops_db, &ask, &sender).await;
    });
    let body = stream::unfold(receiver, |mut receiver| async move {
        let part: io::Result<Bytes> = receiver.recv().await?;
        Some((part, receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Writes until there is no more, or nobody takes it.
async fn write<T: Record>(ops_db: &dyn OpsDb, ask: &Ask<T>, to: &mpsc::Sender<io::Result<Bytes>>) {
    let mut text = line(T::COLUMNS.iter().copied());
    let mut after = None;
    loop {
        let part = match ask(ops_db, after).await {
            Ok(page) => {
                for row in &page.rows {
                    text.push_str(&line(row.cells().iter().map(String::as_str)));
                }
                after = page.next;
                Ok(Bytes::from(std::mem::take(&mut text)))
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a file was not finished"
                );
                after = None;
                Err(io::Error::other("the Ops DB did not answer"))
            }
        };
        let is_taken = to.send_timeout(part, UNREAD_FOR).await.is_ok();
        if !is_taken || after.is_none() {
            return;
        }
    }
}

fn line<'c>(cells: impl Iterator<Item = &'c str>) -> String {
    let cells: Vec<_> = cells.map(cell).collect();
    cells.join(",") + "\r\n"
}

/// A cell, quoted where it has to be. A spreadsheet takes a text for a formula that begins as one does, and others
/// write these texts: an apostrophe before it keeps it a text.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let guard = if is_formula { "'" } else { "" };
    if is_formula || text.contains(['"', ',', '\r', '\n']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn text_of<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

impl Record for ArtifactSummary {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "artifact_type",
        "tier",
        "cid",
        "custody_state",
        "drift",
        "drift_since",
        "accord_binding_id",
        "position",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.artifact_type.clone(),
            self.tier.get().to_string(),
            self.cid.to_string(),
            text_of(self.custody_state),
            self.drift.to_string(),
            text_of(self.drift_since),
            self.accord_binding_id.to_string(),
            self.position.to_string(),
        ]
    }
}

impl Record for AccordBinding {
    const COLUMNS: &'static [&'static str] =
        &["id", "name", "bound_by", "effective_at", "position"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.bound_by.clone(),
            self.effective_at.to_string(),
            self.position.to_string(),
        ]
    }
}

impl Record for DeploymentState {
    const COLUMNS: &'static [&'static str] = &[
        "artifact_id",
        "target",
        "health",
        "health_since",
        "desired_cid",
        "observed_cid",
        "observed_at",
        "position",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.artifact_id.to_string(),
            self.target.clone(),
            self.health.to_string(),
            self.health_since.to_string(),
            self.desired_cid.to_string(),
            text_of(self.observed_cid),
            self.observed_at.to_string(),
            self.position.to_string(),
        ]
    }
}

impl Record for VerificationResult {
    const COLUMNS: &'static [&'static str] =
        &["id", "artifact_id", "target", "verifier", "outcome", "verified_at", "position"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.artifact_id.to_string(),
            self.target.clone().unwrap_or_default(),
            self.verifier.clone(),
            self.outcome.to_string(),
            self.verified_at.to_string(),
            self.position.to_string(),
        ]
    }
}

impl Record for TimelineEntry {
    const COLUMNS: &'static [&'static str] = &[
        "position",
        "at",
        "kind",
        "revision",
        "cid",
        "from_state",
        "to_state",
        "ceremony_id",
        "actor",
        "reason",
        "target",
        "previous_health",
        "health",
        "desired_cid",
        "observed_cid",
        "verifier",
        "outcome",
    ];

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![String::new(); Self::COLUMNS.len()];
        let mut set = |name: &str, value: String| {
            if let Some(at) = Self::COLUMNS.iter().position(|column| *column == name) {
                cells[at] = value;
            }
        };
        set("position", self.position.to_string());
        set("at", self.at.to_string());
        set("kind", self.what.kind().to_string());
        match &self.what {
            Happened::Revision { revision, cid } => {
                set("revision", revision.to_string());
                set("cid", cid.to_string());
            }
            Happened::Ceremony { transition } | Happened::Transition { transition } => {
                set("cid", transition.cid.to_string());
                set("from_state", text_of(transition.from_state));
                set("to_state", transition.to_state.to_string());
                set("ceremony_id", text_of(transition.ceremony_id));
                set("actor", transition.actor.clone());
                set("reason", transition.reason.clone());
            }
            Happened::Target { change, .. } => {
                set("target", change.target.clone());
                set("previous_health", text_of(change.previous_health));
                set("health", change.health.to_string());
                set("desired_cid", change.desired_cid.to_string());
                set("observed_cid", text_of(change.observed_cid));
            }
            Happened::Verification { verification } => {
                set("target", verification.target.clone().unwrap_or_default());
                set("verifier", verification.verifier.clone());
                set("outcome", verification.outcome.to_string());
            }
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_or_ends_its_line() {
        for (text, written) in [
            ("zone", "zone"),
            ("", ""),
            ("a, \"b\"", "\"a, \"\"b\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("-1+1", "\"'-1+1\""),
            ("@x", "\"'@x\""),
            ("\t=1", "\"'\t=1\""),
            ("a=1", "a=1"),
        ] {
            assert_eq!(cell(text), written, "{text:?}");
        }
        assert_eq!(line(["a", "=b"].into_iter()), "a,\"'=b\"\r\n");
    }
}
