//! The pages in a real browser: what they show, that they stay up to date, that everyone can use
//! them, and that no text of somebody else's runs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod chromium;
mod common;

use std::path::PathBuf;
use std::time::Duration;

use chromium::Browser;
use common::{Guild, at};
use guildhall_console::Access;
use guildhall_core::command::{Act, Command};
use guildhall_core::{
    ArtifactQuery, CeremonyId, Cid, CustodyState, DeploymentObserved, Drift, Json, Seq, Tier,
};
use serde_json::Value;

const PAGES: [(&str, &str); 5] = [
    ("dashboard", "/"),
    ("ceremonies", "/ceremonies"),
    ("artifacts", "/artifacts"),
    ("artifact", "/artifacts/"),
    ("quarantine", "/quarantine"),
];

/// How soon a page shows what was appended.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn url(guild: &Guild) -> String {
    format!("http://{}", guild.serve(Access::Loopback).await.address())
}

/// The path of a page; of an artifact, of the one with the longest chain.
async fn path(guild: &Guild, path: &str) -> String {
    if path != "/artifacts/" {
        return path.to_owned();
    }
    let artifacts = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows;
    let mut longest = (0, path.to_owned());
    for row in artifacts {
        let links = guild.ops_db.chain(row.id, Seq::ZERO, 500).await.unwrap().len();
        longest = longest.max((links, format!("{path}{}", row.id)));
    }
    longest.1
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_shows_what_the_queries_answer() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/")).await;
    let overview = guild.ops_db.overview().await.unwrap();
    for (fact, value) in [
        ("artifacts", overview.artifacts()),
        ("healthy", overview.healthy_deployments),
        ("drifted", overview.drifted_deployments),
        ("open", overview.open_ceremonies),
        ("quarantined", overview.quarantined),
        ("position", guild.chronicle.head().await.unwrap().position.get()),
    ] {
        let shown = browser.text(&format!("[data-fact={fact}]")).await;
        assert_eq!(shown, value.to_string(), "{fact}");
    }
    for drift in [Drift::Drifted, Drift::Unknown] {
        let query = ArtifactQuery { drifts: vec![drift], ..ArtifactQuery::default() };
        for row in guild.ops_db.artifacts(&query).await.unwrap().rows {
            assert!(browser.text("#attention").await.contains(&row.name), "{}", row.name);
        }
    }
    browser.open(&format!("{url}/ceremonies")).await;
    for row in guild.ops_db.open_ceremonies(None, 500).await.unwrap().rows {
        let shown = browser.text(&format!("#open #c{}", row.opened.position)).await;
        let tier = row.tier.get().to_string();
        for fact in [&row.name, &row.accord, &row.opened.actor, &row.opened.reason, &tier] {
            assert!(shown.contains(fact.as_str()), "{fact}: {shown}");
        }
    }
    for row in guild.ops_db.closed_ceremonies(None, 25).await.unwrap().rows {
        let shown = browser.text(&format!("#closed #c{}", row.closed.position)).await;
        assert!(shown.contains(&row.name) && shown.contains(&row.closed.actor), "{shown}");
    }
    browser.open(&format!("{url}/artifacts?sort=tier")).await;
    let query = ArtifactQuery { sort: guildhall_core::ArtifactSort::Tier, ..Default::default() };
    let rows = guild.ops_db.artifacts(&query).await.unwrap().rows;
    let names =
        "return [...document.querySelectorAll('tbody .name')].map((a) => a.innerText).join()";
    let expected: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(browser.run(names).await, expected.join(","));
    for row in &rows {
        browser.open(&format!("{url}/artifacts/{}", row.id)).await;
        let chain = guild.ops_db.chain(row.id, Seq::ZERO, 500).await.unwrap();
        for link in &chain {
            let shown = browser.text(&format!("#link{}", link.seq)).await;
            assert!(shown.contains(&link.actor) && shown.contains(&link.reason), "{shown}");
            assert!(shown.contains("holds"), "{shown}");
        }
        let hashes =
            "return [...document.querySelectorAll('.chain code')].map((c) => c.textContent).join()";
        let shown = browser.run(hashes).await.to_string();
        assert!(chain.iter().all(|link| shown.contains(&link.hash.to_string())));
    }
    browser.open(&format!("{url}/quarantine")).await;
    for row in guild.ops_db.quarantined(None, 100).await.unwrap().rows {
        let shown = browser.text(&format!("#q{}", row.position)).await;
        assert!(shown.contains(row.code.as_str()) && shown.contains(&row.reason), "{shown}");
    }
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_shows_within_a_second_and_nothing_else_is_disturbed() {
    let guild = Guild::with_story().await;
    let id = guild.draft("zone-of-the-day.example", "board").await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/ceremonies")).await;
    browser.until("document.getElementById('live').innerText === 'up to date'", common::SOON).await;
    browser.run("window.isTheSame = true").await;
    guild
        .record(Command::open_ceremony(id, CeremonyId::new(), Act::new("ada", "why", at(2))))
        .await;
    browser
        .until("document.getElementById('open').innerText.includes('zone-of-the-day')", AT_ONCE)
        .await;
    guild
        .record(Command::transition(id, CustodyState::Ratified, Act::new("eve", "yes", at(3))))
        .await;
    browser
        .until("document.getElementById('closed').innerText.includes('zone-of-the-day')", AT_ONCE)
        .await;
    browser
        .until("!document.getElementById('open').innerText.includes('zone-of-the-day')", AT_ONCE)
        .await;
    assert_eq!(browser.run("return window.isTheSame").await, true, "it was not loaded anew");

    // Filters, what is typed, what is open and where the focus is: all stay.
    browser
        .open(&format!("{url}/artifacts?state=ratified&state=deployed&name=e&sort=tier&order=desc"))
        .await;
    browser.until("document.getElementById('live').innerText === 'up to date'", common::SOON).await;
    browser
        .run(
            "document.querySelector('[name=name]').value = 'half typed'; \
             document.querySelector('details.filter').open = true; \
             document.querySelector('tbody details').open = true; \
             document.getElementById('by-tier').focus()",
        )
        .await;
    let before = browser.run("return document.querySelectorAll('tbody tr').length").await;
    guild
        .record(Command::transition(id, CustodyState::Deployed, Act::new("eve", "out", at(4))))
        .await;
    browser
        .until(
            &format!("document.getElementById('a{id}')?.innerText.includes('deployed')"),
            AT_ONCE,
        )
        .await;
    let state = "return [document.querySelector('[name=name]').value, \
                 document.querySelector('details.filter').open, \
                 document.querySelector('tbody details').open, document.activeElement.id, \
                 document.querySelectorAll('tbody tr').length, location.search].join('|')";
    let expected = format!(
        "half typed|true|true|by-tier|{before}|?state=ratified&state=deployed&name=e&sort=tier&order=desc"
    );
    assert_eq!(browser.run(state).await, expected);

    // A registration and a drift reach the dashboard too.
    browser.open(&format!("{url}/")).await;
    browser.until("document.getElementById('live').innerText === 'up to date'", common::SOON).await;
    let cid = guild.ops_db.artifact(id).await.unwrap().unwrap().artifact.cid;
    let seen = DeploymentObserved {
        artifact_id: id,
        desired_cid: cid,
        detail: Json::null(),
        observed_at: at(5),
        observed_cid: Some(Cid::from_digest([9; 32])),
        target: "eu".to_owned(),
    };
    guild.record(seen).await;
    browser
        .until(
            "document.getElementById('attention').innerText.includes('zone-of-the-day')",
            AT_ONCE,
        )
        .await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_pages_are_in_the_url_and_answer_as_the_query() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    let names =
        "return [...document.querySelectorAll('tbody .name')].map((a) => a.innerText).join()";
    let has_loaded = "document.readyState === 'complete' && location.search.includes('tier=1')";
    browser.open(&format!("{url}/artifacts?limit=2")).await;
    browser
        .run(
            "for (const filter of document.querySelectorAll('details.filter')) { \
                 filter.open = true; \
                 for (const word of ['tier 0', 'tier 1', 'healthy', 'drifted']) { \
                     [...filter.querySelectorAll('label')].find((it) => it.innerText.trim() === word)?.click(); \
                 } \
             } \
             document.querySelector('.filters button').click()",
        )
        .await;
    browser.until(has_loaded, common::SOON).await;
    let mut query = ArtifactQuery {
        tiers: vec![Tier::ALL[0], Tier::ALL[1]],
        drifts: vec![Drift::Drifted, Drift::Healthy],
        limit: 2,
        ..ArtifactQuery::default()
    };
    browser.run("document.getElementById('by-artifact_type').click()").await;
    browser
        .until(&format!("{has_loaded} && location.search.includes('sort=')"), common::SOON)
        .await;
    query.sort = guildhall_core::ArtifactSort::ArtifactType;
    let mut pages = 0;
    loop {
        let page = guild.ops_db.artifacts(&query).await.unwrap();
        let expected: Vec<&str> = page.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(browser.run(names).await, expected.join(","));
        pages += 1;
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
        let shown = serde_json::to_string(expected[0]).unwrap();
        browser.run("document.querySelector('[rel=next]').click()").await;
        let has_turned =
            format!("{has_loaded} && document.querySelector('tbody .name').innerText !== {shown}");
        browser.until(&has_turned, common::SOON).await;
    }
    assert!(pages > 2, "there are several pages");
    assert_eq!(browser.run("return document.querySelector('[rel=next]')").await, Value::Null);
    // What is shown short is whole by keyboard too, and exact times are remembered.
    browser.run("document.querySelector('tbody summary').focus()").await;
    browser.press("\u{e007}").await;
    browser.until("document.querySelector('tbody details').open", common::SOON).await;
    browser.run("document.getElementById('exact').click()").await;
    browser.open(&format!("{url}/")).await;
    browser.until("document.getElementById('exact').checked", common::SOON).await;
    assert!(browser.text("#verdicts time").await.ends_with(" UTC"));
}

const HOSTILE: &str = "<img src=x onerror=\"window.isBroken=1\"><script>window.isBroken=1</script>'\"><a href=javascript:window.isBroken=1>\u{202e}x</a>{{1}}";

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_others_are_shown_and_never_run() {
    let guild = Guild::empty().await;
    let id = guild.draft(HOSTILE, HOSTILE).await;
    let act = |second| Act::new(HOSTILE, HOSTILE, at(second));
    guild.record(Command::open_ceremony(id, CeremonyId::new(), act(2))).await;
    let seen = DeploymentObserved {
        artifact_id: id,
        desired_cid: Cid::from_digest([1; 32]),
        detail: Json::parse(&serde_json::to_string(HOSTILE).unwrap()).unwrap(),
        observed_at: at(3),
        observed_cid: None,
        target: HOSTILE.to_owned(),
    };
    guild.record(seen).await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    for path in ["/", "/ceremonies", "/artifacts", &format!("/artifacts/{id}"), "/quarantine"] {
        browser.open(&format!("{url}{path}")).await;
        browser
            .until("document.getElementById('live').innerText === 'up to date'", common::SOON)
            .await;
        let foreign = "return document.querySelectorAll('main img, main script, main [onerror], \
                       main a[href^=javascript]').length + (window.isBroken ?? 0)";
        assert_eq!(browser.run(foreign).await, 0, "{path}");
        if path != "/quarantine" {
            assert!(browser.text("main").await.contains("<img src=x onerror="), "{path}");
        }
    }
    // The policy holds where escaping would not: nothing inline runs.
    browser
        .run("document.body.insertAdjacentHTML('beforeend', '<img src=/nope onerror=\"window.isBroken=1\">'); \
              await new Promise((next) => setTimeout(next, 200))")
        .await;
    assert_eq!(browser.run("return window.isBroken ?? 0").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_can_use_every_page() {
    let axe = include_str!("vendor/axe-core/axe.min.js");
    let (full, empty) = (Guild::with_story().await, Guild::empty().await);
    let browser = Browser::start().await;
    for (guild, is_full) in [(&full, true), (&empty, false)] {
        let url = url(guild).await;
        for (name, page) in PAGES {
            if !is_full && name == "artifact" {
                continue;
            }
            browser.open(&format!("{url}{}", path(guild, page).await)).await;
            for (width, scheme) in [(1360, "light"), (1360, "dark"), (390, "light"), (390, "dark")]
            {
                browser.look(width, 844, scheme).await;
                browser
                    .run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
                    .await;
                let found = browser
                    .run(&format!(
                        "{axe}; const {{ violations }} = await axe.run(); \
                         return violations.map((one) => one.id + ': ' + one.help + ' ' + \
                             one.nodes.map((node) => node.html + ' ' + node.failureSummary).slice(0, 3).join(' / ')).join('\\n')"
                    ))
                    .await;
                assert_eq!(found, "", "{name} {width} {scheme}:\n{}", found.as_str().unwrap());
                let sideways = "return document.documentElement.scrollWidth - window.innerWidth";
                let beyond = browser.run(sideways).await.as_i64().unwrap();
                assert!(beyond <= 0, "{name} at {width} is {beyond} px too wide");
            }
        }
    }
}

/// For people to look at: `target/tmp/console/*.png`.
#[tokio::test(flavor = "multi_thread")]
async fn each_page_is_pictured() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("console");
    std::fs::create_dir_all(&folder).unwrap();
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    for (name, page) in PAGES {
        let path = path(&guild, page).await;
        for (device, width, height) in [("desktop", 1360, 850), ("phone", 390, 844)] {
            for scheme in ["light", "dark"] {
                browser.look(width, height, scheme).await;
                browser.open(&format!("{url}{path}")).await;
                browser
                    .until(
                        "document.getElementById('live').innerText === 'up to date'",
                        common::SOON,
                    )
                    .await;
                let image = browser.screenshot().await;
                assert!(image.len() > 10_000, "{name} on a {device} is nearly empty");
                std::fs::write(folder.join(format!("{name}-{device}-{scheme}.png")), image)
                    .unwrap();
            }
        }
    }
}
