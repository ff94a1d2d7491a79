//! Text from others is shown, and never run.

use guildhall_core::command::{Act, Command};
use guildhall_core::{CeremonyId, Cid, DeploymentObserved, Json};

use crate::chromium::Browser;
use crate::common::{self, Guild, at};
use crate::{IS_UP_TO_DATE, url};

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
