//! The seals of the log, judged by what is known, page by page.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use guildhall_core::ops::{Paging, PositionKey};
use guildhall_core::{Cursor, Origin, Page, Position, Seals, StoredSeal, Timestamp, TreeHash};
use guildhall_projector::proof::{SealedLog, SealedLogError};
use guildhall_proof::SignedSeal;
use guildhall_proof::verify::{Cosigned, JudgedSeal};
use serde::Serialize;

use super::Proof;
use crate::app::Shared;
use crate::error::{RequestError, json, told};
use crate::params::Params;

/// How many seals a page of the API has, unless asked otherwise.
const ROWS: u32 = 100;

/// A seal, and what is found of it.
#[derive(Debug, Serialize)]
pub(super) struct SealRow {
    pub(super) size: Position,
    pub(super) root: TreeHash,
    pub(super) sealed_at: Timestamp,
    /// The signed note with its cosignatures, to keep elsewhere.
    seal: String,
    /// The log's keys that signed it; none where no key is known.
    pub(super) signers: Vec<String>,
    pub(super) cosignatures: Vec<Cosignature>,
    /// Whether the policy's quorum cosigned it; none where that is not known.
    pub(super) has_quorum: Option<bool>,
    /// Whether the tree of the last seal grew out of its tree; none where that could not be checked.
    pub(super) is_consistent: Option<bool>,
    /// What is wrong with it.
    pub(super) faults: Vec<String>,
    /// Why it has no quorum, where it has none.
    #[serde(skip)]
    pub(super) lacks: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Cosignature {
    pub(super) key_name: String,
    /// As the witness says.
    pub(super) cosigned_at: Option<Timestamp>,
    pub(super) is_verified: bool,
}

/// A page of seals, the last first.
pub(super) struct Listed {
    pub(super) page: Page<SealRow>,
    /// Why it was not checked whether the log grew out of them.
    pub(super) unchecked: Option<String>,
}

pub(crate) async fn seals(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let params = Params::parse(query.as_deref());
    let after = params.cursor::<PositionKey>("after")?;
    let listed = list(&app.proof, after.as_ref(), params.limit(ROWS)?).await?;
    Ok(json(&listed.page))
}

/// The seals after this cursor.
pub(super) async fn list(
    proof: &Proof,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Listed, RequestError> {
    let log = proof.log()?;
    let Some(origin) = log.origin().await? else {
        return Ok(Listed { page: Page::EMPTY, unchecked: None });
    };
    let paging = Paging::<PositionKey>::of(after, limit);
    let wanted = usize::try_from(paging.wanted()).unwrap_or(usize::MAX);
    let found = match paging.key {
        Some((size,)) if paging.is_turned => log.seals(size, wanted).await?,
        Some((size,)) => log.seals_before(size, wanted).await?,
        None => log.seals_before(Position::MAX, wanted).await?,
    };
    let Page { rows: found, next, previous } = paging.page(found, |seal| (seal.size,));
    let mut rows = Vec::with_capacity(found.len());
    for seal in &found {
        rows.push(judge(proof, &*log, &origin, seal).await?);
    }
    let unchecked = {
        let _turn = proof.turn.lock().await;
        compare(log, &found, &mut rows).await
    };
    let page = Page { rows, next, previous };
    Ok(Listed { page, unchecked })
}

/// The last seal, judged by itself.
pub(super) async fn last(proof: &Proof, log: &dyn Seals) -> Result<Option<SealRow>, RequestError> {
    let (Some(origin), Some(last)) = (log.origin().await?, log.last_seal().await?) else {
        return Ok(None);
    };
    Ok(Some(judge(proof, log, &origin, &last).await?))
}

async fn judge(
    proof: &Proof,
    log: &dyn Seals,
    origin: &Origin,
    seal: &StoredSeal,
) -> Result<SealRow, RequestError> {
    let lines = log.cosignatures(seal.size).await?.into_iter().map(|it| it.line);
    let (stated, lines) = ((seal.size.get(), seal.root), Vec::from_iter(lines));
    let judged = proof.known.judge_stored(origin, stated, &seal.note, &lines);
    Ok(SealRow::of(seal, judged))
}

/// Holds the tree of the last seal against these seals; returns why it could not be done.
async fn compare(
    log: Arc<dyn Seals>,
    found: &[StoredSeal],
    rows: &mut [SealRow],
) -> Option<String> {
    // Loaded after the rows, so that none of them is younger.
    let last = match log.last_seal().await {
        Ok(Some(last)) => last,
        Ok(None) => return None,
        Err(error) => return Some(told(&error)),
    };
    let last = match SignedSeal::parse(&last.note) {
        Ok(last) => last,
        Err(reason) => return Some(format!("the last seal is not valid: {reason}")),
    };
    let earlier: Vec<_> = found.iter().map(|seal| (seal.size.get(), seal.root)).collect();
    let grew = async { SealedLog::load(log, last).await?.grew_from(&earlier).await };
    match grew.await {
        Ok(grew) => {
            for (row, grew) in rows.iter_mut().zip(grew) {
                row.is_consistent = Some(grew.is_ok());
                if grew.is_err() {
                    let fault = "the log of the last seal did not grow out of it";
                    row.faults.push(fault.to_owned());
                }
            }
            None
        }
        Err(SealedLogError::Store(error)) => Some(told(&error)),
        Err(error) => Some(error.to_string()),
    }
}

impl SealRow {
    fn of(stored: &StoredSeal, judged: JudgedSeal) -> Self {
        let JudgedSeal { seal, signers, cosignatures, quorum, faults, .. } = judged;
        Self {
            size: stored.size,
            root: stored.root,
            sealed_at: stored.sealed_at,
            seal: seal.map_or_else(|| stored.note.clone(), |seal| seal.to_string()),
            signers,
            cosignatures: cosignatures.into_iter().map(Cosignature::from).collect(),
            has_quorum: quorum.as_ref().map(Result::is_ok),
            is_consistent: None,
            faults,
            lacks: quorum.and_then(Result::err),
        }
    }
}

impl From<Cosigned> for Cosignature {
    fn from(it: Cosigned) -> Self {
        let micros = i64::try_from(it.unix_seconds).ok().and_then(|at| at.checked_mul(1_000_000));
        Self {
            key_name: it.name,
            cosigned_at: micros.and_then(|micros| Timestamp::from_micros(micros).ok()),
            is_verified: it.is_verified,
        }
    }
}
