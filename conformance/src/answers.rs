//! A store with rows in every table, and what its queries have to return, computed row by row from
//! those tables (DESIGN section 6).

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use guildhall_core::{
    AccordBinding, AccordId, ArtifactId, ArtifactQuery, ArtifactSort, ArtifactSummary, Cursor,
    CustodyState, Drift, Health, OpenCeremony, OpsDb, Page, Position, Tables, Timestamp,
    VerificationResult,
};

use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;
use crate::workload::{Hostile, Mix};

/// How many entries it holds.
pub(crate) const LENGTH: usize = 1200;

pub(crate) fn log() -> Log {
    let hostile = Hostile::new(71, Mix { observations: 350, ..Mix::DENSE });
    Log::of(hostile.take(LENGTH).map(|hostile| hostile.entry))
}

/// A store with something in every table, its queries and its tables.
pub(crate) async fn filled<H: Harness>(harness: &H) -> (Arc<dyn OpsDb>, Tables) {
    filled_with(harness, &log()).await
}

/// The same with this log.
pub(crate) async fn filled_with<H: Harness>(harness: &H, log: &Log) -> (Arc<dyn OpsDb>, Tables) {
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    (harness.ops_db(), harness.tables().await)
}

pub(crate) fn drift(tables: &Tables, id: ArtifactId) -> (Drift, Option<Timestamp>) {
    let targets: Vec<_> =
        tables.deployment_states.iter().filter(|row| row.artifact_id == id).collect();
    let has = |health| targets.iter().any(|row| row.health == health);
    let (drift, health) = if targets.is_empty() {
        return (Drift::Undeployed, None);
    } else if has(Health::Drifted) {
        (Drift::Drifted, Health::Drifted)
    } else if has(Health::Unknown) {
        (Drift::Unknown, Health::Unknown)
    } else {
        (Drift::Healthy, Health::Healthy)
    };
    let since = targets.iter().filter(|row| row.health == health).map(|row| row.health_since);
    (drift, if health == Health::Healthy { since.max() } else { since.min() })
}

pub(crate) fn last_verified_at(tables: &Tables, id: ArtifactId) -> Option<Timestamp> {
    let of_it = tables.verification_results.iter().filter(|row| row.artifact_id == id);
    of_it.map(|row| row.verified_at).max()
}

/// The last verdict of each verifier on each target, and on each artifact.
pub(crate) fn standing(tables: &Tables) -> impl Iterator<Item = &VerificationResult> {
    let mut last = BTreeMap::new();
    let mut verdicts: Vec<_> = tables.verification_results.iter().collect();
    verdicts.sort_by_key(|row| (row.verified_at, row.position));
    for row in verdicts {
        last.insert((row.artifact_id, &row.target, &row.verifier), row);
    }
    last.into_values()
}

pub(crate) fn accord(tables: &Tables, id: AccordId) -> &AccordBinding {
    tables.accord_bindings.iter().find(|accord| accord.id == id).unwrap()
}

fn summaries(tables: &Tables) -> Vec<ArtifactSummary> {
    let summary = |artifact: &guildhall_core::GovernedArtifact| {
        let (drift, drift_since) = drift(tables, artifact.id);
        ArtifactSummary {
            id: artifact.id,
            accord_binding_id: artifact.accord_binding_id,
            name: artifact.name.clone(),
            artifact_type: artifact.artifact_type.clone(),
            tier: artifact.tier,
            cid: artifact.cid,
            custody_state: artifact.custody_state,
            drift,
            drift_since,
            position: artifact.position,
        }
    };
    tables.governed_artifacts.iter().map(summary).collect()
}

