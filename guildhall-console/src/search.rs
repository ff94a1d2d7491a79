//! Search from everywhere: what is named so, or begins so, by kind. Each kind is looked for in an index, and is
//! cut after a few, so that what it costs does not grow with what there is.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use guildhall_core::{
    AccordBinding, AccordId, AccordQuery, ArtifactId, ArtifactQuery, ArtifactSort, ArtifactSummary,
    Ceremony, CeremonyId, DeploymentQuery, DeploymentSort, DeploymentState, OpsDb, Position,
    StoreError,
};
use serde::Serialize;

use crate::app::Shared;
use crate::error::{RequestError, json};
use crate::params::Params;

/// How many of a kind are found.
const FOUND: u32 = 8;

/// From how many characters on a CID that is cut short is looked for: all begin alike.
const CID_CHARACTERS: usize = 8;

/// What was found for a text.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Found {
    /// Artifacts whose name begins so, whose CID does, or that have the id.
    pub(crate) artifacts: Vec<ArtifactSummary>,
    /// Accords whose name begins so, or that have the id.
    pub(crate) accords: Vec<AccordBinding>,
    /// The ceremony of the id, over each of its artifacts.
    pub(crate) ceremonies: Vec<Ceremony>,
    /// Targets that begin so.
    pub(crate) deployments: Vec<DeploymentState>,
    /// The position of the log, where the text is one that it has.
    pub(crate) position: Option<Position>,
}

impl Found {
    pub(crate) fn is_empty(&self) -> bool {
        self.artifacts.is_empty()
            && self.accords.is_empty()
            && self.ceremonies.is_empty()
            && self.deployments.is_empty()
            && self.position.is_none()
    }
}

/// A name as it may be written: as it was typed, in small letters, in capitals, and with a capital first.
pub(crate) fn spellings(text: &str) -> Vec<String> {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase().to_string());
    let capital = first.unwrap_or_default() + letters.as_str();
    let mut spellings =
        vec![text.to_owned(), text.to_ascii_lowercase(), text.to_ascii_uppercase(), capital];
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// What there is for a text.
pub(crate) async fn find(
    moment: &dyn OpsDb,
    text: &str,
    head: Position,
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    if text.is_empty() {
        return Ok(found);
    }
    let query = ArtifactQuery::default().limit(FOUND);
    found.artifacts = moment.artifacts(&query.clone().name_begins(spellings(text))).await?.rows;
    if text.len() >= CID_CHARACTERS && text.starts_with("bafkrei") {
        let query = query.clone().cid_begins(text.to_owned()).sort(ArtifactSort::Cid);
        found.artifacts.extend(moment.artifacts(&query).await?.rows);
    }
    if let Ok(id) = text.parse::<ArtifactId>() {
        found.artifacts.extend(moment.artifacts(&query.ids([id])).await?.rows);
    }
    let query = AccordQuery::default().limit(FOUND).name_begins(spellings(text));
    found.accords = moment.accords(&query).await?.rows;
    if let Ok(id) = text.parse::<AccordId>() {
        found.accords.extend(moment.accord(id).await?);
    }
    if let Ok(id) = text.parse::<CeremonyId>() {
        found.ceremonies = moment.ceremony(id, None, FOUND).await?.rows;
    }
    let query = DeploymentQuery::default().target_begins(text.to_owned());
    let query = query.sort(DeploymentSort::Target).limit(FOUND);
    found.deployments = moment.deployments(&query).await?.rows;
    let position = text.parse::<Position>().ok();
    found.position = position.filter(|at| *at > Position::ZERO && *at <= head);
    Ok(found)
}

/// What is looked for: without what stands around it.
pub(crate) fn text_of(params: &Params) -> Result<String, RequestError> {
    Ok(params.one::<String>("q")?.unwrap_or_default().trim().to_owned())
}

pub(crate) async fn search(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let text = text_of(&Params::parse(query.as_deref()))?;
    let head = app.orchestrator.head().await?;
    let moment = app.ops_db.snapshot().await?;
    Ok(json(&find(&*moment, &text, head).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_in_four_spellings() {
        assert_eq!(spellings("quay"), ["QUAY", "Quay", "quay"]);
        assert_eq!(spellings("CA00"), ["CA00", "ca00"]);
        assert_eq!(spellings("\u{f6}l"), ["\u{f6}L", "\u{f6}l"]);
    }
}
