//! The Ops DB's queries: each answer is held against one that is computed, row by row, from the
//! tables (DESIGN section 6).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;

use guildhall_core::{
    AccordBinding, AccordId, AccordQuery, ArtifactDetail, ArtifactId, ArtifactQuery, ArtifactSort,
    ArtifactSummary, CeremonyId, ClosedCeremony, Cursor, CustodyState, DeploymentQuery, Drift,
    Health, Json, MAX_PAGE_ROWS, OPS_DB, OpenCeremony, OpsDb, Outcome, Overview, Page, Position,
    Tier, Timestamp, VerificationQuery, VerificationResult,
};

use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;
use crate::random::Random;
use crate::workload::{Hostile, Mix};
use guildhall_core::Tables;

super::scenarios! { $ __ops = ops:
    empty_tables_have_empty_answers,
    the_overview_counts_every_table,
    every_artifact_is_shown_whole,
    a_chain_is_read_link_by_link,
    any_filters_and_order_of_artifacts_answer_as_computed,
    names_are_matched_as_they_are,
    what_no_row_can_hold_is_not_found,
    json_fragments_are_found_in_content_and_terms,
    pages_of_artifacts_hold_each_row_once,
    pages_stay_right_while_rows_come,
    a_cursor_of_another_order_starts_anew,
    accords_are_listed_by_name,
    open_ceremonies_are_listed_oldest_first,
    closed_ceremonies_are_listed_latest_first,
    artifacts_are_found_by_the_age_of_their_verdict,
    a_verdict_stands_until_its_verifier_judges_the_same_again,
    deployments_are_listed_by_artifact_and_target,
    verifications_are_listed_latest_first,
    quarantine_is_listed_latest_first,
    a_page_has_no_more_rows_than_the_limit,
    the_checkpoint_is_that_of_the_tables,
}

pub(super) const LENGTH: usize = 1200;

pub(super) fn log() -> Log {
    let hostile = Hostile::new(71, Mix { observations: 350, ..Mix::DENSE });
    Log::of(hostile.take(LENGTH).map(|hostile| hostile.entry))
}

/// A store with something in every table, its queries and its tables.
pub(super) async fn filled<H: Harness>(harness: &H) -> (std::sync::Arc<dyn OpsDb>, Tables) {
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log().rest(Position::ZERO)).await.unwrap();
    (harness.ops_db(), harness.tables().await)
}

