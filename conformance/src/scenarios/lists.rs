//! Lists: every order of them, turned round and page by page in both directions, and how many rows they have.

use guildhall_core::{
    AccordQuery, AccordSort, ArtifactQuery, ArtifactSort, AsOf, ChangeQuery, Counted, Cursor,
    DeploymentQuery, DeploymentSort, Health, Json, MAX_PAGE_ROWS, OpsDb, Outcome, Page,
    PeriodQuery, Position, Revision, Tables, Timestamp, Total, VerificationQuery,
};

use crate::answers::{assert_same, filled, pages};
use crate::harness::Harness;

super::scenarios! { $ __lists = lists:
    deployments_and_accords_are_listed_in_every_order,
    verifications_are_listed_from_either_end,
    pages_lead_back_as_they_led_on,
    pages_of_what_was_lead_back_too,
    what_was_is_counted_and_looked_up_as_it_is_listed,
    rows_are_counted_up_to_a_bound,
    artifacts_are_found_by_several_ids,
    deployments_are_found_by_target,
    what_begins_with_a_text_is_found,
}

fn deployments(tables: &Tables, query: &DeploymentQuery) -> Vec<guildhall_core::DeploymentState> {
    let mut rows = tables.deployment_states.clone();
    rows.sort_by(|one, other| {
        let by_key = (one.artifact_id, &one.target).cmp(&(other.artifact_id, &other.target));
        match query.sort {
            DeploymentSort::Artifact => by_key,
            DeploymentSort::Target => one.target.cmp(&other.target).then(by_key),
            DeploymentSort::HealthSince => one.health_since.cmp(&other.health_since).then(by_key),
        }
    });
    if query.is_descending {
        rows.reverse();
    }
    rows
}

pub async fn deployments_and_accords_are_listed_in_every_order<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    for is_descending in [false, true] {
        for &sort in DeploymentSort::ALL {
            let query = DeploymentQuery::default().sort(sort).is_descending(is_descending);
            for limit in [7, MAX_PAGE_ROWS] {
                let query = query.clone().limit(limit);
                let rows = pages(limit, |after| async {
                    ops_db.deployments(&query.clone().after(after)).await.unwrap()
                });
                assert_same(&rows.await, &deployments(&tables, &query), &query);
            }
        }
        for &sort in AccordSort::ALL {
            let query = AccordQuery::default().sort(sort).is_descending(is_descending);
            let mut expected = tables.accord_bindings.clone();
            expected.sort_by(|one, other| {
                let by_name = (&one.name, one.id).cmp(&(&other.name, other.id));
                match sort {
                    AccordSort::Name => by_name,
                    AccordSort::EffectiveAt => {
                        one.effective_at.cmp(&other.effective_at).then(by_name)
                    }
                }
            });
            if is_descending {
                expected.reverse();
            }
            for limit in [1, 3, MAX_PAGE_ROWS] {
                let query = query.clone().limit(limit);
                let rows = pages(limit, |after| async {
                    ops_db.accords(&query.clone().after(after)).await.unwrap()
                });
                assert_same(&rows.await, &expected, &query);
            }
        }
    }
}

pub async fn verifications_are_listed_from_either_end<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let mut expected = tables.verification_results.clone();
    expected.sort_by_key(|row| (row.verified_at, row.position));
    let query = VerificationQuery::default().is_ascending(true).limit(9);
    let rows = pages(query.limit, |after| async {
        ops_db.verifications(&query.clone().after(after)).await.unwrap()
    });
    assert_same(&rows.await, &expected, &query);
}

