//! The pages of one thing each: a ceremony, an accord, an entry in quarantine, a position of the log.

use super::*;

async fn page(router: &Router, path: &str) -> String {
    let response = get(router, path).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    text(response).await
}

#[tokio::test]
async fn every_ceremony_has_a_page_that_says_who_opened_and_who_decided() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let list = page(&router, "/ceremonies").await;
    for row in guild.ops_db.closed_ceremonies(None, 25).await.unwrap().rows {
        let id = row.ceremony_id.unwrap();
        assert!(list.contains(&format!("href=\"/ceremonies/{id}\"")), "{id}");
        let shown = page(&router, &format!("/ceremonies/{id}")).await;
        for fact in [&row.name, &row.opened_by, &row.closed.actor, &row.closed.reason] {
            assert!(shown.contains(fact.as_str()), "{fact}: {shown}");
        }
        assert!(shown.contains(&format!("href=\"/log/{}\"", row.closed.position)));
        let found = json(&router, &format!("/api/v1/ceremonies/{id}")).await;
        let rows = guild.ops_db.ceremony(id, None, 100).await.unwrap();
        assert_eq!(found, value_of(&rows));
    }
    let other = CeremonyId::new();
    for path in [format!("/ceremonies/{other}"), format!("/api/v1/ceremonies/{other}")] {
        assert_eq!(get(&router, &path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_ceremony_shows_what_it_would_change_and_what_the_terms_ask() {
    let guild = Guild::empty().await;
    let json = |text: &str| Json::parse(text).unwrap();
    let terms = r#"{"approvals":{"quorum":2,"roles":["lead","officer"],"author_may_approve":false},
        "change_window":{"days":["Tue"]},"break_glass":{"allowed":true}}"#;
    let accord = AccordBound::new("change control", "board", json(terms), at(0));
    let zone = guildhall_core::ArtifactRegistered::new(
        accord.accord_id,
        "dns_zone",
        "zone",
        guildhall_core::Tier::ZERO,
        json(r#"{"ttl":300,"serial":1}"#),
        "https://example.com/zone.json",
    );
    let (accord_id, id) = (accord.accord_id, zone.artifact_id);
    guild.record(accord).await;
    guild.record(zone).await;
    let act = |reason: &str, second| Act::new("ada", reason, at(second));
    let ceremonies = [CeremonyId::new(), CeremonyId::new()];
    guild.record(Command::transition(id, CustodyState::Drafted, act("draft", 1))).await;
    guild.record(Command::open_ceremony(id, ceremonies[0], act("first", 2))).await;
    let router = guild.console().router();
    let first = page(&router, &format!("/ceremonies/{}", ceremonies[0])).await;
    assert!(first.contains("all of it is new") && first.contains("still open"), "{first}");
    let votes = r#"{"votes":[{"by":"ada","role":"lead","vote":"approve"},{"by":"eve","role":"officer","vote":"reject"}]}"#;
    let close = act("quorum reached", 3).with_evidence(json(votes));
    guild.record(Command::transition(id, CustodyState::Ratified, close)).await;
    let revise = guildhall_core::Event::from(guildhall_core::ArtifactRevised {
        artifact_id: id,
        content: json(r#"{"ttl":60,"serial":1}"#),
        content_schema: "https://example.com/zone.json".to_owned(),
        cid: guildhall_core::Cid::of(&json(r#"{"ttl":60,"serial":1}"#)),
        previous_cid: guildhall_core::Cid::of(&json(r#"{"ttl":300,"serial":1}"#)),
    });
    let appended = guild.chronicle.append(Append::of([NewEntry::new(&revise)])).await.unwrap();
    guild.applied(appended[0].position).await;
    guild.record(Command::open_ceremony(id, ceremonies[1], act("second", 4))).await;
    let second = page(&router, &format!("/ceremonies/{}", ceremonies[1])).await;
    for line in [
        "removed: </span>  <bdi>&quot;ttl&quot;: 300<",
        "added: </span>  <bdi>&quot;ttl&quot;: 60<",
    ] {
        assert!(second.contains(line), "{line}: {second}");
    }
    // The first is closed now: what the terms ask stands beside what happened, and nothing is decided.
    let first = page(&router, &format!("/ceremonies/{}", ceremonies[0])).await;
    for told in [
        "2 approvals",
        "1 of 2 votes approve",
        "lead, officer",
        "ada, who opened it, voted",
        "the evidence speaks of none",
        "eve",
    ] {
        assert!(first.contains(told), "{told}: {first}");
    }
    assert!(first.contains(&format!("href=\"/accords/{accord_id}\"")));
}

#[tokio::test]
async fn an_accord_says_its_terms_in_words_and_what_it_governs() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    for accord in guild.ops_db.accords(&AccordQuery::default()).await.unwrap().rows {
        let shown = page(&router, &format!("/accords/{}", accord.id)).await;
        assert!(shown.contains(&accord.name) && shown.contains("verified again within 7 d"));
        assert!(shown.contains("author may approve") && shown.contains("retention years"));
        let query = ArtifactQuery::default().accords([accord.id]);
        for row in guild.ops_db.artifacts(&query).await.unwrap().rows {
            assert!(shown.contains(&format!("href=\"/artifacts/{}\"", row.id)), "{}", row.name);
        }
        let found = json(&router, &format!("/api/v1/accords/{}", accord.id)).await;
        assert_eq!(found, value_of(&accord));
    }
    let path = format!("/accords/{}", AccordId::new());
    assert_eq!(get(&router, &path).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_position_of_the_log_has_a_page_and_every_refusal_says_why() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let head = guild.chronicle.head().await.unwrap().position.get();
    let entries = guild.chronicle.read(Position::ZERO, ReadLimit::entries(500)).await.unwrap();
    for entry in &entries {
        let at = entry.position;
        let shown = page(&router, &format!("/log/{at}")).await;
        assert!(shown.contains(&entry.event_id.to_string()), "{at}");
        let refused = guild.ops_db.quarantined_at(at).await.unwrap();
        assert_eq!(
            shown.contains(&format!("href=\"/quarantine/{at}\"")),
            refused.is_some(),
            "{at}"
        );
        assert_eq!(shown.contains("rel=\"next\""), at.get() < head, "{at}");
        let exported = json(&router, &format!("/api/v1/log/{at}")).await;
        assert_eq!(exported["id"], entry.event_id.to_string());
        assert_eq!(exported["position"], at.get());
    }
    let list = page(&router, "/quarantine").await;
    for row in guild.ops_db.quarantined(None, 100).await.unwrap().rows {
        let link = format!("/quarantine/{}", row.position);
        assert!(list.contains(&format!("href=\"{link}\"")));
        let shown = page(&router, &link).await;
        assert!(shown.contains(&row.reason) && shown.contains(row.code.meaning()), "{shown}");
        assert!(shown.contains("/artifacts/"), "it names the artifact that it meant");
        assert_eq!(json(&router, &format!("/api/v1{link}")).await, value_of(&row));
    }
    for path in ["/log/0", "/log/151", "/log/x", "/log/-1", "/quarantine/1"] {
        assert_eq!(get(&router, path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn what_runs_is_shown_beside_what_should_where_the_observation_carries_it() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let json = |text: &str| Json::parse(text).unwrap();
    let desired = guildhall_core::Cid::of(&json(r#"{"text":"board"}"#));
    let observe = |target: &str, content: &str, told: &str| guildhall_core::DeploymentObserved {
        artifact_id: id,
        desired_cid: desired,
        detail: json(&format!("{{\"content\":{told}}}")),
        observed_at: at(10),
        observed_cid: Some(guildhall_core::Cid::of(&json(content))),
        target: target.to_owned(),
    };
    guild.record(observe("honest", r#"{"text":"other"}"#, r#"{"text":"other"}"#)).await;
    // What is carried is not what was observed.
    guild.record(observe("odd", r#"{"text":"other"}"#, r#"{"text":"third"}"#)).await;
    let router = guild.console().router();
    let shown = page(&router, &format!("/artifacts/{id}")).await;
    assert!(shown.contains("target-honest-differs") && !shown.contains("target-odd-differs"));
    for line in [
        "removed: </span>  <bdi>&quot;text&quot;: &quot;board",
        "added: </span>  <bdi>&quot;text&quot;: &quot;other",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}
