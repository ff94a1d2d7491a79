//! Lists: tiles lead to what they count, chips take filters away, pages lead back, files have every row.

use super::*;

/// Every address that a page links to, as a browser reads it.
fn links(page: &str) -> Vec<String> {
    let links = page.split(" href=\"").skip(1);
    links.map(|link| link.split('"').next().unwrap().replace("&amp;", "&")).collect()
}

fn rows(page: &str) -> usize {
    page.split("<tbody>").skip(1).map(|table| table.matches("<tr id=").count()).sum()
}

#[tokio::test]
async fn a_tile_leads_to_exactly_the_rows_that_it_counts() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let overview = guild.ops_db.overview().await.unwrap();
    let dashboard = text(get(&router, "/").await).await;
    let [tier0, ..] = overview.artifacts_by_tier;
    let of =
        overview.healthy_deployments + overview.drifted_deployments + overview.unknown_deployments;
    for (link, counted) in [
        ("/artifacts", overview.artifacts()),
        ("/artifacts?tier=0", tier0),
        ("/deployments", of),
        ("/deployments?health=healthy", overview.healthy_deployments),
        ("/deployments?health=drifted&sort=health_since", overview.drifted_deployments),
        ("/deployments?health=unknown&sort=health_since", overview.unknown_deployments),
        ("/quarantine", overview.quarantined),
    ] {
        assert!(links(&dashboard).iter().any(|it| it == link), "{link}");
        let list = text(get(&router, link).await).await;
        assert_eq!(rows(&list) as u64, counted, "{link}");
        let total = list.split("id=\"total\"").nth(1).unwrap();
        assert!(total.split('>').nth(1).unwrap().starts_with(&counted.to_string()), "{link}");
    }
}

#[tokio::test]
async fn a_chosen_filter_is_a_chip_that_takes_it_away() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let path = "/artifacts?tier=0&tier=1&drift=healthy&name_contains=a&sort=tier&after=";
    let page = text(get(&router, path).await).await;
    let chips = page.split("id=\"chips\"").nth(1).unwrap().split("</ul>").next().unwrap();
    for label in ["tier 0", "tier 1", "healthy", "name contains"] {
        assert!(chips.contains(label), "{label}: {chips}");
    }
    let expected = [
        "/artifacts?tier=0&tier=1&drift=healthy&sort=tier",
        "/artifacts?tier=1&drift=healthy&name_contains=a&sort=tier",
        "/artifacts?tier=0&drift=healthy&name_contains=a&sort=tier",
        "/artifacts?tier=0&tier=1&name_contains=a&sort=tier",
        "/artifacts",
    ];
    assert_eq!(links(&chips.replace("<ul ", "")), expected);
    // An artifact is a name there, and no id.
    let row = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows.remove(0);
    for list in ["deployments", "verifications"] {
        let page = text(get(&router, &format!("/{list}?artifact={}", row.id)).await).await;
        assert!(page.contains(&format!("artifact: {}", row.name)), "{list}");
    }
}

#[tokio::test]
async fn every_column_that_is_a_link_orders_its_list_both_ways() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    for (path, columns) in
        [("/artifacts", 7), ("/deployments", 3), ("/verifications", 1), ("/accords", 2)]
    {
        let page = text(get(&router, path).await).await;
        let head = page.split("<thead>").nth(1).unwrap().split("</thead>").next().unwrap();
        let by: Vec<_> = links(head);
        assert_eq!(by.len(), columns, "{path}");
        for link in by {
            let ordered = text(get(&router, &link).await).await;
            assert_eq!(rows(&ordered), rows(&page), "{link}");
            assert_eq!(ordered.matches("aria-sort=").count(), 1, "{link}");
            let head = ordered.split("aria-sort=").nth(1).unwrap();
            let turned = text(get(&router, &links(head)[0]).await).await;
            assert_eq!(rows(&turned), rows(&page), "{link}");
            let told = |page: &str| page.split("aria-sort=\"").nth(1).unwrap()[..4].to_owned();
            assert_ne!(told(&ordered), told(&turned), "{link}");
        }
    }
}

