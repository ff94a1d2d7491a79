//! Pages as of a moment: they show what was, lead on to the same moment, and say that they are not about now.

use std::collections::BTreeMap;

use guildhall_core::{Overdue, ReadLimit};

use super::*;

/// Where the story has artifacts of every kind, ceremonies that are open, drifts and entries in quarantine.
const MOMENTS: [u32; 3] = [66, 101, 149];

/// What stands between two texts, each time that they occur.
fn between<'p>(page: &'p str, from: &str, to: &str) -> Vec<&'p str> {
    page.split(from).skip(1).map(|rest| rest.split(to).next().unwrap()).collect()
}

/// The page without what stands between two texts.
fn without(page: &str, from: &str, to: &str) -> String {
    let mut pieces = page.split(from);
    let mut kept = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        kept.push_str(piece.split_once(to).map_or("", |(_, rest)| rest));
    }
    kept
}

/// The addresses that a page's links lead to, as a browser reads them.
fn links(page: &str) -> Vec<String> {
    let tags = page.split("<a ").skip(1).map(|tag| tag.split('>').next().unwrap());
    tags.map(|tag| between(tag, "href=\"", "\"")[0].replace("&amp;", "&")).collect()
}

fn banner(page: &str) -> &str {
    between(page, "<section class=\"then\"", "</section>").first().copied().unwrap_or_default()
}

/// Whether an address leads out of the moment: the way to another, what machines read, and what names its moments itself.
fn leads_out(link: &str) -> bool {
    let machines = ["/api/v1/openapi.json", "/metrics", "/readyz", "/api/v1/changes?"];
    link.starts_with(['?', '#']) || machines.iter().any(|path| link.starts_with(path))
}

#[tokio::test]
async fn every_page_leads_on_to_the_same_moment() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    // Of a page's questions, one with each set of names is looked at.
    let kind = |link: &str| {
        let (path, query) = link.split_once('?').unwrap_or((link, ""));
        let query = query.split('#').next().unwrap();
        let mut names: Vec<_> = query.split('&').map(|it| it.split('=').next().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        format!("{path} {}", names.join(","))
    };
    let start = "/?as_of=101".to_owned();
    let mut seen = BTreeSet::from([kind(&start)]);
    let mut waiting = vec![start];
    let mut paths = BTreeMap::<String, usize>::new();
    while let Some(address) = waiting.pop() {
        let response = get(&router, &address).await;
        assert_eq!(response.status(), StatusCode::OK, "{address}");
        if address.starts_with("/api/") {
            continue;
        }
        let page = text(response).await;
        assert!(banner(&page).contains("As of position 101 ("), "{address}");
        assert!(!page.contains("data-events"), "{address} is not live");
        for link in links(&page).into_iter().filter(|link| !leads_out(link)) {
            assert_eq!(link.matches("as_of=101").count(), 1, "{address} leads to {link}");
            assert!(link.starts_with('/'), "{address} leads to {link}");
            if seen.insert(kind(&link)) {
                waiting.push(link);
            }
        }
        for form in between(&page, "<form ", "</form>") {
            let is_of_keys = form.starts_with("method=\"dialog\"");
            let kept = form.matches("name=\"as_of\"").count();
            assert_eq!(kept, usize::from(!is_of_keys), "{address}: {form}");
        }
        *paths.entry(address.split(['?', '/']).nth(1).unwrap().to_owned()).or_default() += 1;
    }
    for place in [
        "",
        "changes",
        "ceremonies",
        "artifacts",
        "deployments",
        "verifications",
        "posture",
        "accords",
        "quarantine",
        "log",
    ] {
        assert!(paths.contains_key(place), "{place:?} was not reached: {paths:?}");
    }
    assert_eq!(
        paths["log"], 101,
        "there is no entry beyond the moment, and each before it is reached"
    );
}

/// What a page shows, but for what is said of the moment, ages, and what no history is kept of.
fn shown(page: &str, moment: u32) -> String {
    let mut page = between(page, "<main", "</main>")[0].to_owned();
    for (from, to) in [
        ("<div class=\"printed\"", "</div>"),
        ("<span class=\"rel\">", "</span>"),
        ("<span class=\"abs muted\"> · ", "</span>"),
        ("<details class=\"evidence\"", "</details>"),
        ("<td data-label=\"seen\">", "</td>"),
        ("<p class=\"files\">", "</p>"),
        ("<input type=\"hidden\" name=\"as_of\"", ">"),
        ("placeholder=\"", "\""),
    ] {
        page = without(&page, from, to);
    }
    for kept in ["?as_of=", "&amp;as_of="] {
        page = page.replace(&format!("{kept}{moment}"), "");
    }
    page.replace("?\"", "\"").replace(">Until then<", ">Until today<")
}

