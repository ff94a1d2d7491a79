//! What changed: the page, where a visit goes on, and the feeds.

use data_encoding::BASE64;

use super::*;

fn links(page: &str) -> Vec<String> {
    let links = page.split(" href=\"").skip(1);
    links.map(|link| link.split('"').next().unwrap().replace("&amp;", "&")).collect()
}

fn rows(page: &str) -> usize {
    page.split("<tbody>").skip(1).map(|table| table.matches("<tr id=").count()).sum()
}

async fn changes(guild: &Guild) -> Vec<Change> {
    let head = guild.chronicle.head().await.unwrap().position;
    let query = ChangeQuery::between(Position::ZERO, head).limit(500);
    guild.ops_db.changes(&query).await.unwrap().rows
}

#[tokio::test]
async fn every_change_is_shown_and_every_id_leads_somewhere() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let all = changes(&guild).await;
    let page = text(get(&router, "/changes?from=0&limit=500").await).await;
    assert_eq!(rows(&page), all.len());
    for word in ["registered", "revised", "ceremony opened", "rejected", "withdrawn", "drifted"] {
        assert!(page.contains(word), "{word}");
    }
    let table = page.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
    let led: BTreeSet<_> = links(table).into_iter().collect();
    for kind in ["/artifacts/", "/ceremonies/", "/log/", "/deployments?artifact="] {
        assert!(led.iter().any(|link| link.starts_with(kind)), "{kind}");
    }
    for link in led {
        assert_eq!(get(&router, &link).await.status(), StatusCode::OK, "{link}");
    }
    // Pages lead on and back, and stay between the same moments.
    let first = text(get(&router, "/changes?from=5&to=140&limit=7").await).await;
    let second = links(&first).into_iter().find(|link| link.contains("after=")).unwrap();
    assert!(second.starts_with("/changes?from=5&to=140&limit=7&after="), "{second}");
    let second = text(get(&router, &second).await).await;
    assert_eq!((rows(&first), rows(&second)), (7, 7));
    let (chip, of) = (all[0].artifact_id, "&limit=500");
    let of_one = text(get(&router, &format!("/changes?from=0&artifact={chip}{of}")).await).await;
    assert_eq!(rows(&of_one), all.iter().filter(|it| it.artifact_id == chip).count());
    assert!(of_one.contains(&format!("artifact: {}", all[0].artifact.name)));
    for refused in ["/changes?from=yesterday", "/changes?to=tomorrow", "/changes?after=garbage"] {
        assert_eq!(get(&router, refused).await.status(), StatusCode::BAD_REQUEST, "{refused}");
    }
}

#[tokio::test]
async fn without_a_moment_it_is_what_was_recorded_since_yesterday() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let page = text(get(&router, "/changes").await).await;
    assert!(page.contains("Nothing changed"), "{page}");
    let days_ago =
        Timestamp::from_micros(Timestamp::now().as_micros() - 2 * 86_400_000_000).unwrap();
    let accord = AccordBound::new("old", "board", Json::parse("{}").unwrap(), at(0));
    let artifact = guildhall_core::ArtifactRegistered::new(
        accord.accord_id,
        "dns_zone",
        "an old one",
        guildhall_core::Tier::ZERO,
        Json::parse("{}").unwrap(),
        "https://example.com/zone.json",
    );
    let old = [NewEntry::new(&accord.into()), NewEntry::new(&artifact.into())];
    let old = old.map(|entry| NewEntry { recorded_at: Some(days_ago), ..entry });
    guild.chronicle.append(Append::of(old)).await.unwrap();
    guild.draft("a new one", "board").await;
    let page = text(get(&router, "/changes").await).await;
    assert!(page.contains("a new one") && !page.contains("an old one"), "{page}");
    let all = text(get(&router, "/changes?from=0").await).await;
    assert!(all.contains("a new one") && all.contains("an old one"), "{all}");
}