#[tokio::test]
async fn pages_lead_on_and_back() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let to = |page: &str, rel: &str| {
        let link = page
            .split(" href=\"")
            .find(|it| it.split('>').next().unwrap().contains(&format!("rel=\"{rel}\"")));
        link.map(|it| it.split('"').next().unwrap().replace("&amp;", "&"))
    };
    for path in [
        "/artifacts?limit=4&sort=drift",
        "/deployments?limit=3&sort=health_since&descending=true",
        "/verifications?limit=10",
        "/accords?limit=1",
    ] {
        let first = text(get(&router, path).await).await;
        assert_eq!(to(&first, "prev"), None, "{path}");
        let second = text(get(&router, &to(&first, "next").unwrap()).await).await;
        let back = text(get(&router, &to(&second, "prev").unwrap()).await).await;
        let body = |page: &str| page.split("<tbody>").nth(1).unwrap().to_owned();
        let ids = |page: &str| -> Vec<String> {
            let page = body(page);
            let rows = page.split("<tr id=\"").skip(1);
            rows.map(|row| row.split('"').next().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(&back), ids(&first), "{path}");
        assert_ne!(ids(&second), ids(&first), "{path}");
    }
}

#[tokio::test]
async fn a_file_has_every_row_with_the_filters_of_its_page() {
    let guild = Guild::with_story().await;
    guild.draft("=HYPERLINK(\"http://example.com\",\"zone\")", "board").await;
    let router = guild.console().router();
    for path in ["/artifacts?limit=2", "/deployments?limit=2", "/verifications", "/accords"] {
        let list = path.split('?').next().unwrap().to_owned();
        let page = text(get(&router, path).await).await;
        let files: Vec<_> =
            links(&page).into_iter().filter(|link| link.contains("/api/v1/")).collect();
        let csv = files.iter().find(|link| link.contains(".csv")).unwrap();
        let response = get(&router, csv).await;
        assert_eq!(response.status(), StatusCode::OK, "{csv}");
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with("text/csv"), "{kind}");
        let csv = text(response).await;
        let all = json(&router, &format!("/api/v1{list}?limit=500")).await;
        let all = all["rows"].as_array().unwrap();
        assert_eq!(csv.split("\r\n").filter(|line| !line.is_empty()).count(), all.len() + 1);
        for row in all {
            let id = row["id"].as_str().or(row["artifact_id"].as_str()).unwrap();
            assert!(csv.contains(id), "{path}: {id}");
        }
    }
    let csv = text(get(&router, "/api/v1/artifacts.csv?name_contains=hyper").await).await;
    assert!(
        csv.contains(",\"'=HYPERLINK(\"\"http://example.com\"\",\"\"zone\"\")\",dns_zone,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 2);
    // A file has no pages.
    let refused = get(&router, "/api/v1/artifacts.csv?limit=3").await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

/// More rows than one answer of the Ops DB has, and than are counted.
#[tokio::test]
async fn a_long_list_is_counted_to_a_bound_and_written_whole() {
    let (_, ops_db, console) = in_memory();
    let empty = || Json::parse("{}").unwrap();
    let accord = AccordBound::new("a", "b", empty(), at(0));
    let mut entries = vec![guildhall_core::Event::from(accord.clone())];
    for nth in 0..10_001 {
        let name = format!("zone-{nth:05}");
        let zone = guildhall_core::ArtifactRegistered::new(
            accord.accord_id,
            "dns_zone",
            name,
            guildhall_core::Tier::ZERO,
            empty(),
            "https://example.com/zone.json",
        );
        entries.push(zone.into());
    }
    let chronicle = MemoryChronicle::new();
    chronicle.append(Append::of(entries.iter().map(NewEntry::new))).await.unwrap();
    let runtime =
        Runtime::spawn(Arc::new(chronicle), Arc::new(ops_db.projector()), Settings::default());
    timeout(SOON, runtime.wait_until(Position::new(10_002))).await.unwrap().unwrap();
    let router = console.router();
    let page = text(get(&router, "/artifacts").await).await;
    assert!(page.contains("more than 10\u{202f}000"), "it says that it stopped counting");
    let csv = text(get(&router, "/api/v1/artifacts.csv").await).await;
    assert_eq!(csv.lines().count(), 10_002);
    assert!(csv.contains("zone-10000,"));
}
