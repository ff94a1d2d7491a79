//! The facts as JSON: the answers of the Ops DB, as they are.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use guildhall_core::ops::{MomentKey, PositionKey, SeqKey};
use guildhall_core::{
    ArtifactId, Cursor, CustodyTransition, MAX_PAGE_ROWS, Overview, Seq, Violation,
};
use serde::Serialize;

use crate::app::Shared;
use crate::chain::{self, Kept};
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
            let reason = "it is not a text: a UUID is expected".to_owned();
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
    let query = Params::parse(query.as_deref()).accords(ROWS)?;
    Ok(json(&app.ops_db.accords(&query).await?))
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
        next: Option<Cursor>,
        discrepancy: Option<String>,
    }
    let params = Params::parse(query.as_deref());
    let after = params.cursor::<SeqKey>("after")?;
    let limit = params.limit(MAX_PAGE_ROWS)?;
    let moment = app.ops_db.snapshot().await?;
    let found = moment.artifact(id).await?;
    let found = found.ok_or(RequestError::Missing("artifact"))?;
    let from = after.as_ref().and_then(Cursor::to_key::<SeqKey>).map_or(Seq::ZERO, |(seq,)| seq);
    let page = moment.chain(id, after, limit).await?;
    let kept = Kept::After(from, page.rows.len());
    let judged = chain::recompute(&*moment, &app.policy, &found.artifact, kept).await?;
    // None of those beyond what is recomputed.
    let mut verdicts = judged.links.iter().map(|judged| judged.violation.as_ref().into());
    let rows = page.rows.iter().map(|link| LinkBody { link, verdict: verdicts.next() }).collect();
    let discrepancy = judged.discrepancy.as_ref().map(ToString::to_string);
    Ok(json(&Body { rows, next: page.next, discrepancy }))
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
