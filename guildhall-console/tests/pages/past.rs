//! What was, as JSON: any list as of a moment, and the questions about the past.

use guildhall_core::{PostureBy, Revision};

use super::*;

/// The weeks that the story's drifts are in.
const AUTUMN: &str = "since=2026-10-01T00:00:00Z&before=2026-12-01T00:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn rows(document: &Value) -> &Vec<Value> {
    document["rows"].as_array().unwrap()
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn named(guild: &Guild, name: &str) -> ArtifactId {
    let query = ArtifactQuery::default().names([name.to_owned()]);
    guild.ops_db.artifacts(&query).await.unwrap().rows[0].id
}

#[tokio::test]
async fn what_is_asked_as_of_a_moment_is_answered_as_it_was() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let id = named(&guild, "quay-core").await;
    for (moment, targets) in [("50", 10), ("2026-10-28T14:00:00+00:00", 14)] {
        let then = guild.ops_db.as_of(moment.parse().unwrap()).await.unwrap();
        let artifact = then.artifact(id).await.unwrap().unwrap();
        let accord = artifact.accord.id;
        let artifacts = then.artifacts(&ArtifactQuery::default()).await.unwrap();
        let accords = then.accords(&AccordQuery::default()).await.unwrap();
        let deployments = then.deployments(&DeploymentQuery::default()).await.unwrap();
        let verifications = then.verifications(&VerificationQuery::default()).await.unwrap();
        let closed = then.closed_ceremonies(None, 100).await.unwrap();
        let of_one = closed.rows[0].ceremony_id.unwrap();
        for (path, expected) in [
            ("accords".to_owned(), value_of(&accords)),
            ("artifacts".to_owned(), value_of(&artifacts)),
            ("deployments".to_owned(), value_of(&deployments)),
            ("verifications".to_owned(), value_of(&verifications)),
            (
                "ceremonies/open".to_owned(),
                value_of(&then.open_ceremonies(None, 100).await.unwrap()),
            ),
            ("ceremonies/closed".to_owned(), value_of(&closed)),
            (
                format!("ceremonies/{of_one}"),
                value_of(&then.ceremony(of_one, None, 100).await.unwrap()),
            ),
            ("quarantine".to_owned(), value_of(&then.quarantined(None, 100).await.unwrap())),
            (format!("artifacts/{id}"), value_of(&artifact)),
            (format!("accords/{accord}"), value_of(&then.accord(accord).await.unwrap())),
        ] {
            let asked = format!("/api/v1/{path}?as_of={}", encoded(moment));
            assert_eq!(json(&router, &asked).await, expected, "{asked}");
        }
        let asked = |path: &str| format!("/api/v1/{path}?as_of={}", encoded(moment));
        let overview = json(&router, &asked("overview")).await;
        let transitions = then.overview().await.unwrap().custody_transitions;
        assert_eq!(overview["custody_transitions"], transitions);
        let chain = json(&router, &asked(&format!("artifacts/{id}/chain"))).await;
        let links = then.chain(id, None, 500).await.unwrap().rows;
        assert_eq!((rows(&chain).len(), &chain["discrepancy"]), (links.len(), &Value::Null));
        let csv = text(get(&router, &asked("deployments.csv")).await).await;
        assert_eq!(csv.lines().count(), deployments.rows.len() + 1);
        assert_eq!(deployments.rows.len(), targets, "it was another estate");
    }
}

#[tokio::test]
async fn a_moment_that_is_not_known_is_refused_and_says_why() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    for (moment, status, said) in [
        ("151", 404, "as_of: the Ops DB stands at position 150, before 151"),
        ("yesterday", 400, "as_of: \"yesterday\" is neither a position nor an RFC 3339 time"),
        ("1&as_of=2", 400, "as_of: it is given more than once"),
    ] {
        for path in ["overview", "artifacts", "artifacts.csv", "posture", "deployments/recovery"] {
            let response = get(&router, &format!("/api/v1/{path}?as_of={moment}")).await;
            assert_eq!(response.status().as_u16(), status, "{path} {moment}");
            let error: Value = serde_json::from_str(&text(response).await).unwrap();
            assert_eq!(error["error"], said, "{path}");
        }
    }
    guild.meddle("UPDATE projector_checkpoints SET history_from = 100");
    let response = get(&router, "/api/v1/artifacts?as_of=99").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(text(response).await.contains("has history from position 100 on"));
}

