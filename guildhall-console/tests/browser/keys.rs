//! Search and keys in a real browser, and an artifact on paper.

use guildhall_core::{ArtifactQuery, CustodyState};

use super::chromium::Browser;
use super::common::{Guild, SOON};
use super::{path, url};

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_used_by_keyboard() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/")).await;
    browser.press("/").await;
    browser.until("document.activeElement.id === 'search'", SOON).await;
    browser.enter("#search", "quay").await;
    browser.press("\u{e007}").await;
    browser.until_at("/search?q=quay").await;
    browser.until_there("#found-artifacts-panel").await;
    browser.press("j").await;
    browser.until("document.activeElement.innerText === 'quay-core'", SOON).await;
    browser.press("\u{e007}").await;
    browser.until_at("/artifacts/").await;
    // Keys do nothing of that while somebody types.
    browser.enter("#search", "?/j").await;
    browser.until("document.getElementById('search').value === '?/j'", SOON).await;
    assert_eq!(browser.count("dialog[open]").await, 0);
    browser.press("\u{e00c}").await;
    browser.press("?").await;
    browser.until_there("dialog[open]").await;
    browser.press("\u{e00c}").await;
    browser.until("!document.querySelector('dialog[open]')", SOON).await;
    browser.press("g").await;
    browser.press("v").await;
    browser.until_at("/verifications").await;
    browser.open(&format!("{url}/artifacts?limit=4")).await;
    browser.press("n").await;
    browser.until_there("[rel=prev]").await;
    browser.press("p").await;
    browser.until("!document.querySelector('main [rel=prev]')", SOON).await;
    for expected in [0, 1, 0] {
        browser.press(if expected == 1 { "j" } else { "k" }).await;
        let focused = format!(
            "document.activeElement === document.querySelectorAll('#artifacts tbody th a')[{expected}]"
        );
        browser.until(&focused, SOON).await;
    }
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_is_read_and_narrowed_by_keyboard() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    let path = path(&guild, "/artifacts/").await;
    browser.open(&format!("{url}{path}?limit=3")).await;
    browser.press("n").await;
    browser.until_there("#timeline [rel=prev]").await;
    browser.press("p").await;
    browser.until("!document.querySelector('#timeline [rel=prev]')", SOON).await;
    for expected in [0, 1, 0] {
        browser.press(if expected == 1 { "j" } else { "k" }).await;
        let focused = format!(
            "document.querySelectorAll('.timeline li')[{expected}].contains(document.activeElement)"
        );
        browser.until(&focused, SOON).await;
    }
    browser.run("document.querySelector('#kinds a[href$=\"kind=ceremony\"]').focus()").await;
    browser.press("\u{e007}").await;
    browser.until_at("limit=3&kind=ceremony").await;
    browser.until_there("#kinds [aria-current=true]").await;
    let kinds = "return [...document.querySelectorAll('.timeline .badge:first-child')]\
        .every((badge) => badge.innerText.endsWith('ceremony'))";
    assert_eq!(browser.run(kinds).await, true);
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_can_search_and_read_what_keys_do() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    for (page, has_keys) in
        [("/search?q=q", false), ("/search?q=zzz", false), ("/search?q=n", true)]
    {
        browser.open(&format!("{url}{page}")).await;
        for (width, scheme) in [(1360, "light"), (1360, "dark"), (390, "light"), (390, "dark")] {
            browser.look(width, 844, scheme).await;
            if has_keys {
                browser.run("const keys = document.getElementById('keys'); keys.open || keys.showModal()").await;
            }
            browser.is_usable(width, &format!("{page} {width} {scheme}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_on_paper_is_whole_and_says_of_which_moment_it_is() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    let deployed = ArtifactQuery::default().custody_states([CustodyState::Deployed]);
    let row = guild.ops_db.artifacts(&deployed).await.unwrap().rows.remove(0);
    browser.open(&format!("{url}/artifacts/{}?links=all", row.id)).await;
    browser.on_paper().await;
    browser.run("dispatchEvent(new Event('beforeprint'))").await;
    let shown = browser.text("main").await;
    for fact in [row.cid.to_string(), row.id.to_string(), "at position 150 of 150".to_owned()] {
        assert!(shown.contains(&fact), "{fact}: {shown}");
    }
    for link in guild.ops_db.chain(row.id, None, 500).await.unwrap().rows {
        for fact in [link.hash.to_string(), link.actor, link.reason] {
            assert!(shown.contains(&fact), "{fact}: {shown}");
        }
    }
    assert!(!shown.contains(" ago"), "times are exact: {shown}");
    let hidden = "return ['.bar', 'footer', '.copy'].every((one) => \
         getComputedStyle(document.querySelector(one)).display === 'none')";
    assert_eq!(browser.run(hidden).await, true);
    browser.run("dispatchEvent(new Event('afterprint'))").await;
    assert_eq!(browser.count("main details[open]").await, 0);
}