/// Goes to the last page and back, and holds each page on the way back to the one on the way there.
async fn there_and_back<T, F>(asked: &dyn std::fmt::Debug, page: impl Fn(Option<Cursor>) -> F)
where
    T: std::fmt::Debug + PartialEq,
    F: Future<Output = Page<T>>,
{
    let mut there: Vec<Page<T>> = vec![page(None).await];
    assert_eq!(there[0].previous, None, "nothing comes before the first page: {asked:?}");
    while let Some(next) = there.last().and_then(|page| page.next.clone()) {
        there.push(page(Some(next)).await);
    }
    assert!(there.len() > 1, "there are pages to go back to: {asked:?}");
    let mut back = there.pop().unwrap();
    while let Some(expected) = there.pop() {
        // A cursor is a text to whoever carries it.
        let previous = Cursor::from_text(back.previous.unwrap().as_str());
        back = page(Some(previous)).await;
        assert_same(&back.rows, &expected.rows, asked);
        assert_eq!(back.next, expected.next, "{asked:?}");
        assert_eq!(back.previous, expected.previous, "{asked:?}");
    }
}

pub async fn pages_lead_back_as_they_led_on<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let ops_db: &dyn OpsDb = &*ops_db;
    for is_descending in [false, true] {
        for &sort in ArtifactSort::ALL {
            let query = ArtifactQuery::default().sort(sort).is_descending(is_descending).limit(13);
            there_and_back(&query, |after| async {
                ops_db.artifacts(&query.clone().after(after)).await.unwrap()
            })
            .await;
        }
        for &sort in DeploymentSort::ALL {
            let query =
                DeploymentQuery::default().sort(sort).is_descending(is_descending).limit(29);
            there_and_back(&query, |after| async {
                ops_db.deployments(&query.clone().after(after)).await.unwrap()
            })
            .await;
        }
        for &sort in AccordSort::ALL {
            let query = AccordQuery::default().sort(sort).is_descending(is_descending).limit(1);
            there_and_back(&query, |after| async {
                ops_db.accords(&query.clone().after(after)).await.unwrap()
            })
            .await;
        }
        let query = VerificationQuery::default().is_ascending(is_descending).limit(9);
        there_and_back(&query, |after| async {
            ops_db.verifications(&query.clone().after(after)).await.unwrap()
        })
        .await;
    }
    let longest = tables.governed_artifacts.iter().max_by_key(|row| row.custody_seq).unwrap();
    there_and_back(&"chain", |after| async { ops_db.chain(longest.id, after, 2).await.unwrap() })
        .await;
    there_and_back(&"open", |after| async { ops_db.open_ceremonies(after, 1).await.unwrap() })
        .await;
    there_and_back(&"closed", |after| async { ops_db.closed_ceremonies(after, 1).await.unwrap() })
        .await;
    there_and_back(&"quarantine", |after| async { ops_db.quarantined(after, 1).await.unwrap() })
        .await;
}

pub async fn pages_of_what_was_lead_back_too<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let ops_db: &dyn OpsDb = &*ops_db;
    let head = tables.projector_checkpoints["ops_db"].position;
    let all = ChangeQuery::between(Position::ZERO, head).limit(50);
    let of_one = all.clone().artifact_id(tables.deployment_changes[0].artifact_id).limit(1);
    for query in [all, of_one] {
        there_and_back(&query, |after| async {
            ops_db.changes(&query.clone().after(after)).await.unwrap()
        })
        .await;
    }
    let period = PeriodQuery::between(Timestamp::MIN, Timestamp::MAX).limit(3);
    there_and_back(&"health times", |after| async {
        ops_db.health_times(&period.clone().after(after)).await.unwrap()
    })
    .await;
    there_and_back(&"drifts", |after| async {
        ops_db.drifts(&period.clone().after(after)).await.unwrap()
    })
    .await;
    let mut revised = tables.artifact_revisions.iter();
    let revised = revised.find(|row| row.revision > Revision::FIRST).unwrap().artifact_id;
    there_and_back(&"contents", |after| async {
        ops_db.revisions(revised, after, 1).await.unwrap()
    })
    .await;
}

