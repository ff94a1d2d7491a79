//! The facts as JSON: the answers of the Ops DB, as they are.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use guildhall_core::ops::{AccordKey, MomentKey, PositionKey};
use guildhall_core::{ArtifactId, CustodyTransition, MAX_PAGE_ROWS, Overview, Seq, Violation};
use serde::Serialize;

use crate::app::Shared;
use crate::chain;
use crate::error::{RequestError, json};
use crate::params::Params;
use crate::standing::Standing;

/// How many rows a page has, unless asked otherwise.
const ROWS: u32 = 100;

/// The description of all this.
const OPENAPI: &str = include_str!("../openapi.json");

type Answer = Result<Response, RequestError>;

/// The artifact that a path names.
pub(crate) struct Id(pub(crate) ArtifactId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RequestError> {
        let unreadable = |_: PathRejection| {
            let reason = "it is no text: a UUID is expected".to_owned();
            RequestError::BadParameter { name: "id", reason }
        };
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(unreadable)?;
        text.parse().map(Self).map_err(|_| RequestError::Missing("artifact"))
    }
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
    let overview = app.ops_db.overview().await?;
    Ok(json(&Body { artifacts: overview.artifacts(), overview }))
}

pub(crate) async fn status(State(app): State<Shared>) -> Answer {
    Ok(json(&Standing::load(&app).await?))
}

pub(crate) async fn accords(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let params = Params::parse(query.as_deref());
    let limit = params.limit(ROWS)?;
    Ok(json(&app.ops_db.accords(params.cursor::<AccordKey>("after")?, limit).await?))
}

pub(crate) async fn artifacts(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Params::parse(query.as_deref()).artifacts(ROWS)?;
    Ok(json(&app.ops_db.artifacts(&query).await?))
}

pub(crate) async fn artifact(State(app): State<Shared>, Id(id): Id) -> Answer {
    let found = app.ops_db.artifact(id).await?;
    Ok(json(&found.ok_or(RequestError::Missing("artifact"))?))
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
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> Answer {
    #[derive(Serialize)]
    struct Body<'j> {
        rows: Vec<LinkBody<'j>>,
        next: Option<String>,
        discrepancy: Option<String>,
    }
    let params = Params::parse(query.as_deref());
    let after = params.one("after")?.unwrap_or(Seq::ZERO);
    let limit = params.limit(MAX_PAGE_ROWS)?;
    let found = app.ops_db.artifact(id).await?;
    let found = found.ok_or(RequestError::Missing("artifact"))?;
    let links = app.ops_db.chain(id, after, limit).await?;
    let next = match links.last() {
        Some(last) if !app.ops_db.chain(id, last.seq, 1).await?.is_empty() => {
            Some(last.seq.to_string())
        }
        _ => None,
    };
    // Last, so that it has what the others have.
    let judged = chain::recompute(&*app.ops_db, &app.policy, &found.artifact).await?;
    let verdict = |seq| judged.chain.at(seq).map(|judged| judged.violation.as_ref().into());
    let rows = links.iter().map(|link| LinkBody { link, verdict: verdict(link.seq) }).collect();
    let discrepancy = judged.discrepancy.as_ref().map(ToString::to_string);
    Ok(json(&Body { rows, next, discrepancy }))
}

pub(crate) async fn open_ceremonies(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = Params::parse(query.as_deref());
    let limit = params.limit(ROWS)?;
    Ok(json(&app.ops_db.open_ceremonies(params.cursor::<MomentKey>("after")?, limit).await?))
}

pub(crate) async fn closed_ceremonies(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = Params::parse(query.as_deref());
    let limit = params.limit(ROWS)?;
    Ok(json(&app.ops_db.closed_ceremonies(params.cursor::<MomentKey>("after")?, limit).await?))
}

pub(crate) async fn deployments(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Params::parse(query.as_deref()).deployments(ROWS)?;
    Ok(json(&app.ops_db.deployments(&query).await?))
}

pub(crate) async fn verifications(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Params::parse(query.as_deref()).verifications(ROWS)?;
    Ok(json(&app.ops_db.verifications(&query).await?))
}

pub(crate) async fn quarantined(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let params = Params::parse(query.as_deref());
    let limit = params.limit(ROWS)?;
    Ok(json(&app.ops_db.quarantined(params.cursor::<PositionKey>("after")?, limit).await?))
}
