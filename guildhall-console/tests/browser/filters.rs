//! Filters and pages, with scripts and without.

use guildhall_core::{AccordQuery, ArtifactQuery, CustodyState, Drift, Tier};
use serde_json::Value;

use crate::chromium::Browser;
use crate::common::{self, Guild};
use crate::{path, url};

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
