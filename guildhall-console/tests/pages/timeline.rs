//! The timeline of an artifact: on its page, as JSON and as a file.

use guildhall_core::{
    ArtifactRegistered, ArtifactRevised, Cid, DeploymentObserved, Event, TimelineEntry,
    TimelineKind,
};

use super::attention::CountedRows;
use super::*;

async fn page(router: &Router, path: &str) -> String {
    let response = get(router, path).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    text(response).await
}

/// The positions of the entries that a page shows, in its order.
fn shown(page: &str) -> Vec<u64> {
    let ids = page.split("<li id=\"t").skip(1);
    ids.map(|rest| rest.split('-').next().unwrap().parse().unwrap()).collect()
}

/// Where a page leads, by the relation of the link.
fn link(page: &str, relation: &str) -> Option<String> {
    let (before, _) = page.split_once(&format!("rel=\"{relation}\""))?;
    let href = before.rsplit("href=\"").next()?.split('"').next()?;
    Some(href.replace("&amp;", "&"))
}

async fn whole(ops_db: &dyn OpsDb, id: ArtifactId) -> Vec<TimelineEntry> {
    ops_db.timeline(&TimelineQuery::of(id).limit(500)).await.unwrap().rows
}

fn positions<'e>(entries: impl IntoIterator<Item = &'e TimelineEntry>) -> Vec<u64> {
    entries.into_iter().map(|entry| entry.position.get()).collect()
}

#[tokio::test]
async fn pages_files_and_json_have_every_entry_of_every_artifact_in_one_order() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let mut kinds = BTreeSet::new();
    for row in guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows {
        let whole = whole(&*guild.ops_db, row.id).await;
        kinds.extend(whole.iter().map(|entry| entry.what.kind()));
        let api = format!("/api/v1/artifacts/{}/timeline", row.id);
        let listed = json(&router, &format!("{api}?limit=500")).await;
        assert_eq!(listed["rows"], value_of(&whole), "{}", row.name);
        for kind in TimelineKind::ALL {
            let of_kind = whole.iter().filter(|entry| entry.what.kind() == *kind);
            let of_kind = positions(of_kind);
            let csv = page(&router, &format!("{api}.csv?kind={kind}")).await;
            let lines = csv.lines().skip(1).map(|line| line.split(',').next().unwrap());
            assert_eq!(lines.map(|at| at.parse().unwrap()).collect::<Vec<u64>>(), of_kind);
            // On pages of three, forth and back.
            let mut path = format!("/artifacts/{}?kind={kind}&limit=3", row.id);
            let (mut found, mut first) = (Vec::new(), None);
            loop {
                let part = page(&router, &path).await;
                found.extend(shown(&part));
                if let Some(previous) = link(&part, "prev") {
                    let back = page(&router, &previous).await;
                    assert_eq!(Some(shown(&back)), first, "{previous}");
                }
                first = Some(shown(&part));
                match part.contains("rel=\"next\"").then(|| link(&part, "next").unwrap()) {
                    Some(next) => path = next,
                    None => break,
                }
            }
            assert_eq!(found, of_kind, "{} {kind}", row.name);
        }
        let first = page(&router, &format!("/artifacts/{}", row.id)).await;
        assert_eq!(shown(&first), positions(whole.iter().take(25)));
        for entry in whole.iter().take(25) {
            let at = entry.position;
            for told in [format!("href=\"/log/{at}\""), format!("href=\"?as_of={at}\"")] {
                assert!(first.contains(&told), "{told}: {first}");
            }
        }
        let oldest = whole.last().unwrap().position;
        let then = page(&router, &format!("/artifacts/{}?as_of={oldest}", row.id)).await;
        assert_eq!(shown(&then), [oldest.get()]);
    }
    assert_eq!(kinds, TimelineKind::ALL.iter().copied().collect());
}