#[tokio::test]
async fn questions_about_the_past_are_answered_as_the_queries_do() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let ops_db = &guild.ops_db;
    let quay = named(&guild, "quay-core").await;
    let autumn = PeriodQuery::between(time("2026-10-01T00:00:00Z"), time("2026-12-01T00:00:00Z"));
    let of_quay = autumn.clone().artifact_id(quay).target("quay-core-2".to_owned());
    let asked_of_quay = format!("{AUTUMN}&artifact={quay}&target=quay-core-2");
    let before = ops_db.as_of("99".parse().unwrap()).await.unwrap();
    for (path, expected) in [
        (
            format!("deployments/health?{AUTUMN}"),
            value_of(&ops_db.health_times(&autumn).await.unwrap()),
        ),
        (format!("deployments/drifts?{AUTUMN}"), value_of(&ops_db.drifts(&autumn).await.unwrap())),
        (
            format!("deployments/drifts?{asked_of_quay}"),
            value_of(&ops_db.drifts(&of_quay).await.unwrap()),
        ),
        (
            format!("deployments/recovery?{AUTUMN}"),
            value_of(&ops_db.recovery(&autumn).await.unwrap()),
        ),
        (
            format!("deployments/recovery?{AUTUMN}&as_of=99"),
            value_of(&before.recovery(&autumn).await.unwrap()),
        ),
        (
            "ceremonies?actor=hanna.lund&limit=2".to_owned(),
            value_of(&ops_db.ceremonies_of("hanna.lund", None, 2).await.unwrap()),
        ),
        (
            format!("artifacts/{quay}/decided?target=quay-core-1"),
            value_of(&ops_db.decided(quay, "quay-core-1").await.unwrap()),
        ),
    ] {
        assert_eq!(json(&router, &format!("/api/v1/{path}")).await, expected, "{path}");
    }
    let drifts = json(&router, &format!("/api/v1/deployments/drifts?{AUTUMN}&limit=2")).await;
    assert_eq!(rows(&drifts)[1]["length_micros"], 54_840_000_000_u64);
    for (path, status) in [
        (
            "deployments/drifts?since=2026-10-01T00:00:00Z&before=2026-10-01T00:00:00Z".to_owned(),
            400,
        ),
        ("deployments/health?target=a&target=b".to_owned(), 400),
        ("ceremonies".to_owned(), 400),
        ("posture?days=0".to_owned(), 400),
        ("posture?days=401".to_owned(), 400),
        ("posture?by=weather".to_owned(), 400),
        (format!("artifacts/{quay}/decided"), 400),
        (format!("artifacts/{quay}/decided?target=nowhere"), 404),
    ] {
        let response = get(&router, &format!("/api/v1/{path}")).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn posture_is_told_a_page_at_a_time_in_both_directions() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let query = PostureQuery::last_days(9, time("2026-11-12T00:00:00Z")).by(PostureBy::Tier);
    let all = value_of(&guild.ops_db.posture(&query).await.unwrap());
    let asked = "/api/v1/posture?by=tier&days=9&until=2026-11-12T23:00:00Z";
    assert_eq!(*rows(&json(&router, asked).await), *all.as_array().unwrap());
    let (mut found, mut pages, mut next) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = json(&router, &format!("{asked}&limit=4{next}")).await;
        found.extend(rows(&page).iter().cloned());
        let after = page["next"].as_str().map(|cursor| format!("&after={}", encoded(cursor)));
        pages.push(page);
        match after {
            Some(after) => next = after,
            None => break,
        }
    }
    assert_eq!((&found, pages.len()), (all.as_array().unwrap(), found.len().div_ceil(4)));
    let back = pages[2]["previous"].as_str().unwrap();
    let back = json(&router, &format!("{asked}&limit=4&after={}", encoded(back))).await;
    assert_eq!(rows(&back), rows(&pages[1]));
    assert_eq!(pages[0]["previous"], Value::Null);
}

