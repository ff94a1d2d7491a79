//! The queries, against what a stranger reads from the tables.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod ops_support;

use std::collections::BTreeSet;

use guildhall_core::{
    AccordId, AccordQuery, ArtifactId, ArtifactQuery, ArtifactSort, ArtifactSummary, Cursor,
    CustodyState, DeploymentQuery, Drift, Health, Json, OpsDb, Outcome, Page, Position,
    Rebuild as _, Seq, Tier, VerificationQuery,
};
use guildhall_store_sqlite::{SqliteOpsDb, SqliteStore};
use ops_support::{accord, artifact, batch, catch_up, count, json, log, raw, store_with};
use uuid::Uuid;

async fn projected() -> (tempfile::TempDir, SqliteStore, SqliteOpsDb) {
    let (folder, store) = store_with(&log(60, 900)).await;
    let projector = store.projector().start().unwrap();
    catch_up(&store, &projector, 1000).await;
    let ops_db = store.ops_db();
    (folder, store, ops_db)
}

/// Every row of a query, in pages of `limit`.
async fn all(ops_db: &SqliteOpsDb, mut query: ArtifactQuery, limit: u32) -> Vec<ArtifactSummary> {
    query.limit = limit;
    let mut rows = Vec::new();
    loop {
        let page = ops_db.artifacts(&query).await.unwrap();
        assert!(page.rows.len() <= usize::try_from(limit).unwrap());
        rows.extend(page.rows);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return rows,
        }
    }
}

#[tokio::test]
async fn every_order_is_that_of_its_key_and_pages_join_without_a_seam() {
    let (_folder, _store, ops_db) = projected().await;
    for &sort in ArtifactSort::ALL {
        let query = ArtifactQuery::default().sort(sort);
        let mut expected = all(&ops_db, query.clone(), 500).await;
        assert_eq!(expected.len(), 60);
        expected.sort_by_key(|row| {
            let first = match sort {
                ArtifactSort::Name => String::new(),
                ArtifactSort::ArtifactType => row.artifact_type.clone(),
                ArtifactSort::Tier => row.tier.to_string(),
                ArtifactSort::CustodyState => {
                    row.custody_state.map_or("", CustodyState::as_str).to_owned()
                }
                ArtifactSort::Position => format!("{:016}", row.position.get()),
            };
            (first, row.name.clone(), row.id)
        });
        assert_eq!(all(&ops_db, query.clone(), 7).await, expected, "{sort}");
        expected.reverse();
        let query = query.is_descending(true);
        assert_eq!(all(&ops_db, query, 7).await, expected, "{sort} descending");
    }
}

