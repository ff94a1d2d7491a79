//! The pages of one thing each in a real browser: everyone can use them, and a diff reads without colour.

use guildhall_core::AccordQuery;

use super::chromium::Browser;
use super::common::Guild;
use super::url;

#[tokio::test(flavor = "multi_thread")]
async fn everyone_can_use_the_page_of_one_thing() {
    let guild = Guild::with_story().await;
    let url = url(&guild).await;
    let browser = Browser::start().await;
    let mut pages = vec!["/log/1".to_owned(), "/log/150".to_owned()];
    for row in guild.ops_db.closed_ceremonies(None, 500).await.unwrap().rows {
        pages.push(format!("/ceremonies/{}", row.ceremony_id.unwrap()));
    }
    let open = guild.ops_db.open_ceremonies(None, 1).await.unwrap().rows.remove(0);
    pages.push(format!("/ceremonies/{}", open.ceremony_id.unwrap()));
    let accord = guild.ops_db.accords(&AccordQuery::default()).await.unwrap().rows.remove(0);
    pages.push(format!("/accords/{}", accord.id));
    let refused = guild.ops_db.quarantined(None, 1).await.unwrap().rows.remove(0);
    pages.push(format!("/quarantine/{}", refused.position));
    let mut diffs = 0;
    for page in pages {
        browser.open(&format!("{url}{page}")).await;
        for (width, scheme) in [(1360, "light"), (390, "dark")] {
            browser.look(width, 844, scheme).await;
            browser.is_usable(width, &format!("{page} {width} {scheme}")).await;
        }
        // Every line that changed has its sign, and its word for who listens.
        let unsigned = "return [...document.querySelectorAll('.diff > .added, .diff > .removed')] \
             .filter((line) => !/^[+-] (added|removed): /.test(line.textContent)).length";
        assert_eq!(browser.run(unsigned).await, 0, "{page}");
        diffs += browser.count(".diff > .added, .diff > .removed").await;
    }
    assert!(diffs > 0, "some ceremony of the story changes what was ratified");
    assert_eq!(browser.errors().await, Vec::<String>::new());
}