fn drift(tables: &Tables, id: ArtifactId) -> (Drift, Option<Timestamp>) {
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

fn last_verified_at(tables: &Tables, id: ArtifactId) -> Option<Timestamp> {
    let of_it = tables.verification_results.iter().filter(|row| row.artifact_id == id);
    of_it.map(|row| row.verified_at).max()
}

/// The last verdict of each verifier on each target, and on each artifact.
pub(super) fn standing(tables: &Tables) -> impl Iterator<Item = &VerificationResult> {
    let mut last = BTreeMap::new();
    let mut verdicts: Vec<_> = tables.verification_results.iter().collect();
    verdicts.sort_by_key(|row| (row.verified_at, row.position));
    for row in verdicts {
        last.insert((row.artifact_id, &row.target, &row.verifier), row);
    }
    last.into_values()
}

pub(super) fn accord(tables: &Tables, id: AccordId) -> &AccordBinding {
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
pub(super) fn expected(tables: &Tables, query: &ArtifactQuery) -> Vec<ArtifactSummary> {
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
                && (query.names.is_empty() || query.names.contains(&row.name))
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
pub(super) async fn pages<T, F>(limit: u32, page: impl Fn(Option<Cursor>) -> F) -> Vec<T>
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

pub(super) async fn artifacts(ops_db: &dyn OpsDb, query: &ArtifactQuery) -> Vec<ArtifactSummary> {
    pages(query.limit, |after| async {
        ops_db.artifacts(&query.clone().after(after)).await.unwrap()
    })
    .await
}

#[track_caller]
pub(super) fn assert_same<T: Debug + PartialEq>(found: &[T], expected: &[T], asked: &dyn Debug) {
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

pub async fn empty_tables_have_empty_answers<H: Harness>(harness: H) {
    let ops_db = harness.ops_db();
    assert_eq!(ops_db.overview().await.unwrap(), Overview::default());
    assert!(ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows.is_empty());
    let nobody = ArtifactId::new();
    assert_eq!(ops_db.artifact(nobody).await.unwrap(), None);
    assert_eq!(ops_db.chain(nobody, None, 10).await.unwrap(), Page::EMPTY);
    assert_eq!(ops_db.accords(&AccordQuery::default()).await.unwrap(), Page::EMPTY);
    assert_eq!(ops_db.accord(AccordId::new()).await.unwrap(), None);
    assert_eq!(ops_db.ceremony(CeremonyId::new(), None, 10).await.unwrap(), Page::EMPTY);
    assert_eq!(ops_db.quarantined_at(Position::FIRST).await.unwrap(), None);
    let moment = ops_db.snapshot().await.unwrap();
    assert_eq!(moment.overview().await.unwrap(), Overview::default());
    assert!(ops_db.open_ceremonies(None, 10).await.unwrap().rows.is_empty());
    assert!(ops_db.closed_ceremonies(None, 10).await.unwrap().rows.is_empty());
    assert!(ops_db.deployments(&DeploymentQuery::default()).await.unwrap().rows.is_empty());
    assert!(ops_db.verifications(&VerificationQuery::default()).await.unwrap().rows.is_empty());
    assert!(ops_db.quarantined(None, 10).await.unwrap().rows.is_empty());
}

pub async fn the_overview_counts_every_table<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let health =
        |health| tables.deployment_states.iter().filter(|row| row.health == health).count() as u64;
    let tier =
        |tier: Tier| tables.governed_artifacts.iter().filter(|row| row.tier == tier).count() as u64;
    let open = open_ceremonies(&tables);
    let mut expected = Overview::default();
    expected.accords = tables.accord_bindings.len() as u64;
    expected.artifacts_by_tier = Tier::ALL.map(tier);
    expected.healthy_deployments = health(Health::Healthy);
    expected.drifted_deployments = health(Health::Drifted);
    expected.unknown_deployments = health(Health::Unknown);
    expected.custody_transitions = tables.custody_transitions.len() as u64;
    expected.verifications = tables.verification_results.len() as u64;
    expected.open_ceremonies = open.len() as u64;
    expected.oldest_ceremony_opened_at = open.iter().map(|row| row.opened.occurred_at).min();
    expected.quarantined = tables.quarantined_entries.len() as u64;
    assert_eq!(ops_db.overview().await.unwrap(), expected);
    // The log has some of everything, or the comparison says little.
    assert!(expected.open_ceremonies > 1 && expected.unknown_deployments > 0);
    assert!(expected.drifted_deployments > 0 && expected.quarantined > 0);
}

pub async fn every_artifact_is_shown_whole<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let mut drifts = HashSet::new();
    for artifact in &tables.governed_artifacts {
        let (drift, drift_since) = drift(&tables, artifact.id);
        drifts.insert(drift);
        let expected = ArtifactDetail {
            artifact: artifact.clone(),
            accord: accord(&tables, artifact.accord_binding_id).clone(),
            drift,
            drift_since,
        };
        assert_eq!(ops_db.artifact(artifact.id).await.unwrap(), Some(expected));
    }
    assert_eq!(drifts.len(), Drift::ALL.len(), "the log has artifacts of every drift");
    assert_eq!(ops_db.artifact(ArtifactId::new()).await.unwrap(), None);
}

pub async fn a_chain_is_read_link_by_link<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    for artifact in &tables.governed_artifacts {
        let chain: Vec<_> = tables
            .custody_transitions
            .iter()
            .filter(|link| link.artifact_id == artifact.id)
            .cloned()
            .collect();
        for limit in [1, 2, 500] {
            let read = pages(limit, |after| async {
                ops_db.chain(artifact.id, after, limit).await.unwrap()
            });
            assert_same(&read.await, &chain, &limit);
        }
        for link in &chain {
            let after = Some(Cursor::after_link(link.seq));
            let beyond: Vec<_> = chain.iter().filter(|it| it.seq > link.seq).cloned().collect();
            let rows = ops_db.chain(artifact.id, after, 500).await.unwrap().rows;
            assert_same(&rows, &beyond, &link.seq);
        }
    }
}

/// A query that draws some of its filters.
fn any_query(random: &mut Random, tables: &Tables) -> ArtifactQuery {
    fn some<T: Clone>(random: &mut Random, all: &[T]) -> Vec<T> {
        let count = if random.once_in(2) { 0 } else { 1 + random.below(3) };
        (0..count).map(|_| random.pick(all)).collect()
    }
    let one_of = |random: &mut Random, texts: &[&str]| {
        random.once_in(4).then(|| Json::parse(random.pick(texts)).unwrap())
    };
    let types: Vec<String> =
        tables.governed_artifacts.iter().map(|row| row.artifact_type.clone()).collect();
    let names: Vec<String> = tables.governed_artifacts.iter().map(|row| row.name.clone()).collect();
    let cids: Vec<_> = tables.governed_artifacts.iter().map(|row| row.cid).collect();
    let accords: Vec<AccordId> = tables.accord_bindings.iter().map(|row| row.id).collect();
    ArtifactQuery::default()
        .artifact_types(some(random, &types))
        .tiers(some(random, &Tier::ALL))
        .custody_states(some(random, CustodyState::ALL))
        .drifts(some(random, Drift::ALL))
        .accords(some(random, &accords))
        .names(if random.once_in(8) { some(random, &names) } else { Vec::new() })
        .cids(if random.once_in(8) { some(random, &cids) } else { Vec::new() })
        .name_contains(random.once_in(3).then(|| {
            random.pick(&["zone", "Z", "%", "_", "ö", "Ö", "1", ".EXAMPLE", ""]).to_owned()
        }))
        .content_contains(one_of(
            random,
            &[r#"{"records":[{"ttl":60}]}"#, r#"{"soa":{"expire":1209600}}"#, "{}", "[]"],
        ))
        .terms_contain(one_of(
            random,
            &[r#"{"approvals":{"quorum":1}}"#, r#"{"areas":["edge"]}"#, r#"{"areas":"edge"}"#],
        ))
        .verified_before(
            random.once_in(4).then(|| random.pick(&tables.verification_results).verified_at),
        )
        .verdicts(if random.once_in(3) { some(random, Outcome::ALL) } else { Vec::new() })
        .sort(random.pick(ArtifactSort::ALL))
        .is_descending(random.once_in(2))
        .limit(1 + u32::try_from(random.below(40)).unwrap())
}

pub async fn any_filters_and_order_of_artifacts_answer_as_computed<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let mut random = Random::seeded(72);
    let mut found = 0;
    for _ in 0..300 {
        let query = any_query(&mut random, &tables);
        let rows = artifacts(&*ops_db, &query).await;
        found += rows.len();
        assert_same(&rows, &expected(&tables, &query), &query);
    }
    assert!(found > 300, "most of the queries find something");
}

pub async fn names_are_matched_as_they_are<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    for (text, is_found) in [
        ("zone", true),
        ("ZONE", true),
        ("%_SURE", true),
        ("%", true),
        ("_", true),
        ("o_e", false),
        ("z%e", false),
        ("größe", true),
        // Letters beyond ASCII keep their case.
        ("GRÖSSE", false),
        ("GRÖßE", false),
        ("GRößE", true),
        ("\\", false),
        ("'", false),
        ("\"; DROP TABLE governed_artifacts; --", false),
        ("", true),
    ] {
        let query = ArtifactQuery::default().name_contains(text.to_owned()).limit(MAX_PAGE_ROWS);
        let rows = ops_db.artifacts(&query).await.unwrap().rows;
        assert_eq!(!rows.is_empty(), is_found, "{text:?}");
        assert_same(&rows, &expected(&tables, &query), &text);
    }
}

/// The cursor, with U+0000 at the end of a text in it.
fn with_nul(cursor: Option<Cursor>, text: &str) -> Cursor {
    let cursor = cursor.unwrap();
    let json = serde_json::to_string(text).unwrap();
    let longer = format!("{}\\u0000\"", json.strip_suffix('"').unwrap());
    let spoilt = cursor.as_str().replace(&json, &longer);
    assert_ne!(cursor.as_str(), spoilt);
    Cursor::from_text(spoilt)
}

pub async fn what_no_row_can_hold_is_not_found<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let first = &tables.governed_artifacts[0];
    let name = |text: &str| ArtifactQuery::default().name_contains(text.to_owned());
    let types = |types: &[&str]| {
        ArtifactQuery::default()
            .artifact_types(types.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())
    };
    let names = |names: &[&str]| {
        ArtifactQuery::default().names(names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())
    };
    for (query, is_found) in [
        (name("\0"), false),
        (name(&format!("{}\0", first.name)), false),
        (types(&["\0"]), false),
        (types(&[&first.artifact_type, "\0"]), true),
        (names(&["\0"]), false),
        (names(&[&first.name, "\0"]), true),
    ] {
        let rows = ops_db.artifacts(&query).await.unwrap().rows;
        assert_eq!(!rows.is_empty(), is_found, "{query:?}");
        assert_same(&rows, &expected(&tables, &query), &query);
    }
    assert_eq!(ops_db.checkpoint(&format!("{OPS_DB}\0")).await.unwrap(), None);

    let one = ArtifactQuery::default().limit(1);
    let page = ops_db.artifacts(&one).await.unwrap();
    let after = Some(with_nul(page.next, &page.rows[0].name));
    let again = ops_db.artifacts(&one.after(after)).await.unwrap();
    assert_eq!(again.rows, page.rows);
    let one = AccordQuery::default().limit(1);
    let page = ops_db.accords(&one).await.unwrap();
    let after = with_nul(page.next, &page.rows[0].name);
    assert_eq!(ops_db.accords(&one.clone().after(after)).await.unwrap().rows, page.rows);
    let nul = ["\0".to_owned()];
    assert_eq!(ops_db.accords(&one.names(nul.clone())).await.unwrap(), Page::EMPTY);
    let any = VerificationQuery::default();
    for query in [any.clone().targets(nul.clone()), any.verifiers(nul)] {
        assert_eq!(ops_db.verifications(&query).await.unwrap(), Page::EMPTY);
    }
    let one = DeploymentQuery::default().limit(1);
    let page = ops_db.deployments(&one).await.unwrap();
    let after = Some(with_nul(page.next, &page.rows[0].target));
    let again = ops_db.deployments(&one.after(after)).await.unwrap();
    assert_eq!(again.rows, page.rows);
}