#[tokio::test]
async fn a_visit_goes_on_from_where_the_last_one_ended() {
    let guild = Guild::with_story().await;
    let router = guild.console().at("/guild").router();
    let since = "Since my last visit";
    let look = async |cookie: Option<&str>| {
        let mut headers = LOCAL.to_vec();
        headers.extend(cookie.map(|cookie| ("cookie", cookie)));
        let response = ask(&router, "/guild/changes", &headers).await;
        let told = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        (told, text(response).await)
    };
    let (told, first) = look(None).await;
    assert!(!first.contains(since), "there was none");
    let (cookie, rest) = told.split_once("; ").unwrap();
    assert_eq!(rest, "Path=/guild/changes; Max-Age=34560000; HttpOnly; SameSite=Lax");
    let (name, value) = cookie.split_once('=').unwrap();
    assert!(value.starts_with("150.150."), "{value}");
    // A visit of two hours ago ended at position 150, having begun at 120.
    let ago = Timestamp::now().as_micros() - 7_200_000_000;
    guild.draft("a new one", "board").await;
    let (told, page) = look(Some(&format!("{name}=120.150.{ago}"))).await;
    assert!(told.starts_with(&format!("{name}=150.153.")), "{told}");
    let link = links(&page).into_iter().find(|link| link == "/guild/changes?from=150");
    assert!(page.contains(since) && link.is_some(), "{page}");
    let new = text(get(&router, &link.unwrap()).await).await;
    assert_eq!(rows(&new), 2, "the registration and the draft");
    // It is no other page's, and no other console's.
    for path in ["/guild", "/guild/artifacts", "/guild/api/v1/changes", "/guild/changes.atom"] {
        assert!(!get(&router, path).await.headers().contains_key(header::SET_COOKIE), "{path}");
    }
    let other = format!("guildhall_visit_00000000=1.2.{ago}");
    assert!(!look(Some(&other)).await.1.contains(since));
}

/// What an element holds, of each that there is.
fn elements<'x>(xml: &'x str, name: &str) -> Vec<&'x str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(open.as_str())
        .skip(1)
        .map(|rest| rest.split(close.as_str()).next().unwrap())
        .collect()
}

#[tokio::test]
async fn an_atom_feed_has_what_rfc_4287_requires() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let response = get(&router, "/changes.atom?limit=500").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/atom+xml; charset=utf-8");
    let xml = text(response).await;
    assert!(xml.starts_with(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\""
    ));
    let (head, _) = xml.split_once("<entry>").unwrap();
    for name in ["id", "title", "updated", "author"] {
        assert_eq!(elements(head, name).len(), 1, "{name}");
    }
    let this = "<link rel=\"self\" type=\"application/atom+xml\" href=\"http://localhost/changes.atom?limit=500\"/>";
    assert!(head.contains(this), "{head}");
    let entries = elements(&xml, "entry");
    let mut all = changes(&guild).await;
    all.reverse();
    assert_eq!(entries.len(), all.len());
    let mut ids = BTreeSet::from([elements(head, "id")[0]]);
    for (entry, change) in entries.iter().zip(&all) {
        for name in ["id", "title", "updated", "content"] {
            assert_eq!(elements(entry, name).len(), 1, "{name}: {entry}");
        }
        let id = elements(entry, "id")[0];
        assert!(id.starts_with("urn:uuid:") && ids.insert(id), "{id} is there twice");
        assert!(entry.contains(&format!("href=\"http://localhost/log/{}\"", change.position)));
        assert!(elements(entry, "updated")[0].parse::<Timestamp>().is_ok());
    }
    let latest = entries.iter().map(|entry| elements(entry, "updated")[0]).max().unwrap();
    assert_eq!(elements(head, "updated")[0], latest);
    // As few as are asked for: the latest. Of a new log, none.
    let two = text(get(&router, "/changes.atom?limit=2").await).await;
    assert_eq!(elements(&two, "entry"), entries[..2]);
    let new = Guild::empty().await;
    let none = text(get(&new.console().router(), "/changes.atom").await).await;
    assert_eq!((elements(&none, "entry").len(), elements(&none, "updated").len()), (0, 1));
}