pub async fn what_was_is_counted_and_looked_up_as_it_is_listed<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let head = tables.projector_checkpoints["ops_db"].position;
    let moment = AsOf::Position(Position::new(u32::try_from(head.get() / 2).unwrap()));
    let then = ops_db.as_of(moment).await.unwrap();
    let artifacts = ArtifactQuery::default().limit(MAX_PAGE_ROWS);
    let whole = then.artifacts(&artifacts).await.unwrap().rows;
    assert!(!whole.is_empty() && whole.len() < tables.governed_artifacts.len());
    let one = &whole[whole.len() / 2];
    let begins = one.name.chars().next().unwrap().to_string();
    let fragment = Json::parse(r#"{"soa":{}}"#).unwrap();
    for query in [
        artifacts.clone(),
        artifacts.clone().sort(ArtifactSort::Cid).is_descending(true),
        artifacts.clone().sort(ArtifactSort::Drift),
        artifacts.clone().name_begins([begins]),
        artifacts.clone().cid_begins(one.cid.to_string()),
        artifacts.clone().ids([one.id]),
        artifacts.content_contains(fragment),
    ] {
        let rows = then.artifacts(&query).await.unwrap().rows;
        assert!(rows.iter().all(|row| whole.contains(row)), "{query:?}");
        assert!(!rows.is_empty(), "{query:?}");
        let total = then.count(&Counted::Artifacts(query.clone()), 100_000).await.unwrap();
        assert_eq!(total, Total { rows: rows.len() as u64, has_more: false }, "{query:?}");
    }
    for &sort in DeploymentSort::ALL {
        let query = DeploymentQuery::default().sort(sort).limit(7);
        there_and_back(&query, |after| async {
            then.deployments(&query.clone().after(after)).await.unwrap()
        })
        .await;
        let rows = pages(query.limit, |after| async {
            then.deployments(&query.clone().after(after)).await.unwrap()
        });
        let rows = rows.await.len() as u64;
        let total = then.count(&Counted::Deployments(query), 100_000).await.unwrap();
        assert_eq!(total, Total { rows, has_more: false });
    }
    let overview = then.overview().await.unwrap();
    for (counted, rows) in [
        (Counted::Accords(AccordQuery::default()), overview.accords),
        (Counted::Verifications(VerificationQuery::default()), overview.verifications),
        (Counted::OpenCeremonies, overview.open_ceremonies),
        (Counted::Quarantined, overview.quarantined),
    ] {
        let total = then.count(&counted, 100_000).await.unwrap();
        assert_eq!(total, Total { rows, has_more: false }, "{counted:?}");
    }
}

pub async fn rows_are_counted_up_to_a_bound<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let fragment = Json::parse(r#"{"soa":{}}"#).unwrap();
    let closed = tables.custody_transitions.iter();
    let closed =
        closed.filter(|link| link.from_state == Some(guildhall_core::CustodyState::CeremonyOpen));
    let closed = closed.count();
    let drifted = tables.deployment_states.iter().filter(|row| row.health == Health::Drifted);
    let failed = tables.verification_results.iter().filter(|row| row.outcome == Outcome::Failed);
    let with_soa = tables.governed_artifacts.iter().filter(|row| row.content.contains(&fragment));
    let open = ops_db.overview().await.unwrap().open_ceremonies;
    for (counted, expected) in [
        (Counted::Artifacts(ArtifactQuery::default()), tables.governed_artifacts.len()),
        // Neither the order nor the page matters.
        (
            Counted::Artifacts(ArtifactQuery::default().sort(ArtifactSort::Drift).limit(1)),
            tables.governed_artifacts.len(),
        ),
        (
            Counted::Artifacts(ArtifactQuery::default().content_contains(fragment.clone())),
            with_soa.count(),
        ),
        (Counted::Artifacts(ArtifactQuery::default().names(["\0".to_owned()])), 0),
        (Counted::Accords(AccordQuery::default()), tables.accord_bindings.len()),
        (Counted::Deployments(DeploymentQuery::default()), tables.deployment_states.len()),
        (
            Counted::Deployments(DeploymentQuery::default().healths([Health::Drifted])),
            drifted.count(),
        ),
        (Counted::Verifications(VerificationQuery::default()), tables.verification_results.len()),
        (
            Counted::Verifications(VerificationQuery::default().outcomes([Outcome::Failed])),
            failed.count(),
        ),
        (Counted::OpenCeremonies, usize::try_from(open).unwrap()),
        (Counted::ClosedCeremonies, closed),
        (Counted::Quarantined, tables.quarantined_entries.len()),
    ] {
        let rows = expected as u64;
        let whole = ops_db.count(&counted, 100_000).await.unwrap();
        assert_eq!(whole, Total { rows, has_more: false }, "{counted:?}");
        let exactly = u32::try_from(rows).unwrap();
        assert_eq!(ops_db.count(&counted, exactly).await.unwrap(), whole, "{counted:?}");
        if let Some(fewer) = exactly.checked_sub(1) {
            let cut = Total { rows: rows - 1, has_more: true };
            assert_eq!(ops_db.count(&counted, fewer).await.unwrap(), cut, "{counted:?}");
        }
    }
}