#[tokio::test]
async fn changes_are_between_positions_or_times() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let asked = async |query: &str| json(&router, &format!("/api/v1/changes?{query}")).await;
    let all = asked("limit=500").await;
    assert_eq!((&all["from"], &all["to"]), (&0.into(), &150.into()));
    let query = ChangeQuery::between(Position::ZERO, Position::new(150)).limit(500);
    assert_eq!(value_of(&guild.ops_db.changes(&query).await.unwrap().rows), all["rows"]);
    // The entry at position 119 was recorded 40 milliseconds after it happened.
    let since = asked("from=2026-11-09T16:12:00.04Z").await;
    assert_eq!((&since["from"], &since["rows"]), (&119.into(), &asked("from=119").await["rows"]));
    let until = asked("to=2026-11-09T16:12:00.039Z&limit=500").await;
    assert_eq!(
        (&until["to"], rows(&until).len() + 1),
        (&118.into(), { rows(&all).len() - rows(&since).len() })
    );
    let quay = named(&guild, "quay-core").await;
    let of_it = asked(&format!("artifact={quay}")).await;
    assert!(rows(&of_it).iter().all(|row| row["artifact_id"] == quay.to_string()));
    let first = asked("limit=3").await;
    let next = encoded(first["next"].as_str().unwrap());
    assert_eq!(rows(&asked(&format!("limit=3&after={next}")).await)[..], rows(&all)[3..6]);
    let response = get(&router, "/api/v1/changes?from=yesterday").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn revisions_are_listed_read_and_compared() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let zone = named(&guild, "calder.example").await;
    let path = format!("/api/v1/artifacts/{zone}");
    let stored = guild.ops_db.revisions(zone, None, 10).await.unwrap().rows;
    let listed = json(&router, &format!("{path}/revisions")).await;
    let numbers: Vec<_> =
        rows(&listed).iter().map(|row| row["revision"].as_u64().unwrap()).collect();
    assert_eq!((numbers, stored.len()), (vec![2, 1], 2));
    assert!(rows(&listed).iter().all(|row| row["content"].is_null()), "lists have no contents");
    let first = json(&router, &format!("{path}/revisions/1")).await;
    assert_eq!(first, value_of(&stored[1]));
    let then = json(&router, &format!("{path}/revisions?as_of=92")).await;
    assert_eq!(rows(&then).len(), 1);
    let diff = json(&router, &format!("{path}/diff")).await;
    assert_eq!((&diff["before"]["revision"], &diff["after"]["revision"]), (&1.into(), &2.into()));
    assert_eq!(diff["after"]["cid"], stored[0].cid.to_string());
    let operations = diff["operations"].as_array().unwrap();
    assert!(!operations.is_empty());
    let back = json(&router, &format!("{path}/diff?before=2&after=1")).await;
    assert_eq!(back["operations"].as_array().unwrap().len(), operations.len());
    assert_ne!(back["operations"], diff["operations"]);
    let none = json(&router, &format!("{path}/diff?after=1")).await;
    assert_eq!(
        (&none["before"]["revision"], &none["operations"]),
        (&1.into(), &Value::Array(vec![]))
    );
    let nobody = ArtifactId::new();
    let last = Revision::MAX;
    for (path, status) in [
        (format!("{path}/revisions/3"), 404),
        (format!("{path}/revisions/0"), 404),
        (format!("{path}/revisions/{last}"), 404),
        (format!("{path}/revisions/latest"), 404),
        (format!("{path}/revisions?as_of=3"), 404),
        (format!("{path}/diff?before=3"), 404),
        (format!("{path}/diff?before=latest"), 400),
        (format!("/api/v1/artifacts/{nobody}/revisions"), 404),
        (format!("/api/v1/artifacts/{nobody}/diff"), 404),
    ] {
        assert_eq!(get(&router, &path).await.status().as_u16(), status, "{path}");
    }
}
