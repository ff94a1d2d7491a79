//! What changed, in a real browser: a visit that goes on, moments that are chosen, and feeds that parse.

use super::chromium::Browser;
use super::common::{Guild, SOON};
use super::url;

#[tokio::test(flavor = "multi_thread")]
async fn moments_are_chosen_by_link_by_name_and_by_key() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/changes")).await;
    browser.until_there(".presets a[aria-current]").await;
    let visits = "[...document.querySelectorAll('.presets a')].filter((one) => /visit/.test(one.innerText)).length";
    browser.until(&format!("{visits} === 0"), SOON).await;
    browser.enter("[name=from]", "119").await;
    browser.enter("[name=to]", "2026-11-13T03:03:00Z").await;
    browser.click(".between button").await;
    browser.until_at("from=119&to=2026-11-13T03%3A03%3A00Z").await;
    browser
        .until("/up to 126$/.test(document.querySelector('#changes-title').innerText)", SOON)
        .await;
    // Somebody was here before, by now.
    browser.until(&format!("{visits} === 1"), SOON).await;
    guild.draft("a new one", "board").await;
    browser.run("document.querySelectorAll('.presets a')[1].click()").await;
    browser.until_at("/changes?from=150").await;
    browser.until("document.querySelectorAll('#changes tbody tr').length === 2", SOON).await;
    // What changes now is there as it is applied.
    guild.draft("a newer one", "board").await;
    browser.until("document.querySelectorAll('#changes tbody tr').length === 4", SOON).await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parser_of_xml_reads_the_feed() {
    let guild = Guild::with_story().await;
    guild.draft("</title>&<x a='\"'>\u{1}]]>\u{b}", "board").await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/changes")).await;
    let found = browser
        .run(
            "const address = document.querySelector('link[type=\"application/atom+xml\"]').href;
             const text = await (await fetch(address + '?limit=500')).text();
             const feed = new DOMParser().parseFromString(text, 'application/xml');
             if (feed.querySelector('parsererror')) return feed.querySelector('parsererror').innerText;
             const atom = 'http://www.w3.org/2005/Atom';
             const has = (one, name) => [...one.children].filter((it) => it.namespaceURI === atom && it.localName === name).length;
             const root = feed.documentElement;
             if (['id', 'title', 'updated', 'author'].some((name) => has(root, name) !== 1)) return 'the feed lacks something';
             const entries = [...root.children].filter((one) => one.localName === 'entry');
             const lacks = entries.find((one) => ['id', 'title', 'updated', 'link', 'content'].some((name) => has(one, name) !== 1));
             if (lacks) return lacks.outerHTML;
             return entries.at(1).querySelector('title').textContent;",
        )
        .await;
    assert_eq!(found, "</title>&<x a='\"'>\u{fffd}]]>\u{fffd}: registered");
}
