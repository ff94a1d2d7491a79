//! Questions about the past as JSON.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::request::Parts;
use guildhall_core::diff::{Diff, Operation};
use guildhall_core::ops::{MomentKey, Paging, PositionKey, RevisionKey, TargetKey};
use guildhall_core::{
    ArtifactId, ArtifactRevision, Change, Cid, Cursor, MAX_POSTURE_DAYS, OpsDb, Page, PeriodQuery,
    Position, PostureBy, PostureDay, PostureQuery, Revision, Timestamp,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, Id, Named, ROWS};
use crate::app::Shared;
use crate::error::{RequestError, json};
use crate::moment::Then;
use crate::params::Params;

/// How many revisions a page has unless asked otherwise: their contents are read with them.
const REVISIONS: u32 = 20;

/// How many days posture is told of unless asked otherwise.
const DAYS: u32 = 30;

/// A content that an artifact had, without the content.
#[derive(Serialize)]
struct Content {
    revision: Revision,
    cid: Cid,
    content_schema: String,
    recorded_at: Timestamp,
    position: Position,
}

impl From<ArtifactRevision> for Content {
    fn from(row: ArtifactRevision) -> Self {
        Self {
            revision: row.revision,
            cid: row.cid,
            content_schema: row.content_schema,
            recorded_at: row.recorded_at,
            position: row.position,
        }
    }
}

/// The revisions of an artifact, without their contents.
pub(crate) async fn revisions(then: Then, Named(id): Id, RawQuery(query): RawQuery) -> Answer {
    let params = Params::parse(query.as_deref());
    let (after, limit) = (params.cursor::<RevisionKey>("after")?, params.limit(REVISIONS)?);
    let is_first = after.is_none();
    let Page { rows, next, previous } = then.ops_db.revisions(id, after, limit).await?;
    if is_first && rows.is_empty() {
        return Err(RequestError::Missing("artifact"));
    }
    let rows: Vec<Content> = rows.into_iter().map(Content::from).collect();
    Ok(json(&Page { rows, next, previous }))
}

