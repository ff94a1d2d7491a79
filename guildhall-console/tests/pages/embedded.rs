//! The console as a part of another application.

use super::*;

/// What a page links to, but for parts of it and other questions to it.
fn links(page: &str) -> BTreeSet<String> {
    let starts = page.match_indices("href=\"").chain(page.match_indices("src=\""));
    let links = starts.map(|(at, _)| page[at..].split('"').nth(1).unwrap().replace("&amp;", "&"));
    links.filter(|link| !link.starts_with(['#', '?'])).collect()
}

#[tokio::test]
async fn under_a_path_of_an_embedder_every_link_stays_there_and_leads_somewhere() {
    let guild = Guild::with_story().await;
    let router = guild.console().at("/guildhall/").router();
    let mut seen = BTreeSet::from(["/guildhall".to_owned(), "/guildhall/".to_owned()]);
    let mut open: Vec<String> = seen.iter().cloned().collect();
    open.push("/guildhall/artifacts?limit=2".to_owned());
    while let Some(path) = open.pop() {
        assert!(path.starts_with("/guildhall"), "{path}");
        let response = get(&router, &path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        if response.headers()[header::CONTENT_TYPE] != "text/html; charset=utf-8" {
            continue;
        }
        let further = links(&text(response).await).into_iter();
        // Filters and orders can be combined without end: one step into them is enough.
        let is_combined = |link: &String| link.contains('?') && path.contains('?');
        open.extend(further.filter(|link| !is_combined(link) && seen.insert(link.clone())));
    }
    assert!(seen.len() > 30, "{seen:?}");
    for path in ["/guildhall/nowhere", "/guildhall/api/v1/nowhere"] {
        let body = text(get(&router, path).await).await;
        assert_eq!(body.starts_with('{'), path.contains("api"), "{path}: {body}");
    }
}

#[tokio::test]
async fn an_embedder_keeps_its_own_routes_and_its_fallback() {
    let guild = Guild::empty().await;
    let with_fallback = || Router::new().fallback(async || (StatusCode::IM_A_TEAPOT, "theirs"));
    let console = || guild.console().router();
    let under = || guild.console().at("/guildhall").router();
    let plain = Router::new().route("/own", axum::routing::get(async || "theirs"));
    for (app, path, status) in [
        (with_fallback().merge(console()), "/artifacts", StatusCode::MISDIRECTED_REQUEST),
        (with_fallback().merge(console()), "/nowhere", StatusCode::IM_A_TEAPOT),
        (console().merge(with_fallback()), "/nowhere", StatusCode::IM_A_TEAPOT),
        (with_fallback().merge(under()), "/guildhall/nowhere", StatusCode::MISDIRECTED_REQUEST),
        (with_fallback().merge(under()), "/nowhere", StatusCode::IM_A_TEAPOT),
        (plain.clone().merge(under()), "/own", StatusCode::OK),
        (plain.merge(under()), "/nowhere", StatusCode::NOT_FOUND),
    ] {
        // A host that the console does not know: it refuses what is its own, and nothing else.
        let response = ask(&app, path, &[("host", "shop.example")]).await;
        assert_eq!(response.status(), status, "{path}");
    }
}

#[cfg(not(feature = "proof"))]
#[tokio::test]
async fn a_console_that_is_built_without_the_proof_says_so() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let page = text(get(&router, "/proof").await).await;
    assert!(page.contains("built without the feature"), "{page}");
    let id = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows[0].id;
    let evidence = format!("/artifacts/{id}/evidence.json");
    for path in ["/api/v1/seals", "/log/1/entry.tlog-proof", &evidence] {
        let response = get(&router, path).await;
        assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED, "{path}");
        assert!(text(response).await.contains("was set up without the feature `proof`"), "{path}");
    }
}
