//! Lists in a real browser: filters that apply by themselves, chips, pages, what is copied, and that everyone can
//! use them.

use guildhall_core::{ArtifactQuery, DeploymentQuery, Drift};

use super::chromium::Browser;
use super::common::{Guild, SOON};
use super::url;

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_applies_as_it_is_chosen_and_goes_with_its_chip() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.open(&format!("{url}/artifacts")).await;
    let rows = "document.querySelectorAll('#artifacts tbody tr').length";
    let all = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows.len();
    let drifted = ArtifactQuery::default().drifts([Drift::Drifted]);
    let drifted = guild.ops_db.artifacts(&drifted).await.unwrap().rows.len();
    assert!(drifted > 0 && drifted < all);
    let button = "return getComputedStyle(document.querySelector('.filters button')).display";
    assert_eq!(browser.run(button).await, "none", "nothing is to be pressed");
    browser.click("details:has([name=drift]) > summary").await;
    browser.click("[name=drift][value=drifted]").await;
    browser.until(&format!("{rows} === {drifted}"), SOON).await;
    browser.until("location.search === '?drift=drifted'", SOON).await;
    browser.until("document.querySelector('#total').innerText === '1'", SOON).await;
    assert!(browser.count("details[open] [name=drift]").await > 0, "the filter stays open");
    browser.press("\u{e00c}").await;
    browser.click("#chips a.chip").await;
    browser.until(&format!("{rows} === {all} && location.search === ''"), SOON).await;
    assert_eq!(browser.count("[name=drift]:checked").await, 0);
    // What is typed applies too, and the way back leads back.
    browser.enter("[name=name_contains]", "berth").await;
    browser.until(&format!("{rows} === 2"), SOON).await;
    browser.run("history.back()").await;
    browser.until_there("#chips[hidden]").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_short_is_copied_whole_at_a_click() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser
        .before_every_page(
            "navigator.clipboard.writeText = async (text) => { window.copied = text; };",
        )
        .await;
    browser.open(&format!("{url}/artifacts")).await;
    let row = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows.remove(0);
    browser.click(&format!("[id='a{}-cid-copy']", row.id)).await;
    browser.until(&format!("window.copied === '{}'", row.cid), SOON).await;
    browser.until("document.querySelector('#copied').innerText === 'Copied'", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_can_use_every_list() {
    let guild = Guild::with_story().await;
    let long = "a-name-".repeat(60);
    guild.draft(&long, "board").await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    for page in [
        "/artifacts?tier=0&tier=1&drift=drifted&limit=1",
        "/artifacts?name_contains=a-name",
        "/deployments?health=healthy&limit=2",
        "/verifications?outcome=passed&limit=3",
        "/accords?limit=1",
    ] {
        browser.open(&format!("{url}{page}")).await;
        for (width, scheme) in [(1360, "light"), (1360, "dark"), (390, "light"), (390, "dark")] {
            browser.look(width, 844, scheme).await;
            browser.is_usable(width, &format!("{page} {width} {scheme}")).await;
        }
    }
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("console");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, width) in [("lists-desktop", 1280), ("lists-phone", 390)] {
        browser.look(width, 844, "light").await;
        browser.open(&format!("{url}/deployments?health=healthy&health=drifted")).await;
        browser.until_there(".live.good").await;
        std::fs::write(folder.join(format!("{name}.png")), browser.screenshot().await).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_lists_are_filtered_by_a_button() {
    let guild = Guild::with_story().await;
    let (browser, url) = (Browser::start().await, url(&guild).await);
    browser.without_scripts().await;
    browser.open(&format!("{url}/deployments")).await;
    browser.click("details:has([name=health]) > summary").await;
    browser.click("[name=health][value=drifted]").await;
    browser.click(".filters button").await;
    browser.until_at("health=drifted").await;
    let query = DeploymentQuery::default().healths([guildhall_core::Health::Drifted]);
    let rows = guild.ops_db.deployments(&query).await.unwrap().rows;
    assert_eq!(browser.count("#deployments tbody tr").await, rows.len());
}