pub async fn json_fragments_are_found_in_content_and_terms<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let serial = tables.governed_artifacts[0].content.to_value()["serial"].clone();
    for (fragment, is_found) in [
        (format!(r#"{{"serial":{serial}}}"#), true),
        (format!(r#"{{"serial":"{serial}"}}"#), false),
        (r#"{"records":[{"ttl":60,"name":"host-3"}]}"#.to_owned(), true),
        (r#"{"records":[{"ttl":61}]}"#.to_owned(), false),
        (r#"{"records":{"ttl":60}}"#.to_owned(), false),
        (r#"{"soa":{"minimum":0.5}}"#.to_owned(), true),
        (r#"{"records":[{"proxied":false}],"soa":{}}"#.to_owned(), true),
        ("{}".to_owned(), true),
        ("[]".to_owned(), false),
        ("null".to_owned(), false),
    ] {
        let query = ArtifactQuery::default()
            .content_contains(Json::parse(&fragment).unwrap())
            .limit(MAX_PAGE_ROWS);
        let rows = ops_db.artifacts(&query).await.unwrap().rows;
        assert_eq!(!rows.is_empty(), is_found, "{fragment}");
        assert_same(&rows, &expected(&tables, &query), &fragment);
    }
    for (fragment, is_found) in
        [(r#"{"areas":["network"]}"#, true), (r#"{"approvals":{"quorum":9}}"#, false)]
    {
        let query = ArtifactQuery::default()
            .terms_contain(Json::parse(fragment).unwrap())
            .limit(MAX_PAGE_ROWS);
        let rows = ops_db.artifacts(&query).await.unwrap().rows;
        assert_eq!(!rows.is_empty(), is_found, "{fragment}");
        assert_same(&rows, &expected(&tables, &query), &fragment);
    }
}

pub async fn pages_of_artifacts_hold_each_row_once<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let count = u32::try_from(tables.governed_artifacts.len()).unwrap();
    for sort in ArtifactSort::ALL {
        for is_descending in [false, true] {
            let query = ArtifactQuery::default().sort(*sort).is_descending(is_descending);
            let whole = expected(&tables, &query);
            for limit in [1, 2, 7, count - 1, count, count + 1] {
                let query = query.clone().limit(limit);
                assert_same(&artifacts(&*ops_db, &query).await, &whole, &query);
            }
        }
    }
}

/// A cursor is a place in the order, not a count: what comes before it does not move it.
pub async fn pages_stay_right_while_rows_come<H: Harness>(harness: H) {
    let log = log();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.batch(Position::ZERO, LENGTH / 2)).await.unwrap();
    let ops_db = harness.ops_db();
    let query = ArtifactQuery::default().limit(5);
    let first = ops_db.artifacts(&query).await.unwrap();
    projector.apply(log.rest(Position::try_from(LENGTH as u64 / 2).unwrap())).await.unwrap();
    let rest = query.clone().after(first.next.clone()).limit(MAX_PAGE_ROWS);
    let rows = ops_db.artifacts(&rest).await.unwrap().rows;
    let last = first.rows.last().unwrap();
    let whole = expected(&harness.tables().await, &query);
    let beyond: Vec<_> =
        whole.into_iter().filter(|row| (&row.name, row.id) > (&last.name, last.id)).collect();
    assert_same(&rows, &beyond, &rest);
}

pub async fn a_cursor_of_another_order_starts_anew<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let by_tier = ArtifactQuery::default().sort(ArtifactSort::Tier).limit(5);
    let cursor = ops_db.artifacts(&by_tier).await.unwrap().next;
    let query = ArtifactQuery::default().after(cursor.clone()).limit(500);
    let rows = ops_db.artifacts(&query).await.unwrap().rows;
    assert_same(&rows, &expected(&tables, &query), &query);
    for after in [cursor, Some(Cursor::from_text("not a cursor")), Some(Cursor::from_text(""))] {
        let query = AccordQuery::default().after(after.clone()).limit(500);
        let accords = ops_db.accords(&query).await.unwrap().rows;
        assert_eq!(accords.len(), tables.accord_bindings.len());
        let query = VerificationQuery::default().after(after).limit(500);
        let verifications = ops_db.verifications(&query).await.unwrap().rows;
        assert_eq!(verifications.len(), tables.verification_results.len().min(500));
    }
}

pub async fn accords_are_listed_by_name<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let mut expected = tables.accord_bindings.clone();
    expected.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
    assert!(expected.windows(2).any(|pair| pair[0].name == pair[1].name), "some share a name");
    for limit in [1, 2, 3, 500] {
        let rows = pages(limit, |after| async {
            let query = AccordQuery::default().after(after).limit(limit);
            ops_db.accords(&query).await.unwrap()
        });
        assert_same(&rows.await, &expected, &limit);
    }
}

fn open_ceremonies(tables: &Tables) -> Vec<OpenCeremony> {
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

pub async fn open_ceremonies_are_listed_oldest_first<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let expected = open_ceremonies(&tables);
    for limit in [1, 2, 500] {
        let rows =
            pages(limit, |after| async { ops_db.open_ceremonies(after, limit).await.unwrap() });
        assert_same(&rows.await, &expected, &limit);
    }
}

pub async fn closed_ceremonies_are_listed_latest_first<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let links = tables.custody_transitions.windows(2).filter(|pair| {
        pair[1].artifact_id == pair[0].artifact_id
            && pair[1].from_state == Some(CustodyState::CeremonyOpen)
    });
    let mut expected: Vec<ClosedCeremony> = links
        .map(|pair| {
            let (opened, closed) = (&pair[0], &pair[1]);
            let artifact =
                tables.governed_artifacts.iter().find(|row| row.id == closed.artifact_id).unwrap();
            ClosedCeremony {
                ceremony_id: opened.ceremony_id,
                name: artifact.name.clone(),
                artifact_type: artifact.artifact_type.clone(),
                tier: artifact.tier,
                accord: accord(&tables, artifact.accord_binding_id).name.clone(),
                opened_by: opened.actor.clone(),
                opened_at: opened.occurred_at,
                closed: closed.clone(),
            }
        })
        .collect();
    expected.sort_by_key(|row| std::cmp::Reverse((row.closed.occurred_at, row.closed.position)));
    assert!(expected.len() > 2, "the log closes ceremonies");
    for limit in [1, 2, 500] {
        let rows =
            pages(limit, |after| async { ops_db.closed_ceremonies(after, limit).await.unwrap() });
        assert_same(&rows.await, &expected, &limit);
    }
}

pub async fn artifacts_are_found_by_the_age_of_their_verdict<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let ids: Vec<ArtifactId> = tables.governed_artifacts.iter().map(|row| row.id).collect();
    let mut judged: Vec<Timestamp> =
        ids.iter().filter_map(|id| last_verified_at(&tables, *id)).collect();
    judged.sort();
    let never = ids.len() - judged.len();
    assert!(!judged.is_empty() && never > 0, "some were never judged");
    for (before, found) in [
        (Timestamp::MIN, never),
        (judged[0], never),
        (
            judged[judged.len() - 1],
            never + judged.partition_point(|at| *at < judged[judged.len() - 1]),
        ),
        (Timestamp::MAX, ids.len()),
    ] {
        let query = ArtifactQuery::default().verified_before(before).limit(MAX_PAGE_ROWS);
        let rows = ops_db.artifacts(&query).await.unwrap().rows;
        assert_eq!(rows.len(), found, "before {before}");
        assert_same(&rows, &expected(&tables, &query), &query);
    }
}

pub async fn a_verdict_stands_until_its_verifier_judges_the_same_again<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    for outcomes in [vec![Outcome::Failed], vec![Outcome::Inconclusive, Outcome::Passed]] {
        let mut expected: Vec<_> =
            standing(&tables).filter(|row| outcomes.contains(&row.outcome)).cloned().collect();
        expected.sort_by_key(|row| std::cmp::Reverse((row.verified_at, row.position)));
        let of_these = tables.verification_results.iter();
        let of_these = of_these.filter(|row| outcomes.contains(&row.outcome)).count();
        assert!(!expected.is_empty() && expected.len() < of_these, "some stand, some do not");
        let query =
            VerificationQuery::default().outcomes(outcomes.clone()).is_standing(true).limit(4);
        let rows = pages(query.limit, |after| async {
            ops_db.verifications(&query.clone().after(after)).await.unwrap()
        });
        assert_same(&rows.await, &expected, &query);
        let query = ArtifactQuery::default().verdicts(outcomes).limit(MAX_PAGE_ROWS);
        let ids: BTreeSet<_> = expected.iter().map(|row| row.artifact_id).collect();
        let rows = ops_db.artifacts(&query).await.unwrap().rows;
        assert_eq!(rows.iter().map(|row| row.id).collect::<BTreeSet<_>>(), ids, "{query:?}");
    }
}

pub async fn deployments_are_listed_by_artifact_and_target<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let some = tables.deployment_states[3].artifact_id;
    for artifact_id in [None, Some(some), Some(ArtifactId::new())] {
        for healths in [
            vec![],
            vec![Health::Drifted],
            vec![Health::Unknown],
            vec![Health::Healthy],
            vec![Health::Unknown, Health::Drifted],
            Health::ALL.to_vec(),
        ] {
            let expected: Vec<_> = tables
                .deployment_states
                .iter()
                .filter(|row| artifact_id.is_none_or(|id| row.artifact_id == id))
                .filter(|row| healths.is_empty() || healths.contains(&row.health))
                .cloned()
                .collect();
            for limit in [1, 5, 500] {
                let query = DeploymentQuery::default()
                    .artifact_id(artifact_id)
                    .healths(healths.clone())
                    .limit(limit);
                let rows = pages(limit, |after| async {
                    let query = query.clone().after(after);
                    ops_db.deployments(&query).await.unwrap()
                });
                assert_same(&rows.await, &expected, &query);
            }
        }
    }
}

pub async fn verifications_are_listed_latest_first<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let some = tables.verification_results[3].artifact_id;
    for artifact_id in [None, Some(some), Some(ArtifactId::new())] {
        for outcomes in [
            vec![],
            vec![Outcome::Failed],
            vec![Outcome::Inconclusive],
            vec![Outcome::Passed],
            vec![Outcome::Passed, Outcome::Failed],
            Outcome::ALL.to_vec(),
        ] {
            let mut expected: Vec<_> = tables
                .verification_results
                .iter()
                .filter(|row| artifact_id.is_none_or(|id| row.artifact_id == id))
                .filter(|row| outcomes.is_empty() || outcomes.contains(&row.outcome))
                .cloned()
                .collect();
            expected.sort_by_key(|row| std::cmp::Reverse((row.verified_at, row.position)));
            for limit in [3, 500] {
                let query = VerificationQuery::default()
                    .artifact_id(artifact_id)
                    .outcomes(outcomes.clone())
                    .limit(limit);
                let rows = pages(limit, |after| async {
                    let query = query.clone().after(after);
                    ops_db.verifications(&query).await.unwrap()
                });
                assert_same(&rows.await, &expected, &query);
            }
        }
    }
}

pub async fn quarantine_is_listed_latest_first<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let expected: Vec<_> = tables.quarantined_entries.iter().rev().cloned().collect();
    for limit in [1, 7, 500] {
        let rows = pages(limit, |after| async { ops_db.quarantined(after, limit).await.unwrap() });
        assert_same(&rows.await, &expected, &limit);
    }
    for row in &expected {
        assert_eq!(ops_db.quarantined_at(row.position).await.unwrap().as_ref(), Some(row));
    }
    let sound = (1..).map(Position::new).find(|at| expected.iter().all(|row| row.position != *at));
    assert_eq!(ops_db.quarantined_at(sound.unwrap()).await.unwrap(), None);
    let middle = expected[expected.len() / 2].position;
    for position in [middle, middle.next().unwrap(), Position::FIRST] {
        let before: Vec<_> =
            expected.iter().filter(|row| row.position < position).cloned().collect();
        let rows = ops_db.quarantined(Some(Cursor::before(position)), MAX_PAGE_ROWS).await;
        assert_same(&rows.unwrap().rows, &before, &position);
    }
}

