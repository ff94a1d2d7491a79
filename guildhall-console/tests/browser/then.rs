//! A page as of a moment in a real browser: nothing moves, everyone sees that it is not now, and keys lead to it.

use std::path::PathBuf;
use std::time::Duration;

use guildhall_core::{ArtifactQuery, CustodyState};

use crate::chromium::Browser;
use crate::common::{Guild, SOON};
use crate::{PAGES, path, url};

/// Counts what a page asks for by itself.
const COUNTED: &str = "{
    window.asked = 0;
    window.EventSource = class { constructor() { window.asked += 1; } close() {} addEventListener() {} };
    const [fetched, every] = [window.fetch, window.setInterval];
    window.fetch = (...all) => { window.asked += 1; return fetched(...all); };
    window.setInterval = (what, after, ...rest) => every(what, Math.min(after, 10), ...rest);
}";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_as_of_a_moment_asks_for_nothing_by_itself() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.before_every_page(COUNTED).await;
    // A page of now does, or the count would prove nothing.
    browser.open(&format!("{url}/artifacts")).await;
    browser.until("window.asked > 2", SOON).await;
    browser.open(&format!("{url}/artifacts?as_of=101")).await;
    guild.draft("zone-of-the-day.example", "board").await;
    let counted = "const end = Date.now() + 500; \
         while (Date.now() < end) await new Promise((next) => setTimeout(next, 10)); \
         return window.asked";
    assert_eq!(browser.run(counted).await, 0);
    assert!(!browser.text("#artifacts").await.contains("zone-of-the-day"));
    assert!(browser.run("return document.getElementById('live').hidden").await == true);
    // A filter that is chosen is asked for, at the same moment.
    browser.click("details:has([name=tier]) > summary").await;
    browser.click("[name=tier][value='0']").await;
    browser.until("location.search === '?tier=0&as_of=101'", SOON).await;
    browser.until("document.querySelectorAll('#chips a.chip').length === 1", SOON).await;
    assert_eq!(browser.run("return window.asked").await, 1);
    // Other moments are of the same filter, though the form came before it.
    browser.until("document.querySelector('#then a.now').search === '?tier=0'", SOON).await;
    browser.enter("#as-of", "\u{e003}2\u{e007}").await;
    browser.until_at("/artifacts?tier=0&as_of=102").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_lead_to_a_moment_and_to_posture_at_it() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/artifacts?tier=0")).await;
    browser.press("m").await;
    browser.until("document.activeElement.id === 'as-of'", SOON).await;
    browser.press("\u{e00c}").await;
    browser.until("!document.querySelector('.asof[open]')", SOON).await;
    browser.press("m").await;
    browser.enter("#as-of", "101").await;
    browser.press("\u{e007}").await;
    browser.until_at("/artifacts?tier=0&as_of=101").await;
    browser.until_there("#then [role=status]").await;
    assert!(browser.text("#then").await.contains("As of position 101 ("));
    browser.press("g").await;
    browser.press("s").await;
    browser.until_at("/posture?as_of=101").await;
    browser.press("m").await;
    browser.until("document.activeElement.id === 'as-of'", SOON).await;
    browser.click("#then a.now").await;
    browser.until_there(".asof").await;
    assert_eq!(browser.count("#then").await, 0);
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_can_use_every_page_as_of_a_moment() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("console");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, page) in PAGES {
        let path = path(&guild, page).await;
        let joint = if path.contains('?') { '&' } else { '?' };
        browser.open(&format!("{url}{path}{joint}as_of=101")).await;
        for (width, scheme) in [(1360, "light"), (1360, "dark"), (390, "light"), (390, "dark")] {
            browser.look(width, 844, scheme).await;
            browser.is_usable(width, &format!("{name} as of 101, {width} {scheme}")).await;
            let image = browser.screenshot().await;
            std::fs::write(folder.join(format!("{name}-as-of-{width}-{scheme}.png")), image)
                .unwrap();
        }
    }
    // The moment on the axis of times, and the way to one, opened.
    browser.open(&format!("{url}/accords?as_of=2026-11-03T12:00:00Z")).await;
    browser.is_usable(390, "accords at a time").await;
    for (width, scheme) in [(1360, "light"), (390, "dark")] {
        browser.look(width, 844, scheme).await;
        browser.open(&format!("{url}/accords")).await;
        browser.press("m").await;
        browser.until("document.activeElement.id === 'as-of'", SOON).await;
        browser.is_usable(width, &format!("accords {width} {scheme}, asking for a moment")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paper_says_of_which_moment_it_is() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    let deployed = ArtifactQuery::default().custody_states([CustodyState::Deployed]);
    let row = guild.ops_db.artifacts(&deployed).await.unwrap().rows.remove(0);
    browser.open(&format!("{url}/artifacts/{}?as_of=149", row.id)).await;
    browser.on_paper().await;
    let shown = browser.text("body").await;
    assert!(shown.contains("As of position 149 (") && shown.contains("not now"), "{shown}");
    assert!(!shown.contains("Back to now") && !shown.contains("of 150"), "{shown}");
    let within = Duration::from_secs(5);
    browser
        .until("getComputedStyle(document.querySelector('#then form')).display === 'none'", within)
        .await;
}
