//! Queries of artifacts: filters, orders, cursors (DESIGN section 6).

use guildhall_core::Tables;
use guildhall_core::{
    AccordId, AccordQuery, ArtifactId, ArtifactQuery, ArtifactSort, Cursor, CustodyState,
    DeploymentQuery, Drift, Json, MAX_PAGE_ROWS, OPS_DB, Outcome, Page, Position, Tier, Timestamp,
    VerificationQuery,
};

use crate::answers::{LENGTH, artifacts, assert_same, expected, filled, last_verified_at, log};
use crate::harness::{Harness, ProjectorSettings};
use crate::random::Random;

super::scenarios! { $ __artifacts = artifacts:
    any_filters_and_order_of_artifacts_answer_as_computed,
    names_are_matched_as_they_are,
    what_no_row_can_hold_is_not_found,
    json_fragments_are_found_in_content_and_terms,
    pages_of_artifacts_hold_each_row_once,
    pages_stay_right_while_rows_come,
    a_cursor_of_another_order_starts_anew,
    artifacts_are_found_by_the_age_of_their_verdict,
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
    let ids: Vec<_> = tables.governed_artifacts.iter().map(|row| row.id).collect();
    let cids: Vec<_> = tables.governed_artifacts.iter().map(|row| row.cid).collect();
    let accords: Vec<AccordId> = tables.accord_bindings.iter().map(|row| row.id).collect();
    ArtifactQuery::default()
        .artifact_types(some(random, &types))
        .tiers(some(random, &Tier::ALL))
        .custody_states(some(random, CustodyState::ALL))
        .drifts(some(random, Drift::ALL))
        .accords(some(random, &accords))
        .ids(if random.once_in(8) { some(random, &ids) } else { Vec::new() })
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
