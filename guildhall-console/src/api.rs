//! The facts as JSON: the answers of the Ops DB, as they are.

use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use guildhall_core::{ArtifactId, CustodyTransition, MAX_PAGE_ROWS, Overview, Seq, Violation};
use serde::Serialize;

use crate::console::Shared;
use crate::error::{RequestError, json};
use crate::pages::chain;
use crate::params::Params;
use crate::standing::Standing;

/// How many rows a page has, unless asked otherwise.
const ROWS: u32 = 100;

/// The description of all this.
const OPENAPI: &str = include_str!("../openapi.json");

type Answer = Result<Response, Response>;

fn bad(error: impl Into<RequestError>) -> Response {
    error.into().into_json()
}

pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

pub(crate) async fn overview(State(app): State<Shared>) -> Answer {
    #[derive(Serialize)]
    struct Body {
        artifacts: u64,
        #[serde(flatten)]
        overview: Overview,
    }
    let overview = app.ops_db.overview().await.map_err(bad)?;
    Ok(json(&Body { artifacts: overview.artifacts(), overview }))
}

pub(crate) async fn status(State(app): State<Shared>) -> Answer {
    Ok(json(&Standing::load(&app).await.map_err(bad)?))
}

pub(crate) async fn accords(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let params = Params::parse(query.as_deref());
    let limit = params.limit(ROWS).map_err(bad)?;
    Ok(json(&app.ops_db.accords(params.after(), limit).await.map_err(bad)?))
}

pub(crate) async fn artifacts(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Params::parse(query.as_deref()).artifacts(ROWS).map_err(bad)?;
    Ok(json(&app.ops_db.artifacts(&query).await.map_err(bad)?))
}

fn artifact_id(text: &str) -> Result<ArtifactId, RequestError> {
    text.parse().map_err(|_| RequestError::Missing("artifact"))
}

pub(crate) async fn artifact(State(app): State<Shared>, Path(id): Path<String>) -> Answer {
    let found = app.ops_db.artifact(artifact_id(&id).map_err(bad)?).await.map_err(bad)?;
    Ok(json(&found.ok_or_else(|| bad(RequestError::Missing("artifact")))?))
}

/// A link and what came of recomputing it; none where that was not done, far down a long chain.
#[derive(Serialize)]
struct LinkBody<'j> {
    #[serde(flatten)]
    link: &'j CustodyTransition,
    verdict: Option<Verdict>,
}

#[derive(Serialize)]
struct Verdict {
    holds: bool,
    code: Option<&'static str>,
    reason: Option<String>,
}

impl From<Option<&Violation>> for Verdict {
    fn from(violation: Option<&Violation>) -> Self {
        Self {
            holds: violation.is_none(),
            code: violation.map(|violation| violation.code().as_str()),
            reason: violation.map(ToString::to_string),
        }
    }
}

pub(crate) async fn chain(
    State(app): State<Shared>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    #[derive(Serialize)]
    struct Body<'j> {
        rows: Vec<LinkBody<'j>>,
        next: Option<String>,
        discrepancy: Option<String>,
    }
    let id = artifact_id(&id).map_err(bad)?;
    let params = Params::parse(query.as_deref());
    let after = params.one::<u64>("after").map_err(bad)?.map_or(Seq::ZERO, Seq::new);
    let limit = params.limit(MAX_PAGE_ROWS).map_err(bad)?;
    let found = app.ops_db.artifact(id).await.map_err(bad)?;
    let found = found.ok_or_else(|| bad(RequestError::Missing("artifact")))?;
    let links = app.ops_db.chain(id, after, limit).await.map_err(bad)?;
    let next = match links.last() {
        Some(last) if !app.ops_db.chain(id, last.seq, 1).await.map_err(bad)?.is_empty() => {
            Some(last.seq.to_string())
        }
        _ => None,
    };
    // Last, so that it has what the others have.
    let judged = chain::judge(&*app.ops_db, &app.policy, &found.artifact).await.map_err(bad)?;
    let verdict = |seq| judged.at(seq).map(|judged| judged.violation.as_ref().into());
    let rows = links.iter().map(|link| LinkBody { link, verdict: verdict(link.seq) }).collect();
    let discrepancy = judged.discrepancy.as_ref().map(ToString::to_string);
    Ok(json(&Body { rows, next, discrepancy }))
}

pub(crate) async fn open_ceremonies(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = Params::parse(query.as_deref());
    let limit = params.limit(ROWS).map_err(bad)?;
    Ok(json(&app.ops_db.open_ceremonies(params.after(), limit).await.map_err(bad)?))
}

pub(crate) async fn closed_ceremonies(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = Params::parse(query.as_deref());
    let limit = params.limit(ROWS).map_err(bad)?;
    Ok(json(&app.ops_db.closed_ceremonies(params.after(), limit).await.map_err(bad)?))
}

pub(crate) async fn deployments(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Params::parse(query.as_deref()).deployments(ROWS).map_err(bad)?;
    Ok(json(&app.ops_db.deployments(&query).await.map_err(bad)?))
}

pub(crate) async fn verifications(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Params::parse(query.as_deref()).verifications(ROWS).map_err(bad)?;
    Ok(json(&app.ops_db.verifications(&query).await.map_err(bad)?))
}

pub(crate) async fn quarantined(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let params = Params::parse(query.as_deref());
    let limit = params.limit(ROWS).map_err(bad)?;
    Ok(json(&app.ops_db.quarantined(params.after(), limit).await.map_err(bad)?))
}