#[tokio::test]
async fn a_page_as_of_a_position_is_that_of_the_log_cut_there() {
    let whole = Guild::with_story().await;
    let router = whole.console().router();
    for moment in MOMENTS {
        let cut = Guild::with_beginning(usize::try_from(moment).unwrap()).await;
        let of_cut = cut.console().router();
        let artifacts = cut.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows;
        let of_artifacts = artifacts.iter().map(|row| format!("/artifacts/{}", row.id));
        let closed = cut.ops_db.closed_ceremonies(None, 100).await.unwrap().rows;
        let of_ceremonies = closed.iter().filter_map(|row| row.ceremony_id);
        let of_ceremonies = of_ceremonies.map(|id| format!("/ceremonies/{id}"));
        let accords = cut.ops_db.accords(&AccordQuery::default()).await.unwrap().rows;
        let of_accords = accords.iter().map(|row| format!("/accords/{}", row.id));
        let refused = cut.ops_db.quarantined(None, 100).await.unwrap().rows;
        let of_refused = refused.iter().map(|row| format!("/quarantine/{}", row.position));
        let lists = [
            "/artifacts",
            "/artifacts?tier=0&sort=drift",
            "/artifacts?name_contains=a&limit=2",
            "/ceremonies",
            "/changes?from=0",
            "/deployments?health=healthy",
            "/deployments",
            "/verifications",
            "/verifications?standing=true",
            "/accords",
            "/quarantine",
            "/search?q=quay",
            "/search?q=1",
            "/log/1",
            "/posture?by=tier&days=60&until=2026-11-20T00:00:00Z",
        ];
        let lists = lists.into_iter().map(str::to_owned).chain([format!("/log/{moment}")]);
        let all =
            lists.chain(of_artifacts).chain(of_ceremonies).chain(of_accords).chain(of_refused);
        for path in all {
            let joint = if path.contains('?') { '&' } else { '?' };
            let then = text(get(&router, &format!("{path}{joint}as_of={moment}")).await).await;
            let now = text(get(&of_cut, &path).await).await;
            let clocks = |page: &str| {
                // How long a drift lasts that has not ended, and what is due, are of the moment.
                let page = without(page, "<td data-label=\"for\">", "</td>");
                let page = without(&page, "<section class=\"panel\" id=\"due\"", "</section>");
                // What is sealed is known of now.
                without(&page, "<section class=\"panel\" id=\"sealed\"", "</section>")
            };
            let [then, now] = [then, now].map(|page| clocks(&shown(&page, moment)));
            assert_eq!(then, now, "{path} as of {moment}");
        }
        // The dashboard leaves out where the projector stands.
        let [then, now] = [(&router, "/?as_of="), (&of_cut, "/?as_of=")];
        let [then, now] = [
            text(get(then.0, &format!("{}{moment}", then.1)).await).await,
            text(get(now.0, &format!("{}{moment}", now.1)).await).await,
        ];
        assert_eq!(shown(&then, moment), shown(&now, moment), "the dashboard as of {moment}");
        let of_now = text(get(&of_cut, "/").await).await;
        let facts = |page: &str| -> Vec<(String, String)> {
            let facts = page.split("data-fact=\"").skip(1).map(|fact| {
                let (name, rest) = fact.split_once("\">").unwrap();
                (name.to_owned(), rest.split("</").next().unwrap().to_owned())
            });
            let of_tables = facts.filter(|(name, _)| !["position", "lag"].contains(&name.as_str()));
            of_tables.filter(|(name, _)| name != "oldest").collect()
        };
        assert_eq!(facts(&then), facts(&of_now), "as of {moment}");
        assert!(facts(&then).len() > 8);
    }
}