#[tokio::test]
async fn filters_let_through_what_they_say() {
    let (_folder, store, ops_db) = projected().await;
    let rows = all(&ops_db, ArtifactQuery::default(), 500).await;
    let check = async |query: ArtifactQuery, holds: &dyn Fn(&ArtifactSummary) -> bool| {
        let expected: Vec<_> = rows.iter().filter(|row| holds(row)).cloned().collect();
        assert!(!expected.is_empty(), "{query:?} finds nothing");
        assert!(expected.len() < rows.len(), "{query:?} finds everything");
        assert_eq!(all(&ops_db, query, 4).await, expected);
    };
    let all_of = ArtifactQuery::default;
    check(all_of().artifact_types(["dns_zone".into()]), &|row| row.artifact_type == "dns_zone")
        .await;
    check(all_of().tiers([Tier::ALL[0], Tier::ALL[3]]), &|row| [0, 3].contains(&row.tier.get()))
        .await;
    check(all_of().accords([accord(1)]), &|row| row.accord_binding_id == accord(1)).await;
    let state = CustodyState::CeremonyOpen;
    check(all_of().custody_states([state]), &|row| row.custody_state == Some(state)).await;
    for text in ["%_a", "0%", "BETA", "_b"] {
        let query = all_of().name_contains(text.to_owned());
        check(query, &|row| row.name.to_ascii_lowercase().contains(&text.to_ascii_lowercase()))
            .await;
    }
    for &drift in Drift::ALL {
        if rows.iter().any(|row| row.drift == drift) {
            let query = all_of().drifts([drift]);
            check(query, &|row| row.drift == drift).await;
        }
    }
    let drifts = vec![Drift::Drifted, Drift::Undeployed];
    check(all_of().drifts(drifts.clone()).tiers([Tier::ALL[2]]), &|row| {
        drifts.contains(&row.drift) && row.tier == Tier::ALL[2]
    })
    .await;
    let terms = Some(json(r#"{"approvals":2,"area":["b"]}"#));
    check(all_of().terms_contain(terms), &|row| row.accord_binding_id == accord(2)).await;
    let connection = raw(&store);
    let zone = |row: &ArtifactSummary| -> bool {
        let sql = "SELECT content ->> 'zone' IS 'z3' FROM governed_artifacts WHERE id = ?1";
        connection.query_row(sql, [row.id.as_uuid().as_bytes()], |row| row.get(0)).unwrap()
    };
    let content = Some(json(r#"{"zone":"z3"}"#));
    check(all_of().content_contains(content), &zone).await;
    let none = all_of().content_contains(json(r#"{"zone":3}"#));
    assert_eq!(all(&ops_db, none, 4).await, []);
}

#[tokio::test]
async fn drift_is_the_worst_of_the_targets_since_they_make_it_so() {
    let (_folder, store, ops_db) = projected().await;
    let sql = "SELECT CASE \
                 WHEN count(*) = 0 THEN 'undeployed' \
                 WHEN sum(health = 'drifted') > 0 THEN 'drifted' \
                 WHEN sum(health = 'unknown') > 0 THEN 'unknown' ELSE 'healthy' END AS drift, \
               min(health_since) FILTER (WHERE health = 'drifted'), \
               min(health_since) FILTER (WHERE health = 'unknown'), max(health_since) \
               FROM deployment_states WHERE artifact_id = ?1";
    let connection = raw(&store);
    let mut seen = BTreeSet::new();
    for row in all(&ops_db, ArtifactQuery::default(), 500).await {
        let (drift, since): (String, [Option<String>; 3]) = connection
            .query_row(sql, [row.id.as_uuid().as_bytes()], |found| {
                Ok((found.get(0)?, [found.get(1)?, found.get(2)?, found.get(3)?]))
            })
            .unwrap();
        assert_eq!(row.drift.as_str(), drift);
        let [drifted, unknown, latest] = since;
        let since = match row.drift {
            Drift::Drifted => drifted,
            Drift::Unknown => unknown,
            Drift::Healthy | Drift::Undeployed => latest,
        };
        assert_eq!(row.drift_since.map(|at| at.to_string()), since);
        let detail = ops_db.artifact(row.id).await.unwrap().unwrap();
        assert_eq!((detail.drift, detail.drift_since), (row.drift, row.drift_since));
        assert_eq!(detail.accord.id, row.accord_binding_id);
        seen.insert(row.drift);
    }
    assert!(seen.len() >= 3, "{seen:?}");
    assert_eq!(ops_db.artifact(artifact(999)).await.unwrap(), None);
}

#[tokio::test]
async fn the_overview_counts_what_is_there() {
    let (_folder, store, ops_db) = projected().await;
    let overview = ops_db.overview().await.unwrap();
    let counted = |number: u64, table: &str| {
        assert!(number > 0, "{table}");
        assert_eq!(i64::try_from(number).unwrap(), count(&store, table), "{table}");
    };
    counted(overview.accords, "accord_bindings");
    counted(overview.artifacts(), "governed_artifacts");
    counted(overview.artifacts_by_tier[2], "governed_artifacts WHERE tier = 2");
    counted(overview.healthy_deployments, "deployment_states WHERE health = 'healthy'");
    counted(overview.drifted_deployments, "deployment_states WHERE health = 'drifted'");
    counted(overview.unknown_deployments, "deployment_states WHERE health = 'unknown'");
    counted(overview.custody_transitions, "custody_transitions");
    counted(overview.verifications, "verification_results");
    counted(overview.quarantined, "quarantined_entries");
    counted(overview.open_ceremonies, "governed_artifacts WHERE custody_state = 'ceremony_open'");
    let ceremonies = ops_db.open_ceremonies(None, 500).await.unwrap().rows;
    assert_eq!(overview.oldest_ceremony_opened_at, Some(ceremonies[0].opened.occurred_at));
}

#[tokio::test]
async fn lists_page_in_their_order() {
    let (_folder, store, ops_db) = projected().await;
    let mut pages = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page: Page<_> = ops_db.open_ceremonies(after, 2).await.unwrap();
        pages.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, ops_db.open_ceremonies(None, 500).await.unwrap().rows);
    assert!(
        pages.len() > 2
            && pages.is_sorted_by_key(|row| (row.opened.occurred_at, row.opened.position))
    );

    let whole = VerificationQuery::default().limit(500);
    let whole = ops_db.verifications(&whole).await.unwrap().rows;
    assert_eq!(i64::try_from(whole.len()).unwrap(), count(&store, "verification_results"));
    for outcomes in [vec![], vec![Outcome::Failed], vec![Outcome::Passed, Outcome::Inconclusive]] {
        let mut query = VerificationQuery::default().outcomes(outcomes).limit(9);
        let mut rows = Vec::new();
        loop {
            let page = ops_db.verifications(&query).await.unwrap();
            rows.extend(page.rows);
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        let has = |outcome| query.outcomes.is_empty() || query.outcomes.contains(&outcome);
        let expected: Vec<_> = whole.iter().filter(|row| has(row.outcome)).cloned().collect();
        assert_eq!(rows, expected);
        assert!(
            rows.is_sorted_by(|a, b| (a.verified_at, a.position) > (b.verified_at, b.position))
        );
    }

    let mut query = DeploymentQuery::default().healths([Health::Drifted]).limit(3);
    let mut found = 0;
    loop {
        let page = ops_db.deployments(&query).await.unwrap();
        assert!(page.rows.iter().all(|row| row.health == Health::Drifted));
        assert!(page.rows.is_sorted_by_key(|row| (row.artifact_id, row.target.clone())));
        found += page.rows.len();
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(
        i64::try_from(found).unwrap(),
        count(&store, "deployment_states WHERE health = 'drifted'")
    );

    let first = ops_db.quarantined(None, 1).await.unwrap();
    let second = ops_db.quarantined(first.next, 1).await.unwrap();
    assert!(first.rows[0].position > second.rows[0].position);
    let two = AccordQuery::default().limit(2);
    let accords = ops_db.accords(&two).await.unwrap();
    let rest = ops_db.accords(&two.after(accords.next)).await.unwrap();
    assert_eq!((accords.rows.len(), rest.rows.len(), rest.next), (2, 1, None));
}

#[tokio::test]
async fn a_chain_is_read_in_order_and_links_by_hash() {
    let (_folder, _store, ops_db) = projected().await;
    let longest = all(&ops_db, ArtifactQuery::default(), 500).await;
    let mut lengths = 0;
    for row in longest {
        let chain = ops_db.chain(row.id, None, 500).await.unwrap().rows;
        assert_eq!(chain.last().map(|link| link.to_state), row.custody_state);
        assert!(chain.windows(2).all(|pair| pair[1].prev_hash == Some(pair[0].hash)));
        assert_eq!(
            ops_db.chain(row.id, Some(Cursor::after_link(Seq::FIRST)), 500).await.unwrap().rows,
            chain.get(1..).unwrap_or_default()
        );
        lengths = lengths.max(chain.len());
    }
    assert!(lengths > 2);
}

#[tokio::test]
async fn a_row_that_fits_no_type_is_a_permanent_error_and_a_strange_cursor_starts_anew() {
    let (_folder, store, ops_db) = projected().await;
    let whole = all(&ops_db, ArtifactQuery::default(), 500).await;
    let by_tier = ArtifactQuery::default().sort(ArtifactSort::Tier).limit(5);
    let after = ops_db.artifacts(&by_tier).await.unwrap().next;
    for after in [after, Some(Cursor::from_text("nonsense")), Some(Cursor::from_text("[]"))] {
        let query = ArtifactQuery::default().after(after).limit(500);
        assert_eq!(ops_db.artifacts(&query).await.unwrap().rows, whole);
    }
    let connection = raw(&store);
    connection
        .execute_batch("UPDATE governed_artifacts SET cid = 'no cid' WHERE tier = 1")
        .unwrap();
    let error = ops_db.artifacts(&ArtifactQuery::default()).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert_eq!(ops_db.checkpoint("nobody").await.unwrap(), None);
    assert!(ops_db.checkpoint("ops_db").await.unwrap().unwrap().position > Position::ZERO);
    let everything = ArtifactQuery::default().content_contains(Json::null());
    assert!(ops_db.artifacts(&everything).await.is_err());
}

/// For people with a SQL prompt, who ask nobody's library.
#[tokio::test]
async fn the_view_of_drift_says_what_the_queries_say_before_and_after_a_rebuild() {
    let (_folder, store) = store_with(&log(200, 900)).await;
    let (projector, ops_db) = (store.projector().start().unwrap(), store.ops_db());
    catch_up(&store, &projector, 1000).await;
    let mut expected = all(&ops_db, ArtifactQuery::default(), 500).await;
    expected.sort_by_key(|row| row.id);
    let drifts: BTreeSet<_> = expected.iter().map(|row| row.drift).collect();
    assert_eq!(drifts, Drift::ALL.iter().copied().collect(), "all four are there");
    let viewed = || {
        let connection = raw(&store);
        let mut load = connection.prepare("SELECT * FROM artifact_drift ORDER BY id").unwrap();
        let rows = load.query_map([], |row| {
            let text = |at| row.get::<_, Option<String>>(at);
            Ok(ArtifactSummary {
                id: ArtifactId::from_uuid(Uuid::from_bytes(row.get(0)?)),
                accord_binding_id: AccordId::from_uuid(Uuid::from_bytes(row.get(1)?)),
                name: row.get(2)?,
                artifact_type: row.get(3)?,
                tier: Tier::new(row.get(4)?).unwrap(),
                cid: text(5)?.unwrap().parse().unwrap(),
                custody_state: text(6)?.map(|state| state.parse().unwrap()),
                drift: text(7)?.unwrap().parse().unwrap(),
                drift_since: text(8)?.map(|since| since.parse().unwrap()),
                position: Position::from_i64(row.get(9)?).unwrap(),
            })
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(viewed(), expected);
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(batch(&store, 0, 10_000).await).await.unwrap();
    assert!(generation.swap(None).await.unwrap());
    assert_eq!(viewed(), expected);
}
