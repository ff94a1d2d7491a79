//! Terms as clocks: what is due and overdue, on pages, in the API and in metrics.

use super::*;

#[tokio::test]
async fn what_the_terms_give_time_for_is_due_and_then_overdue() {
    let guild = Guild::empty().await;
    let now = Timestamp::now().as_micros() / 1_000_000;
    let hour = 3600;
    let json_of = |text: &str| Json::parse(text).unwrap();
    let terms =
        r#"{"verify_every_days":7,"mend_within_hours":{"0":2,"1":48},"review_within_hours":24}"#;
    let accord = AccordBound::new("change control", "board", json_of(terms), at(now - 1000 * hour));
    let zone = |name: &str, tier: usize| {
        guildhall_core::ArtifactRegistered::new(
            accord.accord_id,
            "dns_zone",
            name,
            guildhall_core::Tier::ALL[tier],
            json_of("{}"),
            "https://example.com/zone.json",
        )
    };
    let (drifted, waiting, deployed, slow) =
        (zone("drifted", 0), zone("waiting", 0), zone("deployed", 0), zone("slow", 1));
    let ids = [&drifted, &waiting, &deployed, &slow].map(|zone| zone.artifact_id);
    let [drifted_id, waiting_id, deployed_id, slow_id] = ids;
    let cid = drifted.cid;
    guild.record(accord.clone()).await;
    for zone in [drifted, waiting, deployed, slow] {
        guild.record(zone).await;
    }
    let act = |ago: i64| Act::new("ada", "why", at(now - ago * hour));
    for id in ids {
        guild.record(Command::transition(id, CustodyState::Drafted, act(500))).await;
    }
    guild.record(Command::open_ceremony(waiting_id, CeremonyId::new(), act(30))).await;
    guild.record(Command::open_ceremony(deployed_id, CeremonyId::new(), act(400))).await;
    guild.record(Command::transition(deployed_id, CustodyState::Ratified, act(399))).await;
    guild.record(Command::transition(deployed_id, CustodyState::Deployed, act(398))).await;
    for id in [drifted_id, slow_id] {
        let other = guildhall_core::Cid::of(&json_of("[1]"));
        guild
            .record(guildhall_core::DeploymentObserved {
                artifact_id: id,
                desired_cid: cid,
                detail: Json::null(),
                observed_at: at(now - 10 * hour),
                observed_cid: Some(other),
                target: "eu".to_owned(),
            })
            .await;
    }
    let router = guild.console().router();
    let overdue = json(&router, "/api/v1/overdue").await;
    let told = |overdue: &Value| {
        let rows = overdue["rows"].as_array().unwrap().clone();
        let mut rows: Vec<_> = rows
            .iter()
            .map(|row| {
                format!("{} {}", row["duty"].as_str().unwrap(), row["name"].as_str().unwrap())
            })
            .collect();
        rows.sort_unstable();
        rows.join(", ")
    };
    assert_eq!(told(&overdue), "mend drifted, review waiting, verify deployed", "{overdue}");
    assert_eq!([&overdue["verify"], &overdue["mend"], &overdue["review"]], [1, 1, 1]);
    let slow = json(&router, &format!("/api/v1/artifacts/{slow_id}/due")).await;
    assert_eq!(slow["clocks"][0]["duty"], "mend");
    assert_eq!(slow["clocks"][0]["is_overdue"], false, "its tier has longer: {slow}");
    let page = text(get(&router, &format!("/artifacts/{drifted_id}")).await).await;
    assert!(page.contains("id=\"due-mend\"") && page.contains("overdue"), "{page}");
    let dashboard = text(get(&router, "/").await).await;
    for (duty, id) in [("mend", drifted_id), ("review", waiting_id), ("verify", deployed_id)] {
        assert!(dashboard.contains(&format!("id=\"overdue-{duty}-{id}\"")), "{duty}");
    }
    let metrics = text(get(&router, "/metrics").await).await;
    for duty in ["verify", "mend", "review"] {
        assert!(metrics.contains(&format!("guildhall_overdue{{duty=\"{duty}\"}} 1")), "{metrics}");
    }
    // A verification answers the clock.
    guild
        .record(VerificationRecorded {
            artifact_id: deployed_id,
            evidence: Json::null(),
            outcome: Outcome::Passed,
            target: None,
            verified_at: at(now - hour),
            verifier: "scanner".to_owned(),
        })
        .await;
    let overdue = json(&router, "/api/v1/overdue").await;
    assert_eq!(told(&overdue), "mend drifted, review waiting");
}
