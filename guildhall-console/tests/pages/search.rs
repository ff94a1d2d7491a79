//! Search: what begins with a text, or has an id, by kind.

use super::*;

async fn found(router: &Router, text: &str) -> Value {
    let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    json(router, &format!("/api/v1/search?q={text}")).await
}

fn names(found: &Value, kind: &str) -> Vec<String> {
    let rows = found[kind].as_array().unwrap();
    let name = |row: &Value| row["name"].as_str().or(row["target"].as_str()).unwrap().to_owned();
    rows.iter().map(name).collect()
}

#[tokio::test]
async fn names_cids_ids_ceremonies_targets_and_positions_are_found() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    // As it is written, and in other letters.
    for text in ["quay", "Quay", "QUAY", " quay-core "] {
        let is_typed = text.trim() != "QUAY" && text.trim() != "Quay";
        let artifacts = names(&found(&router, text).await, "artifacts");
        assert!(artifacts == ["quay-core"] || !is_typed, "{text}: {artifacts:?}");
    }
    assert_eq!(names(&found(&router, "QUAY").await, "artifacts"), ["quay-core"]);
    assert_eq!(names(&found(&router, "net").await, "accords"), ["Network and servers"]);
    let row = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows.remove(0);
    let cid = row.cid.to_string();
    for text in [&cid[..14], &cid, &row.id.to_string()] {
        assert_eq!(names(&found(&router, text).await, "artifacts"), [row.name.as_str()], "{text}");
    }
    // All CIDs begin so.
    assert!(names(&found(&router, "bafkrei").await, "artifacts").is_empty());
    let closed = guild.ops_db.closed_ceremonies(None, 1).await.unwrap().rows.remove(0);
    let id = closed.ceremony_id.unwrap().to_string();
    assert_eq!(names(&found(&router, &id).await, "ceremonies"), [closed.name]);
    let target = guild.ops_db.deployments(&DeploymentQuery::default()).await.unwrap().rows;
    let target = &target[0].target;
    assert!(names(&found(&router, &target[..3]).await, "deployments").contains(target));
    assert_eq!(found(&router, "150").await["position"], 150);
    assert_eq!(found(&router, "151").await["position"], Value::Null);
    for (text, link) in [("150", "/log/150".to_owned()), (id.as_str(), format!("/ceremonies/{id}"))]
    {
        let page = text_of(&router, text).await;
        assert!(page.contains(&format!("href=\"{link}\"")), "{text}: {page}");
    }
}

async fn text_of(router: &Router, wanted: &str) -> String {
    let wanted: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    let response = get(router, &format!("/search?q={wanted}")).await;
    assert_eq!(response.status(), StatusCode::OK, "{wanted}");
    text(response).await
}

#[tokio::test]
async fn a_search_says_when_it_finds_nothing_and_runs_no_text() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    assert!(text_of(&router, "").await.contains("Type how"));
    let hostile = "<script>alert(1)</script>";
    let page = text_of(&router, hostile).await;
    assert!(page.contains("Nothing begins so") && !page.contains(hostile), "{page}");
    for text in ["%", "_", "'", "\u{10ffff}", "-1", "00000000-0000-0000-0000-000000000000"] {
        assert!(text_of(&router, text).await.contains("Nothing begins so"), "{text}");
    }
}

#[tokio::test]
async fn a_search_finds_a_few_of_each_kind_however_many_there_are() {
    let guild = Guild::empty().await;
    for nth in 0..12 {
        guild.draft(&format!("zone-{nth}"), "board").await;
    }
    let router = guild.console().router();
    assert_eq!(names(&found(&router, "zone").await, "artifacts").len(), 8);
    assert_eq!(names(&found(&router, "board").await, "accords").len(), 8);
    let page = text_of(&router, "zone").await;
    assert!(page.contains("name_begins=zone"), "the list has the rest");
}