pub async fn artifacts_are_found_by_several_ids<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let rows = &tables.governed_artifacts;
    let wanted = [rows[0].id, rows[rows.len() / 2].id, guildhall_core::ArtifactId::new()];
    let found = ops_db.artifacts(&ArtifactQuery::default().ids(wanted)).await.unwrap().rows;
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|row| wanted.contains(&row.id)));
}

pub async fn deployments_are_found_by_target<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let target = &tables.deployment_states[0].target;
    let query = DeploymentQuery::default().targets([target.clone(), "\0".to_owned()]);
    let rows = ops_db.deployments(&query.limit(MAX_PAGE_ROWS)).await.unwrap().rows;
    let expected: Vec<_> =
        tables.deployment_states.iter().filter(|row| row.target == *target).cloned().collect();
    assert_same(&rows, &expected, target);
    let none = DeploymentQuery::default().targets(["\0".to_owned()]);
    assert_eq!(ops_db.deployments(&none).await.unwrap(), Page::EMPTY);
}

pub async fn what_begins_with_a_text_is_found<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let some = &tables.governed_artifacts[tables.governed_artifacts.len() / 2];
    let beginnings = |text: &str| -> Vec<String> {
        let ends = (0..=text.len()).filter(|end| text.is_char_boundary(*end));
        ends.map(|end| text[..end].to_owned()).collect()
    };
    for text in beginnings(&some.name) {
        let query =
            ArtifactQuery::default().name_begins([text.clone(), "\0".to_owned()]).limit(500);
        let rows = ops_db.artifacts(&query).await.unwrap().rows;
        let is_it = |name: &str| name.starts_with(&text);
        let count = tables.governed_artifacts.iter().filter(|row| is_it(&row.name)).count();
        assert_eq!(rows.len(), count, "{text:?}");
        assert!(rows.iter().all(|row| is_it(&row.name)), "{text:?}");
        let accords = AccordQuery::default().name_begins([text.clone()]).limit(500);
        let accords = ops_db.accords(&accords).await.unwrap().rows;
        let count = tables.accord_bindings.iter().filter(|row| is_it(&row.name)).count();
        assert_eq!(accords.len(), count, "{text:?}");
    }
    for text in beginnings(&some.cid.to_string()) {
        let query = ArtifactQuery::default().cid_begins(text.clone()).sort(ArtifactSort::Cid);
        let rows = ops_db.artifacts(&query.limit(500)).await.unwrap().rows;
        let of = |cid: guildhall_core::Cid| cid.to_string().starts_with(&text);
        let count = tables.governed_artifacts.iter().filter(|row| of(row.cid)).count();
        assert_eq!(rows.len(), count.min(500), "{text}");
        assert!(rows.iter().all(|row| of(row.cid)), "{text}");
    }
    for text in beginnings(&tables.deployment_states[0].target) {
        let query = DeploymentQuery::default().target_begins(text.clone()).limit(500);
        let rows = ops_db.deployments(&query).await.unwrap().rows;
        let count = tables.deployment_states.iter();
        let count = count.filter(|row| row.target.starts_with(&text)).count();
        assert_eq!(rows.len(), count.min(500), "{text:?}");
        assert!(rows.iter().all(|row| row.target.starts_with(&text)), "{text:?}");
    }
}
