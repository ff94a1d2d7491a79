//! Everyone can use every page, on any screen.

use std::path::PathBuf;

use crate::chromium::Browser;
use crate::common::{self, Guild};
use crate::{IS_UP_TO_DATE, PAGES, path, url};

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
    let (full, empty) = (Guild::with_story().await, Guild::empty().await);
    #[cfg(feature = "proof")]
    full.seal().await;
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
                browser.is_usable(width, &format!("{name} {width} {scheme}")).await;
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
    #[cfg(feature = "proof")]
    guild.seal().await;
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