#[tokio::test]
async fn a_kind_is_chosen_and_left_out_and_what_else_is_asked_stays() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let id = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows[0].id;
    let shown = page(&router, &format!("/artifacts/{id}?links=all&kind=target&limit=7")).await;
    let here = format!("href=\"/artifacts/{id}?links=all&amp;");
    for (rest, told) in [
        ("kind=target&amp;limit=7&amp;kind=ceremony\"", "a kind more"),
        ("limit=7\" aria-current=\"true\"", "the kind that is chosen, left out"),
    ] {
        assert!(shown.contains(&format!("{here}{rest}")), "{told}: {shown}");
    }
    assert!(shown.contains("/timeline.csv?kind=target\""), "{shown}");
    assert!(shown.contains("Only of these kinds: target."), "paper says so: {shown}");
    let nobody = ArtifactId::new();
    for (path, status) in [
        (format!("/artifacts/{id}?kind=weather"), 400),
        (format!("/artifacts/{id}?after=yesterday"), 400),
        (format!("/artifacts/{id}?limit=501"), 400),
        (format!("/api/v1/artifacts/{id}/timeline?kind=weather"), 400),
        (format!("/api/v1/artifacts/{nobody}/timeline"), 404),
        (format!("/api/v1/artifacts/{nobody}/timeline.csv"), 404),
        (format!("/api/v1/artifacts/{id}/timeline?as_of=1"), 404),
    ] {
        assert_eq!(get(&router, &path).await.status().as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn a_content_is_shown_against_the_one_before_it_and_a_drift_against_what_should_run() {
    let guild = Guild::empty().await;
    let json = |text: &str| Json::parse(text).unwrap();
    let accord = AccordBound::new("accord", "board", json("{}"), at(0));
    let contents = [r#"{"ttl":300}"#, r#"{"ttl":60}"#, r#"{"ttl":30}"#].map(json);
    let schema = "https://example.com/zone.json";
    let [first, second, other] = &contents;
    let tier = guildhall_core::Tier::ZERO;
    let zone =
        ArtifactRegistered::new(accord.accord_id, "dns_zone", "zone", tier, first.clone(), schema);
    let id = zone.artifact_id;
    let revised = ArtifactRevised {
        artifact_id: id,
        content: second.clone(),
        content_schema: schema.to_owned(),
        cid: Cid::of(second),
        previous_cid: Cid::of(first),
    };
    let seen = |target: &str, observed: &Json, detail: Json| DeploymentObserved {
        artifact_id: id,
        desired_cid: Cid::of(second),
        detail,
        observed_at: at(10),
        observed_cid: Some(Cid::of(observed)),
        target: target.to_owned(),
    };
    let carried = json(&format!("{{\"content\":{}}}", other.as_str()));
    let events: Vec<Event> = vec![
        accord.into(),
        zone.into(),
        revised.into(),
        seen("outdated", first, Json::null()).into(),
        seen("meddled", other, carried).into(),
        seen("strange", other, Json::null()).into(),
        seen("well", second, Json::null()).into(),
    ];
    let appended = guild.chronicle.append(Append::of(events.iter().map(NewEntry::new))).await;
    guild.applied(appended.unwrap().last().unwrap().position).await;
    let shown =
        page(&guild.console().router(), &format!("/artifacts/{id}?kind=revision&kind=target"))
            .await;
    let entry = |at: u64| {
        let (_, rest) = shown.split_once(&format!("<li id=\"t{at}-")).unwrap();
        rest.split("</li>").next().unwrap()
    };
    let line = |ttl: u32, sign: &str| format!("{sign}: </span>  <bdi>&quot;ttl&quot;: {ttl}<");
    let content = entry(2);
    assert!(content.contains("registered") && content.contains("t2-revision-content"), "{content}");
    for (at, removed, added) in [(3, 300, 60), (4, 60, 300)] {
        let told = entry(at);
        for line in [line(removed, "removed"), line(added, "added")] {
            assert!(told.contains(&line), "{line}: {told}");
        }
    }
    // What the artifact never had, the observation may carry. `strange` carries nothing, but the page knows
    // that content by then.
    assert!(entry(5).contains(&line(30, "added")), "{}", entry(5));
    assert!(!entry(7).contains("differs") && entry(7).contains("first seen"), "{}", entry(7));
}

#[tokio::test]
async fn ten_thousand_entries_take_no_more_than_a_page() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let judged = |nth: i64| VerificationRecorded {
        artifact_id: id,
        evidence: Json::null(),
        outcome: Outcome::Passed,
        target: None,
        verified_at: at(100 + nth),
        verifier: "scanner".to_owned(),
    };
    for part in 0..10 {
        let events = (0..1000).map(|nth| NewEntry::new(&judged(part * 1000 + nth).into()));
        let appended = guild.chronicle.append(Append::of(events)).await.unwrap();
        guild.applied(appended.last().unwrap().position).await;
    }
    let counted = Arc::new(CountedRows(Arc::clone(&guild.ops_db), Arc::default(), 500));
    let router = Console::new(counted.clone(), guild.orchestrator.clone()).router();
    let mut path = format!("/artifacts/{id}");
    for _ in 0..3 {
        let before = counted.1.load(Ordering::Relaxed);
        let part = page(&router, &path).await;
        assert_eq!(shown(&part).len(), 25);
        assert!(part.len() < 200_000, "{} bytes for a page", part.len());
        // The chart has the latest two hundred verdicts.
        assert_eq!(counted.1.load(Ordering::Relaxed) - before, 225);
        path = link(&part, "next").unwrap();
    }
    let file = format!("/api/v1/artifacts/{id}/timeline.csv");
    assert_eq!(page(&router, &file).await.lines().count(), 10_003, "a header, and every entry");
}
