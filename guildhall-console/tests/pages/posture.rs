//! The posture page: what is drawn is what the table says, and that is what the queries return.

use std::collections::BTreeSet;

use guildhall_core::{PeriodQuery, PostureBy, PostureQuery};

use super::*;

/// The end of what was observed: the story lies in the past.
async fn end(guild: &Guild) -> guildhall_core::Timestamp {
    let seen = guild.ops_db.deployments(&guildhall_core::DeploymentQuery::default()).await.unwrap();
    seen.rows.iter().map(|row| row.observed_at).max().unwrap()
}

#[tokio::test]
async fn each_day_is_drawn_by_group_and_told_in_a_table() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let until = end(&guild).await;
    for by in PostureBy::ALL {
        let path = format!("/posture?by={by}&days=7&until={until}");
        let page = text(get(&router, &path).await).await;
        let expected =
            guild.ops_db.posture(&PostureQuery::last_days(7, until).by(*by)).await.unwrap();
        assert!(!expected.is_empty());
        let groups: BTreeSet<_> = expected.iter().map(|day| &day.group).collect();
        assert_eq!(page.matches("<polyline").count(), groups.len(), "{by}: {page}");
        assert_eq!(page.matches("role=\"img\"").count(), groups.len(), "{by}");
        for day in &expected {
            let date = &day.day.to_string()[..10];
            let row = page.split(&format!("<tr id=\"day-{date}\">")).nth(1).unwrap();
            let row = row.split("</tr>").next().unwrap();
            let figures = format!("{} of {}", day.healthy, day.targets());
            assert!(row.contains(&figures), "{by} {date}: {figures} is not in {row}");
        }
        // What is drawn needs no script, and what it leads to is there.
        let links: BTreeSet<_> = page
            .split(" href=\"")
            .skip(1)
            .map(|link| link.split('"').next().unwrap().replace("&amp;", "&"))
            .collect();
        for link in links.iter().filter(|link| link.starts_with('/') && !link.contains("assets")) {
            assert_eq!(get(&router, link).await.status(), StatusCode::OK, "{link}");
        }
    }
}

#[tokio::test]
async fn the_longest_drifts_of_the_period_and_their_recovery_are_listed() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let until = end(&guild).await;
    let page = text(get(&router, &format!("/posture?days=90&until={until}")).await).await;
    let days = PostureQuery::last_days(90, until).days();
    let last = *days.last().unwrap();
    let before = guildhall_core::Timestamp::from_micros(last.as_micros() + 86_400_000_000).unwrap();
    let period = PeriodQuery::between(days[0], before).limit(500);
    let drifts = guild.ops_db.drifts(&period).await.unwrap().rows;
    assert!(!drifts.is_empty());
    for drift in &drifts {
        assert!(page.contains(&format!("id=\"x{}\"", drift.position)), "{drift:?}");
        assert!(page.contains(&format!("/artifacts/{}", drift.artifact_id)), "{drift:?}");
    }
    let recovery = guild.ops_db.recovery(&period).await.unwrap();
    let told = page.split("id=\"recovery\"").nth(1).unwrap().split("</dl>").next().unwrap();
    assert!(told.contains(&format!("<dd>{}</dd>", recovery.drifts)), "{told}");
    assert!(told.contains(&format!("<dd>{}</dd>", recovery.recovered)), "{told}");
}

#[tokio::test]
async fn periods_are_bounded_and_what_is_no_division_is_refused() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let empty = text(get(&router, "/posture?days=400").await).await;
    assert!(empty.contains("No target was observed by then."), "{empty}");
    for query in ["days=0", "days=401", "days=x", "by=colour", "until=yesterday", "days=1&days=2"] {
        let refused = get(&router, &format!("/posture?{query}")).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{query}");
    }
}
