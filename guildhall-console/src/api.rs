//! The facts as JSON: the answers of the Ops DB, as they are.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use guildhall_core::event::wire;
use guildhall_core::ops::{MomentKey, PositionKey, SeqKey};
use guildhall_core::terms::Clock;
use guildhall_core::{
    AccordId, ArtifactId, CeremonyId, Cursor, CustodyTransition, MAX_PAGE_ROWS, Overdue, Overview,
    Page, Position, ReadLimit, Seq, Violation,
};
use serde::Serialize;

use crate::app::Shared;
use crate::chain::{self, Kept};
use crate::error::{RequestError, json};
use crate::moment::Then;
use crate::params::Params;
use crate::standing::Standing;

pub(crate) mod past;

/// How many rows a page has, unless asked otherwise.
const ROWS: u32 = 100;

/// The description of all this.
const OPENAPI: &str = include_str!("../openapi.json");

type Answer = Result<Response, RequestError>;

/// What a path names: an id, or a position.
pub(crate) struct Named<T>(pub(crate) T);

/// The artifact that a path names.
pub(crate) type Id = Named<ArtifactId>;

/// What can be named by a path.
pub(crate) trait Nameable: std::str::FromStr {
    /// What it is, for who asks for one that does not exist.
    const WHAT: &'static str;
}

impl Nameable for ArtifactId {
    const WHAT: &'static str = "artifact";
}

impl Nameable for AccordId {
    const WHAT: &'static str = "accord";
}

impl Nameable for CeremonyId {
    const WHAT: &'static str = "ceremony";
}

impl Nameable for Position {
    const WHAT: &'static str = "position";
}

impl<S: Send + Sync, T: Nameable> FromRequestParts<S> for Named<T> {
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RequestError> {
        let unreadable = |_: PathRejection| {
            let reason = "it is not a text: an id or a position is expected".to_owned();
            RequestError::BadParameter { name: "id", reason }
        };
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(unreadable)?;
        text.parse().map(Self).map_err(|_| RequestError::Missing(T::WHAT))
    }
}

pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

pub(crate) async fn overview(then: Then) -> Answer {
    #[derive(Serialize)]
    struct Body {
        artifacts: u64,
        #[serde(flatten)]
        overview: Overview,
    }
    let overview = then.ops_db.overview().await?;
    Ok(json(&Body { artifacts: overview.artifacts(), overview }))
}

pub(crate) async fn status(State(app): State<Shared>) -> Answer {
    Ok(json(&Standing::load(&app).await?))
}

pub(crate) async fn accords(then: Then, RawQuery(query): RawQuery) -> Answer {
    let query = Params::parse(query.as_deref()).accords(ROWS)?;
    Ok(json(&then.ops_db.accords(&query).await?))
}

pub(crate) async fn artifacts(then: Then, RawQuery(query): RawQuery) -> Answer {
    let query = Params::parse(query.as_deref()).artifacts(ROWS)?;
    Ok(json(&then.ops_db.artifacts(&query).await?))
}

pub(crate) async fn artifact(then: Then, Named(id): Id) -> Answer {
    let found = then.ops_db.artifact(id).await?;
    Ok(json(&found.ok_or(RequestError::Missing("artifact"))?))
}

/// What is due, and overdue, for one artifact.
pub(crate) async fn due(State(app): State<Shared>, then: Then, Named(id): Id) -> Answer {
    #[derive(Serialize)]
    struct Body {
        clocks: Vec<Clock>,
    }
    let now = then.time(&app).await?;
    let moment = then.ops_db.snapshot().await?;
    let found = moment.artifact(id).await?.ok_or(RequestError::Missing("artifact"))?;
    Ok(json(&Body { clocks: found.clocks(&*moment, now).await? }))
}

