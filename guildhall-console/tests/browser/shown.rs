//! Each page shows what the queries return.

use guildhall_core::{ArtifactQuery, CustodyState, DeploymentQuery, Drift, VerificationQuery};

use crate::chromium::Browser;
use crate::common::Guild;
use crate::url;

/// What a thing on a page says, with what it shows on demand and the moments that it names.
async fn facts(browser: &Browser, selector: &str) -> String {
    let selector = serde_json::to_string(selector).unwrap();
    let script = format!(
        "const one = document.querySelector({selector}); \
         const times = [...(one?.querySelectorAll('time') ?? [])].map((it) => it.dateTime); \
         return one && [one.textContent, ...times].join(' ')"
    );
    let found = browser.run(&script).await;
    found.as_str().unwrap_or_else(|| panic!("{selector} is not on the page")).to_owned()
}

#[track_caller]
pub(super) fn says(shown: &str, facts: &[&dyn std::fmt::Display]) {
    for fact in facts {
        assert!(shown.contains(&fact.to_string()), "{fact}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_what_the_queries_answer() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/")).await;
    let overview = guild.ops_db.overview().await.unwrap();
    let [tier0, tier1, tier2, tier3] = overview.artifacts_by_tier;
    for (fact, value) in [
        ("artifacts", overview.artifacts()),
        ("tier0", tier0),
        ("tier1", tier1),
        ("tier2", tier2),
        ("tier3", tier3),
        ("healthy", overview.healthy_deployments),
        ("drifted", overview.drifted_deployments),
        ("unknown", overview.unknown_deployments),
        ("open", overview.open_ceremonies),
        ("quarantined", overview.quarantined),
        ("position", guild.chronicle.head().await.unwrap().position.get()),
        ("lag", 0),
    ] {
        let shown = browser.text(&format!("[data-fact={fact}]")).await;
        assert_eq!(shown, value.to_string(), "{fact}");
    }
    let oldest = overview.oldest_ceremony_opened_at.unwrap();
    says(&facts(&browser, "[data-fact=oldest]").await, &[&oldest]);
    for drift in [Drift::Drifted, Drift::Unknown] {
        let query = ArtifactQuery::default().drifts([drift]);
        for row in guild.ops_db.artifacts(&query).await.unwrap().rows {
            let shown = facts(&browser, &format!("[id='{drift}-{}']", row.id)).await;
            says(&shown, &[&row.name, &row.tier.get(), &row.drift_since.unwrap()]);
            let query = DeploymentQuery::default().artifact_id(row.id);
            for target in guild.ops_db.deployments(&query).await.unwrap().rows {
                let is_named = shown.contains(&target.target);
                assert_eq!(is_named, target.health.as_str() == drift.as_str(), "{shown}");
            }
        }
    }
    let query = VerificationQuery::default().limit(5);
    let latest = guild.ops_db.verifications(&query).await.unwrap().rows;
    for (at, row) in (1..).zip(&latest) {
        let shown = facts(&browser, &format!("#verdicts li:nth-child({at})")).await;
        let name = guild.ops_db.artifact(row.artifact_id).await.unwrap().unwrap().artifact.name;
        let target = row.target.as_deref().unwrap_or_default();
        says(&shown, &[&name, &row.verifier, &target, &row.outcome, &row.verified_at]);
    }
    assert_eq!(latest.len(), 5);
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ceremonies_are_those_that_the_queries_answer() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/ceremonies")).await;
    for row in guild.ops_db.open_ceremonies(None, 500).await.unwrap().rows {
        let shown = facts(&browser, &format!("#open #c{}", row.opened.position)).await;
        let (opened, id) = (&row.opened, row.ceremony_id.unwrap());
        says(&shown, &[&row.name, &row.tier.get(), &row.accord, &id]);
        says(&shown, &[&opened.actor, &opened.reason, &opened.occurred_at]);
    }
    for row in guild.ops_db.closed_ceremonies(None, 25).await.unwrap().rows {
        let shown = facts(&browser, &format!("#closed #c{}", row.closed.position)).await;
        let (closed, id) = (&row.closed, row.ceremony_id.unwrap());
        let outcome = match closed.to_state {
            CustodyState::Drafted => "withdrawn",
            state => state.as_str(),
        };
        says(&shown, &[&row.name, &row.tier.get(), &row.accord, &id, &outcome]);
        says(&shown, &[&closed.actor, &closed.reason, &closed.occurred_at, &row.opened_at]);
    }
    browser.open(&format!("{url}/quarantine")).await;
    for row in guild.ops_db.quarantined(None, 100).await.unwrap().rows {
        let shown = facts(&browser, &format!("#q{}", row.position)).await;
        says(&shown, &[&row.position, &row.code.as_str(), &row.reason]);
        says(&shown, &[&row.stream_id, &row.event_id, &"custody.transitioned.v1"]);
    }
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_artifacts_are_those_that_the_queries_answer() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.look(1280, 800, "light").await;
    browser.open(&format!("{url}/artifacts?sort=tier")).await;
    let heights = "return Math.max(...[...document.querySelectorAll('tbody tr')].map((row) => row.offsetHeight))";
    assert!(browser.run(heights).await.as_u64() <= Some(32), "rows are dense");
    let query = ArtifactQuery::default().sort(guildhall_core::ArtifactSort::Tier);
    let rows = guild.ops_db.artifacts(&query).await.unwrap().rows;
    for (at, row) in (1..).zip(&rows) {
        let cell = |column: u8| format!("tbody tr:nth-child({at}) > :nth-child({column})");
        let state = row.custody_state.unwrap().as_str().replace('_', " ");
        let position = row.position.get();
        for (column, fact) in [
            (1, &row.name),
            (2, &row.artifact_type.replace('_', " ")),
            (3, &row.tier.get().to_string()),
            (4, &row.cid.to_string()),
            (5, &state),
            (6, &row.drift.to_string()),
            (6, &row.drift_since.map(|at| at.to_string()).unwrap_or_default()),
            (7, &position.to_string()),
        ] {
            says(&facts(&browser, &cell(column)).await, &[fact]);
        }
    }
    assert_eq!(
        browser.run("return document.querySelectorAll('tbody tr').length").await,
        rows.len()
    );
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_what_the_queries_answer() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    for row in guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows {
        let id = Some(row.id);
        browser.open(&format!("{url}/artifacts/{}?limit=500", row.id)).await;
        let detail = guild.ops_db.artifact(row.id).await.unwrap().unwrap();
        let (artifact, accord) = (&detail.artifact, &detail.accord);
        let shown = facts(&browser, "#about").await;
        says(&shown, &[&artifact.tier.get(), &artifact.cid, &artifact.id, &artifact.registered_at]);
        says(&shown, &[&detail.drift, &artifact.position]);
        let shown = facts(&browser, "#accord").await;
        says(&shown, &[&accord.name, &accord.bound_by, &accord.effective_at]);
        for (section, json) in
            [("accord", &accord.accord_terms), ("content-json", &artifact.content)]
        {
            let script =
                format!("return JSON.parse(document.querySelector('#{section} pre').textContent)");
            assert_eq!(browser.run(&script).await, json.to_value(), "{section}");
        }
        for link in guild.ops_db.chain(row.id, None, 500).await.unwrap().rows {
            let shown = facts(&browser, &format!("#link{}", link.seq)).await;
            let to_state = link.to_state.as_str().replace('_', " ");
            says(&shown, &[&link.actor, &link.reason, &link.hash, &link.cid, &to_state]);
            says(&shown, &[&link.occurred_at, &"holds"]);
        }
        let query = DeploymentQuery::default().artifact_id(id);
        let targets = guild.ops_db.deployments(&query).await.unwrap().rows;
        for (at, row) in (1..).zip(&targets) {
            let shown = facts(&browser, &format!("#targets tbody tr:nth-child({at})")).await;
            let observed = row.observed_cid.map_or("nothing".to_owned(), |cid| cid.to_string());
            says(&shown, &[&row.target, &row.health, &row.desired_cid, &observed]);
            says(&shown, &[&row.health_since, &row.observed_at]);
        }
        let query = VerificationQuery::default().artifact_id(id);
        let verdicts = guild.ops_db.verifications(&query).await.unwrap().rows;
        for row in verdicts.iter().take(8) {
            let shown = facts(&browser, &format!("#t{}-verification", row.position)).await;
            let target = row.target.as_deref().unwrap_or_default();
            says(&shown, &[&row.verifier, &target, &row.outcome, &row.verified_at]);
        }
        let marks = "return document.querySelectorAll('.chart title').length";
        assert_eq!(browser.run(marks).await, verdicts.len());
    }
    assert_eq!(browser.errors().await, Vec::<String>::new());
}