pub async fn a_page_has_no_more_rows_than_the_limit<H: Harness>(harness: H) {
    let projector = harness.projector(ProjectorSettings::default()).await;
    let mix =
        Mix { registrations: 450, observations: 400, transitions: 0, revisions: 0, accords: 0 };
    let log = Log::of(crate::workload::Workload::new(73, mix).take(2 * LENGTH));
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    let ops_db = harness.ops_db();
    let most = MAX_PAGE_ROWS as usize;
    assert!(harness.tables().await.governed_artifacts.len() > most);
    for (limit, rows) in [(0, 1), (1, 1), (MAX_PAGE_ROWS, most), (u32::MAX, most)] {
        let artifacts = ArtifactQuery::default().limit(limit);
        let page = ops_db.artifacts(&artifacts).await.unwrap();
        assert_eq!(page.rows.len(), rows, "limit {limit}");
        assert!(page.next.is_some());
        let deployments = DeploymentQuery::default().limit(limit);
        assert_eq!(ops_db.deployments(&deployments).await.unwrap().rows.len(), rows);
    }
}

pub async fn the_checkpoint_is_that_of_the_tables<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let checkpoint = ops_db.checkpoint(OPS_DB).await.unwrap();
    assert_eq!(checkpoint.as_ref(), tables.projector_checkpoints.get(OPS_DB));
    assert_eq!(checkpoint.map(|at| at.position), Some(Position::try_from(LENGTH as u64).unwrap()));
}
