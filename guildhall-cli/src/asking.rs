//! What commands that query have in common: pages, and artifacts and accords by id, name or CID.

use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use guildhall_core::{
    AccordBinding, AccordId, AccordQuery, ArtifactDetail, ArtifactId, ArtifactQuery, AsOf, Cid,
    Cursor, MAX_PAGE_ROWS, OpsDb, Position, Timestamp,
};
use serde::de::DeserializeOwned;

use crate::database::Reading;
use crate::error::Problem;

/// Which page of a list.
#[derive(Debug, Clone, Args)]
pub(crate) struct Paging {
    /// Continue after this cursor, the `next` of the previous page
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,

    /// How many rows to show at most
    #[arg(long, value_name = "ROWS", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PAGE_ROWS)))]
    pub(crate) limit: u32,
}

impl Paging {
    /// Where to go on, in a list of which `K` is the key.
    ///
    /// # Errors
    /// It is a cursor of another list, which would start this one from the beginning.
    pub(crate) fn after<K: DeserializeOwned>(&self) -> Result<Option<Cursor>> {
        let after = self.after.clone().map(Cursor::from_text);
        match after {
            Some(cursor) if cursor.to_key::<K>().is_none() => Err(no_cursor()),
            after => Ok(after),
        }
    }
}

/// Which moment is asked about.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Moment {
    /// As it was once this entry was applied, or as it was the case at this time
    #[arg(long, value_name = "POSITION|TIME")]
    pub(crate) as_of: Option<AsOf>,
}

impl Moment {
    /// The Ops DB as it was then; as it is where no moment is given.
    ///
    /// # Errors
    /// It does not know how it was then; or the store's own.
    pub(crate) async fn of(self, ops_db: &Arc<dyn OpsDb>) -> Result<Arc<dyn OpsDb>> {
        match self.as_of {
            None => Ok(Arc::clone(ops_db)),
            Some(moment) => Ok(ops_db.as_of(moment).await?.into()),
        }
    }
}

/// The time that a moment is: at a position, when the entry there was recorded, so that ages are the same
/// whenever they are looked at; now where no moment is given.
///
/// # Errors
/// The store's own.
pub(crate) async fn time(database: &Reading, as_of: Option<AsOf>) -> Result<Timestamp> {
    let at = match as_of {
        None => None,
        Some(AsOf::Time(at)) => Some(at),
        Some(AsOf::Position(position)) => database.chronicle.time_at(position).await?,
    };
    Ok(at.unwrap_or_else(Timestamp::now))
}

/// The position that a moment is: at a time, of the last entry that was recorded by then.
///
/// # Errors
/// The store's own.
pub(crate) async fn position(database: &Reading, moment: AsOf) -> Result<Position> {
    Ok(match moment {
        AsOf::Position(position) => position,
        AsOf::Time(at) => database.chronicle.position_at(at).await?,
    })
}

/// A cursor is not one of this list.
pub(crate) fn no_cursor() -> anyhow::Error {
    let what = "--after: not a cursor of this list";
    Problem::usage(what, "use the `next` of the previous page, in the same order").into()
}

/// The artifact that a text names: its id, its name, or the CID of what it says now.
///
/// # Errors
/// There is none, or several; or the store's own.
pub(crate) async fn artifact(ops_db: &dyn OpsDb, text: &str) -> Result<ArtifactDetail> {
    let mut ids: Vec<ArtifactId> = Vec::new();
    if let Ok(id) = text.parse::<ArtifactId>() {
        ids.push(id);
    } else {
        let query = match text.parse::<Cid>() {
            Ok(cid) => ArtifactQuery::default().cids([cid]),
            Err(_) => ArtifactQuery::default().names([text.to_owned()]),
        };
        ids.extend(ops_db.artifacts(&query).await?.rows.iter().map(|row| row.id));
    }
    let id = only("artifact", text, &ids)?;
    ops_db.artifact(id).await?.ok_or_else(|| absent("artifact", text))
}

/// The id of the artifact that a filter names, where it names one.
///
/// # Errors
/// There is none of that name, or several; or the store's own.
pub(crate) async fn artifact_id(
    ops_db: &dyn OpsDb,
    text: Option<&str>,
) -> Result<Option<ArtifactId>> {
    match text {
        Some(text) => Ok(Some(artifact(ops_db, text).await?.artifact.id)),
        None => Ok(None),
    }
}

/// The accord that a text names: its id or its name.
///
/// # Errors
/// There is none, or several; or the store's own.
pub(crate) async fn accord(ops_db: &dyn OpsDb, text: &str) -> Result<AccordBinding> {
    let mut ids: Vec<AccordId> = Vec::new();
    if let Ok(id) = text.parse::<AccordId>() {
        ids.push(id);
    } else {
        let query = AccordQuery::default().names([text.to_owned()]);
        ids.extend(ops_db.accords(&query).await?.rows.iter().map(|row| row.id));
    }
    let id = only("accord", text, &ids)?;
    ops_db.accord(id).await?.ok_or_else(|| absent("accord", text))
}

fn only<I: Copy + ToString>(kind: &'static str, text: &str, ids: &[I]) -> Result<I> {
    match ids {
        [] => Err(absent(kind, text)),
        [id] => Ok(*id),
        several => {
            let ids: Vec<_> = several.iter().map(I::to_string).collect();
            let what = format!("{text:?} names {} {kind}s", several.len());
            Err(Problem::failed(what, format!("name one by its id: {}", ids.join(", "))).into())
        }
    }
}

fn absent(kind: &'static str, text: &str) -> anyhow::Error {
    let next = format!("`guildhall {kind} list` shows them all");
    Problem::failed(format!("there is no {kind} {text:?}"), next).into()
}