#[tokio::test]
async fn a_page_that_is_not_about_now_says_so_and_leads_to_other_moments() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let page = text(get(&router, "/artifacts?tier=1&limit=2&as_of=101").await).await;
    let bar = banner(&page);
    let at = guild.chronicle.time_at(Position::new(101)).await.unwrap().unwrap();
    let at = at.to_string().replace('T', " ");
    assert!(bar.contains("role=\"status\"") && bar.contains("not now"), "{bar}");
    assert!(bar.contains(&format!("As of position 101 ({}", &at[..19])), "{bar}");
    let others = ["?tier=1&limit=2&as_of=100", "?tier=1&limit=2&as_of=102", "?tier=1&limit=2"];
    assert_eq!(links(bar), others, "{bar}");
    assert!(page.contains("<title>As of 101: Artifacts"), "{page}");
    assert!(page.contains("as it was") && !page.contains("projector"), "nothing is said of now");
    // Pages of a list begin anew at another moment.
    let next = links(&page).into_iter().find(|link| link.contains("after=")).unwrap();
    let second = text(get(&router, &next).await).await;
    assert_eq!(links(banner(&second)), others);
    // A time is a moment of the other axis.
    let page = text(get(&router, "/quarantine?as_of=2026-11-03T13:00:00%2B01:00").await).await;
    let bar = banner(&page);
    assert!(bar.contains("As of 2026-11-03 12:00:00 UTC (position "), "{bar}");
    assert!(bar.contains("those that are known now are shown"), "{bar}");
    let day = links(bar)[0].replace("%3A", ":");
    assert_eq!(day, "?as_of=2026-11-02T12:00:00.000000Z");
    // The ends of the log.
    let first = text(get(&router, "/?as_of=0").await).await;
    assert_eq!(links(banner(&first)), ["?as_of=1", "?"]);
    let last = text(get(&router, "/?as_of=150").await).await;
    assert_eq!(links(banner(&last)), ["?as_of=149", "?"]);
    let now = text(get(&router, "/artifacts?as_of=").await).await;
    assert!(banner(&now).is_empty() && now.contains("data-events"), "an empty field is now");
}

#[tokio::test]
async fn a_moment_that_is_none_is_a_page_that_says_what_is_one() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    for (asked, status, said) in [
        ("/artifacts?as_of=yesterday", 400, "neither a position nor an RFC 3339 time"),
        ("/artifacts?as_of=yesterday", 400, "It takes a position, such as 1042, or a time"),
        ("/?as_of=1&as_of=2", 400, "it is given more than once"),
        ("/changes?as_of=151", 404, "the Ops DB stands at position 150, before 151"),
        ("/log/60?as_of=59", 404, "there is no such position of the log"),
    ] {
        let response = get(&router, asked).await;
        assert_eq!(response.status().as_u16(), status, "{asked}");
        let page = text(response).await.replace("&quot;", "\"");
        assert!(page.contains("<main") && page.contains(said), "{asked}: {page}");
        let is_a_moment = asked.starts_with("/log");
        assert_eq!(!banner(&page).is_empty(), is_a_moment, "{asked}: {page}");
    }
}

#[tokio::test]
async fn ages_and_what_is_overdue_are_of_the_moment() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let mut overdue = 0;
    for moment in MOMENTS {
        let position = Position::new(moment);
        let then = guild.ops_db.as_of(AsOf::Position(position)).await.unwrap();
        let read = guild.chronicle.read(position.previous(), ReadLimit::entries(1)).await.unwrap();
        let at = read[0].recorded_at;
        let expected = Overdue::load(&*then, at, 100).await.unwrap();
        let found = json(&router, &format!("/api/v1/overdue?as_of={moment}")).await;
        assert_eq!(found, value_of(&expected), "as of {moment}");
        overdue += expected.count();
        for row in then.artifacts(&ArtifactQuery::default()).await.unwrap().rows {
            let detail = then.artifact(row.id).await.unwrap().unwrap();
            let clocks = detail.clocks(&*then, at).await.unwrap();
            let path = format!("/api/v1/artifacts/{}/due?as_of={moment}", row.id);
            assert_eq!(json(&router, &path).await["clocks"], value_of(&clocks), "{path}");
        }
        let page = text(get(&router, &format!("/log/{moment}?as_of={moment}")).await).await;
        assert!(page.contains("<span class=\"rel\">just now</span>"), "{page}");
        let period = json(&router, &format!("/api/v1/posture?days=2&as_of={moment}")).await;
        let days: Vec<_> =
            period["rows"].as_array().unwrap().iter().map(|row| row["day"].clone()).collect();
        assert_eq!(days.last().unwrap().as_str().unwrap()[..10], at.to_string()[..10]);
    }
    assert!(overdue > 0, "nothing was overdue at any of these moments");
    let now = json(&router, "/api/v1/overdue").await;
    let last = json(&router, "/api/v1/overdue?as_of=150").await;
    assert_ne!(now, last, "the story ended before now");
}

#[tokio::test]
async fn who_looks_at_what_was_has_not_seen_what_is() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let cookie = async |path: &str| {
        let response = get(&router, path).await;
        response.headers().contains_key(header::SET_COOKIE)
    };
    assert!(cookie("/changes").await);
    assert!(!cookie("/changes?as_of=101").await);
    let page = text(get(&router, "/changes?from=90&to=120&as_of=101").await).await;
    assert!(page.contains("/log/101?as_of=101"), "it ends at the moment");
    assert!(!page.contains("Atom</a>"), "a feed is of now");
}
