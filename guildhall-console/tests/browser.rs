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
    AccordBound, AccordQuery, ArtifactId, ArtifactQuery, ArtifactRegistered, CeremonyId, Cid,
    CustodyState, DeploymentObserved, DeploymentQuery, Drift, Json, Position, Tier,
    VerificationQuery,
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

/// Whether a page says that it is up to date.
const IS_UP_TO_DATE: &str = "document.getElementById('live').innerText === 'up to date'";

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
        let links = guild.ops_db.chain(row.id, None, 500).await.unwrap().rows.len();
        longest = longest.max((links, format!("{path}{}", row.id)));
    }
    longest.1
}

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
fn says(shown: &str, facts: &[&dyn std::fmt::Display]) {
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
        browser.open(&format!("{url}/artifacts/{}", row.id)).await;
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
        for (at, row) in (1..).zip(verdicts.iter().take(8)) {
            let shown = facts(&browser, &format!("#verified li:nth-child({at})")).await;
            let target = row.target.as_deref().unwrap_or_default();
            says(&shown, &[&row.verifier, &target, &row.outcome, &row.verified_at]);
        }
        let marks = "return document.querySelectorAll('.chart title').length";
        assert_eq!(browser.run(marks).await, verdicts.len());
    }
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_shows_within_a_second_and_nothing_else_is_disturbed() {
    let guild = Guild::with_story().await;
    let id = guild.draft("zone-of-the-day.example", "board").await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/ceremonies")).await;
    browser.until(IS_UP_TO_DATE, common::SOON).await;
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
        .open(&format!("{url}/artifacts?custody_state=ratified&custody_state=deployed&name_contains=e&sort=tier&descending=true"))
        .await;
    browser.until(IS_UP_TO_DATE, common::SOON).await;
    browser
        .run(
            "document.querySelector('[name=name_contains]').value = 'half typed'; \
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
    let state = "return [document.querySelector('[name=name_contains]').value, \
                 document.querySelector('details.filter').open, \
                 document.querySelector('tbody details').open, document.activeElement.id, \
                 document.querySelectorAll('tbody tr').length, location.search].join('|')";
    let expected = format!(
        "half typed|true|true|by-tier|{before}|?custody_state=ratified&custody_state=deployed&name_contains=e&sort=tier&descending=true"
    );
    assert_eq!(browser.run(state).await, expected);

    // A registration and a drift reach the dashboard too.
    browser.open(&format!("{url}/")).await;
    browser.until(IS_UP_TO_DATE, common::SOON).await;
    observe(&guild, id, false, 5).await;
    browser
        .until(
            "document.getElementById('attention').innerText.includes('zone-of-the-day')",
            AT_ONCE,
        )
        .await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

/// Opens a ceremony and has it ratified: a row of each table, the latest first.
async fn hold_ceremony(guild: &Guild, id: ArtifactId, second: i64) {
    let act = |second| Act::new("ada", "quorum", at(second));
    guild.record(Command::open_ceremony(id, CeremonyId::new(), act(second))).await;
    guild.record(Command::transition(id, CustodyState::Ratified, act(second + 1))).await;
}

/// Observes that an artifact runs as it is, or that something else does.
async fn observe(guild: &Guild, id: ArtifactId, is_healthy: bool, second: i64) -> Position {
    let cid = guild.ops_db.artifact(id).await.unwrap().unwrap().artifact.cid;
    let seen = DeploymentObserved {
        artifact_id: id,
        desired_cid: cid,
        detail: Json::null(),
        observed_at: at(second),
        observed_cid: Some(if is_healthy { cid } else { Cid::from_digest([9; 32]) }),
        target: "eu".to_owned(),
    };
    guild.record(seen).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_focused_and_scrolled_stays_with_its_row() {
    let guild = Guild::empty().await;
    let (first, second) = (guild.draft("first", "board").await, guild.draft("second", "it").await);
    hold_ceremony(&guild, first, 2).await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/ceremonies")).await;
    browser.until(IS_UP_TO_DATE, common::SOON).await;
    browser
        .run(
            "document.querySelector('#closed tbody tr details').open = true; \
             document.querySelector('#closed tbody tr a').focus()",
        )
        .await;
    hold_ceremony(&guild, second, 2).await;
    let rows = "document.querySelectorAll('#closed tbody tr').length";
    browser.until(&format!("{rows} === 2"), common::SOON).await;
    let state = "return [...document.querySelectorAll('#closed tbody tr')].map((row) => \
                 [row.querySelector('a').innerText, row.querySelector('details').open, \
                  row.querySelector('a') === document.activeElement].join()).join(' ')";
    assert_eq!(browser.run(state).await, "second,false,false first,true,true");

    // A link of a chain, by keyboard, and what is scrolled.
    browser.look(1280, 400, "light").await;
    browser.open(&format!("{url}/artifacts/{first}")).await;
    browser.until(IS_UP_TO_DATE, common::SOON).await;
    browser
        .run(
            "const evidence = document.getElementById('link1-evidence'); \
             evidence.open = true; evidence.querySelector('summary').focus(); \
             const json = evidence.querySelector('pre'); \
             document.styleSheets[0].insertRule('.json { max-height: 20px !important }'); \
             json.scrollTop = 7",
        )
        .await;
    hold_ceremony(&guild, first, 9).await;
    browser.until("document.getElementById('link5') !== null", common::SOON).await;
    let state = "const evidence = document.getElementById('link1-evidence'); \
                 return [[...document.querySelectorAll('#chain details[open]')].map((it) => it.id), \
                 document.activeElement === evidence.querySelector('summary'), \
                 evidence.querySelector('pre').scrollTop].join(' ')";
    assert_eq!(browser.run(state).await, "link1-evidence true 7");
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_selects_or_presses_is_exchanged_afterwards() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/artifacts/{id}")).await;
    browser.until(IS_UP_TO_DATE, common::SOON).await;
    let press = "document.getElementById('link1').dispatchEvent(\
                 new PointerEvent('pointerdown', { bubbles: true, buttons: 1 }))";
    let release = "document.dispatchEvent(new PointerEvent('pointerup'))";
    let select = "getSelection().selectAllChildren(document.querySelector('#link1 .reason'))";
    let deselect = "getSelection().removeAllRanges()";
    for (links, begin, end) in [(3, select, deselect), (5, press, release)] {
        browser.run(&format!("{begin}; document.getElementById('link1').isTheSame = true")).await;
        hold_ceremony(&guild, id, links).await;
        let position = guild.chronicle.head().await.unwrap().position;
        let has_come =
            format!("document.getElementById('pulse').dataset.position === '{position}'");
        browser.until(&has_come, common::SOON).await;
        let state = "return [document.getElementById('link1').isTheSame, \
                     document.getElementById('live').innerText].join()";
        assert_eq!(browser.run(state).await, "true,paused");
        browser.run(end).await;
        let link = format!("document.getElementById('link{links}') && {IS_UP_TO_DATE}");
        browser.until(&link, common::SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_that_it_is_up_to_date_only_while_it_is() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/ceremonies")).await;
    browser.until(IS_UP_TO_DATE, common::SOON).await;
    let says = |word: &str| format!("document.getElementById('live').innerText === '{word}'");
    // What is no page of the console is no news; it is asked again until there is some.
    for (second, answer, word) in [
        (2, "Promise.reject(new TypeError())", "not reached"),
        (3, "Promise.resolve(new Response('sign in'))", "not reached"),
        (4, "Promise.resolve(new Response('', { status: 503 }))", "error 503"),
    ] {
        browser.run(&format!("window.theirs ??= fetch; window.fetch = () => {answer}")).await;
        let position = observe(&guild, id, true, second).await;
        browser.until(&says(word), common::SOON).await;
        browser.run("window.fetch = theirs").await;
        browser.until(IS_UP_TO_DATE, common::SOON).await;
        let shown = browser.run("return document.getElementById('pulse').dataset.position").await;
        assert_eq!(shown, position.to_string());
    }
    // A stream that says nothing for longer than it may is opened anew.
    browser
        .run(
            "const now = performance.now.bind(performance); performance.now = () => now() + 60000; \
             window.EventSource = class extends EventSource { \
                 constructor(url) { super(url); window.hasListened = true; } \
             }",
        )
        .await;
    browser.until(&format!("window.hasListened && {IS_UP_TO_DATE}"), common::SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_failed_comes_back_by_itself() {
    let guild = Guild::empty().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    let accord = AccordBound::new("accord", "board", Json::parse("{}").unwrap(), at(0));
    let content = Json::parse("{}").unwrap();
    let schema = "https://example.com/zone.json";
    let artifact = ArtifactRegistered::new(
        accord.accord_id,
        "dns_zone",
        "late.example",
        Tier::ALL[0],
        content,
        schema,
    );
    browser.open(&format!("{url}/artifacts/{}", artifact.artifact_id)).await;
    assert_eq!(browser.text("h1").await, "Not Found");
    guild.record(accord).await;
    guild.record(artifact).await;
    browser.until_there("#about").await;
    assert_eq!(browser.text("h1").await, "late.example");
    browser.until(IS_UP_TO_DATE, common::SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gets_worse_is_told_in_the_title_and_aloud() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/")).await;
    browser.until(IS_UP_TO_DATE, common::SOON).await;
    for (second, is_healthy, state) in [
        (2, false, "(1) Dashboard · Guildhall|Needs attention: 1"),
        (3, true, "Dashboard · Guildhall|"),
    ] {
        observe(&guild, id, is_healthy, second).await;
        let now = "[document.title, document.getElementById('worse').textContent].join('|')";
        browser.until(&format!("{now} === '{state}'"), common::SOON).await;
    }
}

/// A page that nobody sees goes on by asking now and then; here a hundred times as often.
const UNSEEN: &str = "
    Object.defineProperty(Document.prototype, 'hidden', { get: () => !window.isShown });
    const interval = window.setInterval;
    window.setInterval = (call, ms) => interval(call, ms / 100);
    window.EventSource = class { constructor() { window.hasListened = true; throw new Error('unseen'); } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_nobody_sees_keeps_its_title_up_to_date() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.before_every_page(UNSEEN).await;
    browser.open(&format!("{url}/")).await;
    assert_eq!(browser.run("return document.title").await, "Dashboard · Guildhall");
    observe(&guild, id, false, 2).await;
    browser.until("document.title === '(1) Dashboard · Guildhall'", common::SOON).await;
    observe(&guild, id, true, 3).await;
    browser.until("document.title === 'Dashboard · Guildhall'", common::SOON).await;
    // It takes none of the few connections that a browser has to a host.
    assert_eq!(browser.run("return window.hasListened ?? false").await, false);
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_every_page_shows_its_rows_and_every_filter_works() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.without_scripts().await;
    for (page, row) in [
        ("/", "#attention li"),
        ("/ceremonies", "#open tbody tr"),
        ("/artifacts", "#artifacts tbody tr"),
        ("/artifacts/", "#chain li"),
        ("/quarantine", "#quarantined tbody tr"),
    ] {
        browser.open(&format!("{url}{}", path(&guild, page).await)).await;
        assert!(browser.count(row).await > 0, "{page}");
        assert!(browser.text("footer").await.contains("Reload to see changes"), "{page}");
    }
    let accord = guild.ops_db.accords(&AccordQuery::default()).await.unwrap().rows.remove(0).id;
    let wanted: [(&str, String, ArtifactQuery); 5] = [
        ("tier", "1".to_owned(), ArtifactQuery::default().tiers([Tier::ALL[1]])),
        (
            "artifact_type",
            "dns_zone".to_owned(),
            ArtifactQuery::default().artifact_types(["dns_zone".to_owned()]),
        ),
        (
            "custody_state",
            "retired".to_owned(),
            ArtifactQuery::default().custody_states([CustodyState::Retired]),
        ),
        ("drift", "unknown".to_owned(), ArtifactQuery::default().drifts([Drift::Unknown])),
        ("accord", accord.to_string(), ArtifactQuery::default().accords([accord])),
    ];
    for (name, value, query) in wanted {
        browser.open(&format!("{url}/artifacts")).await;
        let choice = format!("input[name={name}][value='{value}']");
        browser.click(&format!("details:has({choice}) > summary")).await;
        browser.click(&choice).await;
        browser.click(".filters button").await;
        browser.until_at(&format!("{name}={value}")).await;
        let rows = guild.ops_db.artifacts(&query).await.unwrap().rows;
        assert_eq!(browser.count("#artifacts tbody tr").await, rows.len(), "{name}");
        for row in rows {
            assert_eq!(browser.count(&format!("[id='a{}']", row.id)).await, 1, "{}", row.name);
        }
    }
    browser.open(&format!("{url}/artifacts")).await;
    browser.enter("[name=name_contains]", "berth").await;
    browser.click(".filters button").await;
    browser.until_at("name_contains=berth").await;
    assert_eq!(browser.count("#artifacts tbody tr").await, 2);
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
    let mut query = ArtifactQuery::default()
        .tiers([Tier::ALL[0], Tier::ALL[1]])
        .drifts([Drift::Drifted, Drift::Healthy])
        .limit(2);
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
        browser.until(IS_UP_TO_DATE, common::SOON).await;
        let foreign = "return document.querySelectorAll('main img, main script, main [onerror], \
                       main a[href^=javascript]').length + (window.isBroken ?? 0)";
        assert_eq!(browser.run(foreign).await, 0, "{path}");
        if path != "/quarantine" {
            assert!(browser.text("main").await.contains("<img src=x onerror="), "{path}");
        }
    }
    // The policy holds where escaping would not: nothing inline runs, and the browser says so.
    browser
        .run(
            "addEventListener('securitypolicyviolation', (it) => (window.refused = it.effectiveDirective)); \
             document.body.insertAdjacentHTML('beforeend', '<img src=/nope onerror=\"window.isBroken=1\">')",
        )
        .await;
    browser.until("window.refused === 'script-src-attr'", common::SOON).await;
    assert_eq!(browser.run("return window.isBroken ?? 0").await, 0);
}

/// Of the live parts: rows and details without an id, and all that shares its name with something.
const MISNAMED: &str = "
    const all = [...document.querySelectorAll('[id], [data-live] tr, [data-live] details')];
    const ids = all.filter((one) => one.id || !one.closest('thead')).map((one) => one.id);
    const focused = 'a, summary, [tabindex]';
    const live = [...document.querySelectorAll('[data-live]')].flatMap((part) => [...part.querySelectorAll(focused)]);
    const names = [...ids, ...live.map(address)];
    return names.filter((name, at) => !name || names.indexOf(name) !== at).join()";

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
            for (width, scheme) in
                [(1360, "light"), (1360, "dark"), (768, "light"), (390, "light"), (390, "dark")]
            {
                browser.look(width, 844, scheme).await;
                browser
                    .run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
                    .await;
                let found = browser
                    .run(&format!(
                        "{axe}; const {{ violations }} = await axe.run({{ rules: {{ 'target-size': {{ enabled: true }} }} }}); \
                         return violations.map((one) => one.id + ': ' + one.help + ' ' + \
                             one.nodes.map((node) => node.html + ' ' + node.failureSummary).slice(0, 3).join(' / ')).join('\\n')"
                    ))
                    .await;
                assert_eq!(found, "", "{name} {width} {scheme}:\n{}", found.as_str().unwrap());
                // A phone's viewport grows with what is too wide for it.
                let sideways = "return document.documentElement.scrollWidth";
                let found = browser.run(sideways).await;
                assert_eq!(found, width, "{name} scrolls sideways");
                // Rows that are drawn as blocks are rows of a table for who listens.
                for (role, selector) in [
                    ("table", "table"),
                    ("row", "tr"),
                    ("columnheader", "thead th"),
                    ("rowheader", "tbody th"),
                    ("cell", "td"),
                ] {
                    let (told, drawn) =
                        (browser.count_role(role).await, browser.count(selector).await);
                    assert_eq!(told, drawn, "{name} {width}: {role}");
                }
                let found = browser.run(MISNAMED).await;
                assert_eq!(found, "", "{name}: what is open or focused could not be found again");
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
        for (device, width, height) in [("desktop", 1280, 800), ("phone", 390, 844)] {
            for scheme in ["light", "dark"] {
                browser.look(width, height, scheme).await;
                browser.open(&format!("{url}{path}")).await;
                browser.until(IS_UP_TO_DATE, common::SOON).await;
                let image = browser.screenshot().await;
                assert!(image.len() > 10_000, "{name} on a {device} is nearly empty");
                std::fs::write(folder.join(format!("{name}-{device}-{scheme}.png")), image)
                    .unwrap();
            }
        }
    }
}