/// One revision, with its content.
pub(crate) async fn revision(
    State(app): State<Shared>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Answer {
    let missing = RequestError::Missing("revision");
    let Ok(Path((id, revision))) = path else { return Err(missing) };
    let (Ok(id), Ok(revision)) = (id.parse(), revision.parse()) else { return Err(missing) };
    Ok(json(&load(&*app.ops_db, id, revision).await?.ok_or(missing)?))
}

async fn load(
    ops_db: &dyn OpsDb,
    id: ArtifactId,
    revision: Revision,
) -> Result<Option<ArtifactRevision>, RequestError> {
    // The latest come first.
    let after = revision.next().map(|next| Cursor::from_key(&(next,)));
    let found = ops_db.revisions(id, after, 1).await?.rows.pop();
    Ok(found.filter(|found| found.revision == revision))
}

/// What changed from one revision to another: to the latest, from the one before it, unless they are named.
pub(crate) async fn diff(
    State(app): State<Shared>,
    Named(id): Id,
    RawQuery(query): RawQuery,
) -> Answer {
    #[derive(Serialize)]
    struct Body {
        before: Content,
        after: Content,
        operations: Vec<Operation>,
    }
    let params = Params::parse(query.as_deref());
    let (before, after) = (params.one::<Revision>("before")?, params.one::<Revision>("after")?);
    let moment = app.ops_db.snapshot().await?;
    let after = match after {
        Some(after) => load(&*moment, id, after).await?,
        None => moment.revisions(id, None, 1).await?.rows.pop(),
    };
    let after = after.ok_or(RequestError::Missing("revision"))?;
    // The first one has none before it, and is compared with itself.
    let before = before.unwrap_or_else(|| after.revision.previous().max(Revision::FIRST));
    let before = load(&*moment, id, before).await?.ok_or(RequestError::Missing("revision"))?;
    let operations = Diff::of(&before.content, &after.content).operations();
    Ok(json(&Body { before: before.into(), after: after.into(), operations }))
}

/// Everything that became of an artifact, the latest entry of the log first.
pub(crate) async fn timeline(then: Then, Named(id): Id, RawQuery(query): RawQuery) -> Answer {
    let query = Params::parse(query.as_deref()).timeline(id, ROWS)?;
    let moment = then.ops_db.snapshot().await?;
    moment.artifact(id).await?.ok_or(RequestError::Missing("artifact"))?;
    Ok(json(&moment.timeline(&query).await?))
}

/// Who decided what runs on a target.
pub(crate) async fn decided(then: Then, Named(id): Id, RawQuery(query): RawQuery) -> Answer {
    let target = needed(&Params::parse(query.as_deref()), "target")?;
    let found = then.ops_db.decided(id, &target).await?;
    Ok(json(&found.ok_or(RequestError::Missing("target of this artifact"))?))
}

/// A parameter without which there is no question.
fn needed(params: &Params, name: &'static str) -> Result<String, RequestError> {
    let reason = || "it has to be given".to_owned();
    params.one(name)?.ok_or_else(|| RequestError::BadParameter { name, reason: reason() })
}

/// What changed between two moments, which the body names by their positions.
pub(crate) async fn changes(State(app): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    #[derive(Serialize)]
    struct Body {
        from: Position,
        to: Position,
        #[serde(flatten)]
        page: Page<Change>,
    }
    let query = Params::parse(query.as_deref()).changes(&app, Position::ZERO, ROWS).await?;
    let page = app.ops_db.changes(&query).await?;
    Ok(json(&Body { from: query.from, to: query.to, page }))
}

/// The ceremonies that somebody opened or closed.
pub(crate) async fn ceremonies(then: Then, RawQuery(query): RawQuery) -> Answer {
    let params = Params::parse(query.as_deref());
    let actor = needed(&params, "actor")?;
    let (after, limit) = (params.cursor::<PositionKey>("after")?, params.limit(ROWS)?);
    Ok(json(&then.ops_db.ceremonies_of(&actor, after, limit).await?))
}

/// A question about a period, to a list of which `K` is the key: the Ops DB of the moment that `as_of` names.
pub(crate) struct OfPeriod<K> {
    ops_db: Arc<dyn OpsDb>,
    query: PeriodQuery,
    key: PhantomData<fn() -> K>,
}

impl<K: DeserializeOwned> FromRequestParts<Shared> for OfPeriod<K> {
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, RequestError> {
        let then = Then::from_request_parts(parts, app).await?;
        let query = Params::parse(parts.uri.query()).period::<K>(then.time(app).await?, ROWS)?;
        Ok(Self { ops_db: then.ops_db, query, key: PhantomData })
    }
}

pub(crate) async fn health_times(asked: OfPeriod<TargetKey>) -> Answer {
    Ok(json(&asked.ops_db.health_times(&asked.query).await?))
}

pub(crate) async fn drifts(asked: OfPeriod<MomentKey>) -> Answer {
    Ok(json(&asked.ops_db.drifts(&asked.query).await?))
}

pub(crate) async fn recovery(asked: OfPeriod<MomentKey>) -> Answer {
    Ok(json(&asked.ops_db.recovery(&asked.query).await?))
}

/// Days, and the groups of each, in that order.
type DayKey = (Timestamp, String);

pub(crate) async fn posture(
    State(app): State<Shared>,
    then: Then,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = Params::parse(query.as_deref());
    let days = params.one::<u32>("days")?.unwrap_or(DAYS);
    if !(1..=MAX_POSTURE_DAYS).contains(&days) {
        let reason = format!("from 1 to {MAX_POSTURE_DAYS}");
        return Err(RequestError::BadParameter { name: "days", reason });
    }
    let until = match params.one::<Timestamp>("until")? {
        Some(until) => until,
        None => then.time(&app).await?,
    };
    let by = params.one::<PostureBy>("by")?.unwrap_or(PostureBy::Estate);
    let (after, limit) = (params.cursor::<DayKey>("after")?, params.limit(ROWS)?);
    let query = PostureQuery::last_days(days, until).by(by);
    Ok(json(&page_of_days(then.ops_db.posture(&query).await?, after.as_ref(), limit)))
}

fn page_of_days(mut rows: Vec<PostureDay>, after: Option<&Cursor>, limit: u32) -> Page<PostureDay> {
    let paging = Paging::<DayKey>::of(after, limit);
    if let Some((day, group)) = &paging.key {
        let place = |row: &PostureDay| (row.day, row.group.as_str()).cmp(&(*day, group));
        if paging.is_turned {
            rows.retain(|row| place(row).is_lt());
            rows.reverse();
        } else {
            rows.retain(|row| place(row).is_gt());
        }
    }
    rows.truncate(usize::try_from(paging.wanted()).unwrap_or(usize::MAX));
    paging.page(rows, |row| (row.day, row.group.clone()))
}