#[tokio::test]
async fn a_json_feed_has_what_its_version_1_1_requires() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let response = get(&router, "/changes.json").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/feed+json");
    let feed: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(feed["version"], "https://jsonfeed.org/version/1.1");
    assert_eq!(feed["feed_url"], "http://localhost/changes.json");
    assert_eq!(feed["home_page_url"], "http://localhost/changes");
    assert!(feed["title"].as_str().unwrap().starts_with("Changes of "));
    let items = feed["items"].as_array().unwrap();
    assert_eq!(items.len(), 50);
    let mut ids = BTreeSet::new();
    for item in items {
        assert!(ids.insert(item["id"].as_str().unwrap()), "{item} is there twice");
        assert!(item["content_text"].is_string() && item["title"].is_string());
        assert!(item["date_published"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert!(item["authors"].as_array().unwrap().iter().all(|one| one["name"].is_string()));
    }
    let xml = text(get(&router, "/changes.atom").await).await;
    let told: Vec<_> =
        elements(&xml, "entry").iter().map(|it| elements(it, "id")[0].to_owned()).collect();
    assert_eq!(items.iter().map(|item| item["id"].as_str().unwrap()).collect::<Vec<_>>(), told);
    // The same entries have the same ids wherever the console is, over an encrypted way too.
    let elsewhere = guild.console().at("/guild").router();
    let proxied = [("host", "localhost:8443"), ("x-forwarded-proto", "https")];
    let elsewhere = text(ask(&elsewhere, "/guild/changes.json", &proxied).await).await;
    let elsewhere: Value = serde_json::from_str(&elsewhere).unwrap();
    assert_eq!(elsewhere["feed_url"], "https://localhost:8443/guild/changes.json");
    for (here, there) in items.iter().zip(elsewhere["items"].as_array().unwrap()) {
        assert_eq!(here["id"], there["id"]);
    }
    let quay = ArtifactQuery::default().names(["quay-core".to_owned()]);
    let quay = guild.ops_db.artifacts(&quay).await.unwrap().rows.remove(0).id;
    let of_one = json(&router, &format!("/changes.json?artifact={quay}&limit=500")).await;
    assert_eq!(of_one["title"], "Changes of quay-core");
    let of_it = changes(&guild).await.iter().filter(|it| it.artifact_id == quay).count();
    assert_eq!(of_one["items"].as_array().unwrap().len(), of_it);
    for (path, status) in [
        (format!("/changes.atom?artifact={}", ArtifactId::new()), 404),
        ("/changes.json?limit=0".to_owned(), 400),
        ("/changes.atom?from=0".to_owned(), 400),
    ] {
        let response = get(&router, &path).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert!(serde_json::from_str::<Value>(&text(response).await).is_ok(), "{path}");
    }
}

#[tokio::test]
async fn no_name_breaks_a_feed() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    guild.draft("</title>&<x a='\"'>\u{1}]]>", "board").await;
    let xml = text(get(&router, "/changes.atom").await).await;
    let title = "&lt;/title&gt;&amp;&lt;x a='&quot;'&gt;\u{fffd}]]&gt;: registered";
    assert_eq!(elements(&xml, "title").last(), Some(&title), "{xml}");
    assert!(!xml.contains('\u{1}') && !xml.contains("<x"), "{xml}");
    let feed = json(&router, "/changes.json").await;
    let title = feed["items"].as_array().unwrap().last().unwrap()["title"].as_str().unwrap();
    assert_eq!(title, "</title>&<x a='\"'>\u{1}]]>: registered");
}

#[tokio::test]
async fn a_feed_reader_gives_the_token_as_a_password() {
    let guild = Guild::with_story().await;
    let hosts = vec!["guild.example".to_owned()];
    let access = Access::Token { token: "0123456789abcdef".to_owned(), hosts };
    let router = guild.console().access(access).router();
    let host = ("host", "guild.example");
    for path in ["/changes.atom", "/changes.json"] {
        let refused = ask(&router, path, &[host]).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(refused.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic"));
        let password = format!("Basic {}", BASE64.encode(b"reader:0123456789abcdef"));
        let let_in = ask(&router, path, &[host, ("authorization", &password)]).await;
        assert_eq!(let_in.status(), StatusCode::OK, "{path}");
        let feed = text(let_in).await;
        assert!(!feed.contains("0123456789abcdef"), "no address has it");
    }
}