/// The rows that a query must answer, all pages together.
pub(crate) fn expected(tables: &Tables, query: &ArtifactQuery) -> Vec<ArtifactSummary> {
    let lower = |text: &str| text.to_ascii_lowercase();
    let mut rows: Vec<_> = summaries(tables)
        .into_iter()
        .zip(&tables.governed_artifacts)
        .filter(|(row, artifact)| {
            let terms = &accord(tables, row.accord_binding_id).accord_terms;
            let is_in_state = |state: &CustodyState| artifact.custody_state.as_ref() == Some(state);
            (query.artifact_types.is_empty() || query.artifact_types.contains(&row.artifact_type))
                && (query.tiers.is_empty() || query.tiers.contains(&row.tier))
                && (query.custody_states.is_empty() || query.custody_states.iter().any(is_in_state))
                && (query.drifts.is_empty() || query.drifts.contains(&row.drift))
                && (query.accords.is_empty() || query.accords.contains(&row.accord_binding_id))
                && (query.ids.is_empty() || query.ids.contains(&row.id))
                && (query.names.is_empty() || query.names.contains(&row.name))
                && (query.name_begins.is_empty()
                    || query.name_begins.iter().any(|text| row.name.starts_with(text.as_str())))
                && query
                    .cid_begins
                    .as_ref()
                    .is_none_or(|text| row.cid.to_string().starts_with(text.as_str()))
                && (query.ids.is_empty() || query.ids.contains(&row.id))
                && (query.cids.is_empty() || query.cids.contains(&row.cid))
                && query
                    .name_contains
                    .as_ref()
                    .is_none_or(|text| lower(&row.name).contains(&lower(text)))
                && query
                    .content_contains
                    .as_ref()
                    .is_none_or(|part| artifact.content.contains(part))
                && query.terms_contain.as_ref().is_none_or(|part| terms.contains(part))
                && query.verified_before.is_none_or(|before| {
                    last_verified_at(tables, row.id).is_none_or(|at| at < before)
                })
                && (query.verdicts.is_empty()
                    || standing(tables).any(|verdict| {
                        verdict.artifact_id == row.id && query.verdicts.contains(&verdict.outcome)
                    }))
        })
        .map(|(row, _)| row)
        .collect();
    rows.sort_by(|one, other| {
        let by = match query.sort {
            ArtifactSort::Name => std::cmp::Ordering::Equal,
            ArtifactSort::ArtifactType => one.artifact_type.cmp(&other.artifact_type),
            ArtifactSort::Tier => one.tier.cmp(&other.tier),
            ArtifactSort::CustodyState => {
                let text = |row: &ArtifactSummary| row.custody_state.map(CustodyState::as_str);
                text(one).cmp(&text(other))
            }
            ArtifactSort::Position => one.position.cmp(&other.position),
            ArtifactSort::Cid => one.cid.to_string().cmp(&other.cid.to_string()),
            ArtifactSort::Drift => {
                let at = |row: &ArtifactSummary| {
                    Drift::WORST_FIRST.iter().position(|drift| *drift == row.drift)
                };
                at(one).cmp(&at(other))
            }
        };
        by.then_with(|| one.name.as_bytes().cmp(other.name.as_bytes()))
            .then_with(|| one.id.cmp(&other.id))
    });
    if query.is_descending {
        rows.reverse();
    }
    rows
}

/// All pages together, checking that each is as long as it can be.
pub(crate) async fn pages<T, F>(limit: u32, page: impl Fn(Option<Cursor>) -> F) -> Vec<T>
where
    F: Future<Output = Page<T>>,
{
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = page(after).await;
        let is_last = page.next.is_none();
        assert!(is_last || page.rows.len() == limit as usize, "a page in the middle is full");
        assert!(page.rows.len() <= limit as usize);
        rows.extend(page.rows);
        assert!(rows.len() <= LENGTH, "the pages do not end");
        // A cursor is a text to whoever carries it.
        after = page.next.map(|cursor| Cursor::from_text(cursor.as_str()));
        if is_last {
            return rows;
        }
    }
}

pub(crate) async fn artifacts(ops_db: &dyn OpsDb, query: &ArtifactQuery) -> Vec<ArtifactSummary> {
    pages(query.limit, |after| async {
        ops_db.artifacts(&query.clone().after(after)).await.unwrap()
    })
    .await
}

#[track_caller]
pub(crate) fn assert_same<T: Debug + PartialEq>(found: &[T], expected: &[T], asked: &dyn Debug) {
    let differs =
        (0..found.len().max(expected.len())).find(|at| found.get(*at) != expected.get(*at));
    if let Some(at) = differs {
        panic!(
            "{asked:?}\nrow {at} of {} (expected {}):\n   found {:?}\nexpected {:?}",
            found.len(),
            expected.len(),
            found.get(at),
            expected.get(at)
        );
    }
}

pub(crate) fn open_ceremonies(tables: &Tables) -> Vec<OpenCeremony> {
    let mut open: Vec<OpenCeremony> = tables
        .governed_artifacts
        .iter()
        .filter_map(|artifact| {
            let of = |link: &&guildhall_core::CustodyTransition| link.artifact_id == artifact.id;
            let opened = tables.custody_transitions.iter().rfind(of)?;
            (opened.to_state == CustodyState::CeremonyOpen).then(|| OpenCeremony {
                ceremony_id: opened.ceremony_id,
                name: artifact.name.clone(),
                artifact_type: artifact.artifact_type.clone(),
                tier: artifact.tier,
                accord: accord(tables, artifact.accord_binding_id).name.clone(),
                opened: opened.clone(),
            })
        })
        .collect();
    open.sort_by_key(|row| (row.opened.occurred_at, row.opened.position));
    open
}
