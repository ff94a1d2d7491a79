//! A page keeps itself up to date, and disturbs nobody who is reading or typing.

use std::time::Duration;

use guildhall_core::command::{Act, Command};
use guildhall_core::{
    AccordBound, ArtifactId, ArtifactRegistered, CeremonyId, Cid, CustodyState, DeploymentObserved,
    Json, Position, Tier,
};

use crate::chromium::Browser;
use crate::common::{self, Guild, at};
use crate::{IS_UP_TO_DATE, url};

/// How soon a page shows what was appended.
const AT_ONCE: Duration = Duration::from_secs(1);

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
             document.getElementById('chain-links').open = evidence.open = true; evidence.querySelector('summary').focus(); \
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
    assert_eq!(browser.run(state).await, "chain-links,link1-evidence true 7");
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_selects_or_presses_is_exchanged_afterwards() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/artifacts/{id}")).await;
    browser.until(IS_UP_TO_DATE, common::SOON).await;
    browser.run("document.getElementById('chain-links').open = true").await;
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