/// What is overdue over all artifacts.
pub(crate) async fn overdue(State(app): State<Shared>, then: Then) -> Answer {
    let now = then.time(&app).await?;
    let moment = then.ops_db.snapshot().await?;
    Ok(json(&Overdue::load(&*moment, now, ROWS).await?))
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
    then: Then,
    Named(id): Id,
    RawQuery(query): RawQuery,
) -> Answer {
    #[derive(Serialize)]
    struct Body<'j> {
        rows: Vec<LinkBody<'j>>,
        next: Option<Cursor>,
        previous: Option<Cursor>,
        discrepancy: Option<String>,
    }
    let params = Params::parse(query.as_deref());
    let after = params.cursor::<SeqKey>("after")?;
    let limit = params.limit(MAX_PAGE_ROWS)?;
    let moment = then.ops_db.snapshot().await?;
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
    let Page { next, previous, .. } = page;
    Ok(json(&Body { rows, next, previous, discrepancy }))
}

pub(crate) async fn open_ceremonies(then: Then, RawQuery(query): RawQuery) -> Answer {
    let params = Params::parse(query.as_deref());
    let limit = params.limit(ROWS)?;
    Ok(json(&then.ops_db.open_ceremonies(params.cursor::<MomentKey>("after")?, limit).await?))
}

pub(crate) async fn closed_ceremonies(then: Then, RawQuery(query): RawQuery) -> Answer {
    let params = Params::parse(query.as_deref());
    let limit = params.limit(ROWS)?;
    Ok(json(&then.ops_db.closed_ceremonies(params.cursor::<MomentKey>("after")?, limit).await?))
}

pub(crate) async fn deployments(then: Then, RawQuery(query): RawQuery) -> Answer {
    let query = Params::parse(query.as_deref()).deployments(ROWS)?;
    Ok(json(&then.ops_db.deployments(&query).await?))
}

pub(crate) async fn verifications(then: Then, RawQuery(query): RawQuery) -> Answer {
    let query = Params::parse(query.as_deref()).verifications(ROWS)?;
    Ok(json(&then.ops_db.verifications(&query).await?))
}

pub(crate) async fn quarantined(then: Then, RawQuery(query): RawQuery) -> Answer {
    let params = Params::parse(query.as_deref());
    let limit = params.limit(ROWS)?;
    Ok(json(&then.ops_db.quarantined(params.cursor::<PositionKey>("after")?, limit).await?))
}

pub(crate) async fn accord(then: Then, Named(id): Named<AccordId>) -> Answer {
    let found = then.ops_db.accord(id).await?;
    Ok(json(&found.ok_or(RequestError::Missing("accord"))?))
}

pub(crate) async fn ceremony(
    then: Then,
    Named(id): Named<CeremonyId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = Params::parse(query.as_deref());
    let (after, limit) = (params.cursor::<PositionKey>("after")?, params.limit(ROWS)?);
    let is_first = after.is_none();
    let page = then.ops_db.ceremony(id, after, limit).await?;
    if is_first && page.rows.is_empty() {
        return Err(RequestError::Missing("ceremony"));
    }
    Ok(json(&page))
}

pub(crate) async fn quarantined_at(
    State(app): State<Shared>,
    Named(position): Named<Position>,
) -> Answer {
    let found = app.ops_db.quarantined_at(position).await?;
    Ok(json(&found.ok_or(RequestError::Missing("entry in quarantine"))?))
}

/// An entry as an export has it: CloudEvents, with its position and version.
pub(crate) async fn entry(State(app): State<Shared>, Named(position): Named<Position>) -> Answer {
    let chronicle = app.orchestrator.chronicle();
    let read = chronicle.read(position.previous(), ReadLimit::entries(1)).await?;
    let found = read.into_iter().find(|entry| entry.position == position);
    let entry = found.ok_or(RequestError::Missing("position of the log"))?;
    let origin = chronicle.origin().await?.ok_or(RequestError::Missing("position of the log"))?;
    // A payload that is not JSON can be stored by others, and not be shown as an event.
    let text = wire::to_line(&entry, &origin).map_err(|error| RequestError::Refused {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        reason: format!("the entry holds no JSON: {error}"),
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response())
}
