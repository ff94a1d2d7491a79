//! The router without a network: who is let in, what is refused, what machines are told, and that
//! the description of the API is the API.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode, header};
use common::{Guild, SOON, at};
use guildhall_console::{Access, Console, PATHS, serve, serve_probes};
use guildhall_core::command::{Act, Command, Recorder};
use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
use guildhall_core::{
    AccordBinding, AccordBound, AccordId, AccordQuery, Append, AppendError, Appended, Applied,
    ApplyError, ArtifactDetail, ArtifactId, ArtifactQuery, ArtifactSummary, Batch, Ceremony,
    CeremonyId, Checkpoint, Chronicle, ClosedCeremony, Cursor, CustodyPolicy, CustodyState,
    CustodyTransition, DeploymentQuery, DeploymentState, Entry, EventType, Head, Json, Lease,
    LogFault, NewEntry, OpenCeremony, OpsDb, Origin, Outcome, Overview, Page, Position, Projector,
    ProjectorCheckpoint, QuarantinedEntry, ReadLimit, Seq, StoreError, StreamId, Timestamp,
    VerificationQuery, VerificationRecorded, VerificationResult, Version,
};
use guildhall_projector::ceremony::{
    CeremonyFeed, CeremonyOrchestrator, CeremonyOutcome, CeremonyReport, FeedError, FeedState,
    Intake, Step,
};
use guildhall_projector::{Runtime, Settings};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

const LOCAL: [(&str, &str); 1] = [("host", "localhost")];

async fn get(router: &Router, path: &str) -> Response<Body> {
    ask(router, path, &LOCAL).await
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn json(router: &Router, path: &str) -> Value {
    let response = get(router, path).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    serde_json::from_str(&text(response).await).unwrap()
}

/// A console in memory, before which nothing projects; a test may move its clock.
fn in_memory() -> (Arc<MemoryChronicle>, Arc<MemoryOpsDb>, Console) {
    let (chronicle, ops_db) = (Arc::new(MemoryChronicle::new()), Arc::new(MemoryOpsDb::new()));
    let orchestrator = CeremonyOrchestrator::new(chronicle.clone(), ops_db.clone()).start();
    (chronicle, Arc::clone(&ops_db), Console::new(ops_db, orchestrator))
}

/// An entry that changes no table.
fn note() -> NewEntry {
    let empty = || Json::parse("{}").unwrap();
    NewEntry {
        event_type: EventType::new("org.example.noted.v1"),
        payload: empty(),
        ..NewEntry::new(&AccordBound::new("a", "b", empty(), at(0)).into())
    }
}

fn value_of(answer: &impl serde::Serialize) -> Value {
    serde_json::to_value(answer).unwrap()
}

#[tokio::test]
async fn the_api_answers_what_the_queries_do() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let ops_db = &guild.ops_db;
    let overview = json(&router, "/api/v1/overview").await;
    let expected = value_of(&ops_db.overview().await.unwrap());
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&overview[name], value, "{name}");
    }
    assert_eq!(overview["artifacts"], 9);
    for (path, expected) in [
        ("/api/v1/accords", value_of(&ops_db.accords(&AccordQuery::default()).await.unwrap())),
        ("/api/v1/ceremonies/open", value_of(&ops_db.open_ceremonies(None, 100).await.unwrap())),
        (
            "/api/v1/ceremonies/closed?limit=3",
            value_of(&ops_db.closed_ceremonies(None, 3).await.unwrap()),
        ),
        (
            "/api/v1/deployments",
            value_of(&ops_db.deployments(&DeploymentQuery::default()).await.unwrap()),
        ),
        (
            "/api/v1/verifications",
            value_of(&ops_db.verifications(&VerificationQuery::default()).await.unwrap()),
        ),
        ("/api/v1/quarantine", value_of(&ops_db.quarantined(None, 100).await.unwrap())),
    ] {
        assert_eq!(json(&router, path).await, expected, "{path}");
        assert!(!expected["rows"].as_array().unwrap().is_empty(), "{path}");
    }
    let query = ArtifactQuery::default()
        .custody_states([CustodyState::Deployed, CustodyState::Retired])
        .is_descending(true)
        .limit(2);
    let first = ops_db.artifacts(&query).await.unwrap();
    let path =
        "/api/v1/artifacts?custody_state=deployed&custody_state=retired&descending=true&limit=2";
    assert_eq!(json(&router, path).await, value_of(&first));
    let next = first.next.clone().unwrap();
    let encoded: String = form_urlencoded::byte_serialize(next.as_str().as_bytes()).collect();
    let second = ops_db.artifacts(&query.after(next)).await.unwrap();
    assert_eq!(json(&router, &format!("{path}&after={encoded}")).await, value_of(&second));
    for row in first.rows {
        let path = format!("/api/v1/artifacts/{}", row.id);
        assert_eq!(json(&router, &path).await, value_of(&ops_db.artifact(row.id).await.unwrap()));
        let chain = json(&router, &format!("{path}/chain?after=[1]&limit=2")).await;
        let after = Some(Cursor::after_link(Seq::FIRST));
        let links = ops_db.chain(row.id, after, 2).await.unwrap().rows;
        for (shown, link) in chain["rows"].as_array().unwrap().iter().zip(&links) {
            assert_eq!(shown["hash"], link.hash.to_string());
            assert_eq!(shown["verdict"]["holds"], true);
        }
        assert_eq!(chain["rows"].as_array().unwrap().len(), links.len());
    }
}

/// Follows `$ref` and holds an answer against its schema: every property and no other.
fn hold(schema: &Value, document: &Value, answer: &Value, path: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return hold(&document["components"]["schemas"][name], document, answer, path);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let is_null = choices.iter().any(|choice| choice["type"] == "null");
        return if !(is_null && answer.is_null()) {
            hold(&choices[0], document, answer, path)
        };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => return,
    };
    let found = match answer {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) if types.contains(&"number") => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&found), "{path} is {found}, described as {types:?}");
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(answer), "{path} is {answer}");
    }
    for (at, item) in answer.as_array().into_iter().flatten().enumerate() {
        hold(&schema["items"], document, item, &format!("{path}[{at}]"));
    }
    if let (Some(properties), Some(fields)) = (schema["properties"].as_object(), answer.as_object())
    {
        let described: BTreeSet<_> = properties.keys().collect();
        assert_eq!(fields.keys().collect::<BTreeSet<_>>(), described, "{path}");
        for (name, field) in fields {
            hold(&properties[name], document, field, &format!("{path}.{name}"));
        }
    }
}

#[tokio::test]
async fn the_description_of_the_api_is_the_api() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let document = json(&router, "/api/v1/openapi.json").await;
    let described: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(described, PATHS.iter().copied().collect());
    let artifacts = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows;
    for path in PATHS {
        let id = artifacts[0].id.to_string();
        let asked = path.replace("{id}", &id).replace("{name}", "console.css");
        let response = timeout(SOON, get(&router, &asked)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{asked}");
        let content = &document["paths"][path]["get"]["responses"]["200"]["content"];
        let (content_type, body) = content.as_object().unwrap().iter().next().unwrap();
        let found = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        assert!(found.starts_with(content_type), "{asked}: {found}");
        if path.starts_with("/api/") && !body["schema"].is_null() {
            let answer = serde_json::from_str(&text(response).await).unwrap();
            hold(&body["schema"], &document, &answer, path);
        }
    }
}

/// Nothing inline and nothing from elsewhere runs, and no other page frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

#[tokio::test]
async fn only_hosts_and_tokens_that_are_known_get_in() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    for (host, status) in [
        ("localhost:7177", StatusCode::OK),
        ("[::1]:7177", StatusCode::OK),
        ("evil.example", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let response = ask(&router, "/", &[("host", host)]).await;
        assert_eq!(response.status(), status, "{host}");
        assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
    }
    assert_eq!(ask(&router, "/", &[]).await.status(), StatusCode::MISDIRECTED_REQUEST);

    let hosts = vec!["guild.example".to_owned()];
    let access = Access::Token { token: "0123456789abcdef".to_owned(), hosts };
    let router = guild.console().access(access).router();
    for path in PATHS.iter().map(|path| path.replace("{id}", "x").replace("{name}", "x")) {
        let host = ("host", "guild.example:443");
        let refused = ask(&router, &path, &[host]).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(refused.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic"));
        let bearer = ("authorization", "Bearer 0123456789abcdef");
        let let_in = ask(&router, &path, &[host, bearer]).await;
        assert_ne!(let_in.status(), StatusCode::UNAUTHORIZED, "{path}");
        let elsewhere = ask(&router, &path, &[("host", "localhost"), bearer]).await;
        assert_eq!(elsewhere.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn errors_are_as_the_description_has_them() {
    let guild = Guild::empty().await;
    let router = guild.console().max_streams(0).router();
    let document = json(&router, "/api/v1/openapi.json").await;
    let check = async |asked: &str, path: &str, status: u16| {
        let response = get(&router, asked).await;
        assert_eq!(response.status().as_u16(), status, "{asked}");
        let described = &document["paths"][path]["get"]["responses"][status.to_string()];
        let schema = &described["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{status} of {path} is not described");
        let answer = serde_json::from_str(&text(response).await).unwrap();
        hold(schema, &document, &answer, asked);
    };
    let nobody = format!("/api/v1/artifacts/{}", ArtifactId::new());
    check(&nobody, "/api/v1/artifacts/{id}", 404).await;
    check(&format!("{nobody}/chain"), "/api/v1/artifacts/{id}/chain", 404).await;
    check(&format!("{nobody}/chain?limit=0"), "/api/v1/artifacts/{id}/chain", 400).await;
    for path in
        PATHS.iter().filter(|path| !document["paths"][path]["get"]["responses"]["400"].is_null())
    {
        let asked = path.replace("{id}", &ArtifactId::new().to_string());
        if path.starts_with("/api/") {
            check(&format!("{asked}?limit=0"), path, 400).await;
        }
    }
    check("/events?topic=weather", "/events", 400).await;
    check("/events", "/events", 503).await;
    timeout(SOON, guild.runtime.shutdown()).await.unwrap().unwrap();
    check("/healthz", "/healthz", 503).await;
    check("/readyz", "/readyz", 503).await;
    guild.meddle("ALTER TABLE governed_artifacts RENAME TO gone");
    for path in ["/api/v1/overview", "/api/v1/artifacts", "/metrics"] {
        check(path, path, 503).await;
    }
}

#[tokio::test]
async fn a_console_that_anyone_or_no_one_could_see_is_not_served() {
    let guild = Guild::empty().await;
    let hosts = Vec::new;
    let empty = || Access::Token { token: String::new(), hosts: hosts() };
    let embedder = || Access::Embedder { hosts: hosts() };
    for (access, address, said) in [
        (Access::Loopback, "0.0.0.0:0", "it needs a token"),
        (empty(), "0.0.0.0:0", "the token is empty"),
        (empty(), "127.0.0.1:0", "the token is empty"),
        (embedder(), "127.0.0.1:0", "an embedder's layer"),
        (embedder(), "0.0.0.0:0", "an embedder's layer"),
    ] {
        let console = guild.console().access(access);
        let served = serve(console, address.parse().unwrap(), std::future::ready(())).await;
        let refused = served.expect_err(address).to_string();
        assert!(refused.contains(said), "{address}: {refused}");
    }
}

#[tokio::test]
async fn where_the_peer_is_known_loopback_access_asks_for_one_on_this_machine() {
    let guild = Guild::empty().await;
    let hosts = vec!["localhost".to_owned()];
    for (access, peer, status) in [
        (Access::Loopback, "127.0.0.1:9", StatusCode::OK),
        (Access::Loopback, "[::1]:9", StatusCode::OK),
        (Access::Loopback, "[::ffff:127.0.0.1]:9", StatusCode::OK),
        (Access::Loopback, "192.0.2.7:9", StatusCode::FORBIDDEN),
        (Access::Loopback, "[2001:db8::1]:9", StatusCode::FORBIDDEN),
        (Access::Embedder { hosts }, "192.0.2.7:9", StatusCode::OK),
    ] {
        let router = guild.console().access(access).router();
        let peer = ConnectInfo(peer.parse::<SocketAddr>().unwrap());
        let request = Request::get("/").header("host", "localhost").extension(peer);
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{peer:?}");
    }
}

#[tokio::test]
async fn it_only_reads() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request =
            Request::builder().method(method).uri("/artifacts").header("host", "localhost");
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
}

#[tokio::test]
async fn what_does_not_exist_or_cannot_be_read_is_said_so() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let nobody = CeremonyId::new().to_string();
    for (path, status) in [
        ("/nowhere".to_owned(), 404),
        ("/api/v1/nowhere".to_owned(), 404),
        ("/assets/../Cargo.toml".to_owned(), 404),
        ("/assets/secret".to_owned(), 404),
        (format!("/artifacts/{nobody}"), 404),
        ("/artifacts/1".to_owned(), 404),
        (format!("/api/v1/artifacts/{nobody}"), 404),
        (format!("/api/v1/artifacts/{nobody}/chain"), 404),
        ("/artifacts?tier=9".to_owned(), 400),
        ("/api/v1/artifacts?limit=501".to_owned(), 400),
        ("/api/v1/verifications?outcome=maybe".to_owned(), 400),
        ("/events?topic=weather".to_owned(), 400),
        ("/artifacts?name=%00".to_owned(), 400),
        ("/artifacts?name=%ff".to_owned(), 400),
        ("/api/v1/artifacts?name=%ff".to_owned(), 400),
        ("/artifacts?after=%00nonsense".to_owned(), 400),
        ("/ceremonies?closed_after=%00".to_owned(), 400),
        ("/quarantine?after=a%00".to_owned(), 400),
        ("/api/v1/artifacts?name=%00".to_owned(), 400),
        ("/api/v1/deployments?after=%00".to_owned(), 400),
    ] {
        let response = get(&router, &path).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        let body = text(response).await;
        if path.starts_with("/api/") {
            assert!(serde_json::from_str::<Value>(&body).unwrap()["error"].is_string(), "{path}");
        }
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_taken_and_a_cursor_of_another_form_are_refused_everywhere() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let id = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows[0].id;
    let refused = async |asked: &str| {
        let response = get(&router, asked).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{asked}");
        text(response).await
    };
    for path in PATHS {
        let path = path.replace("{id}", &id.to_string()).replace("{name}", "console.css");
        let said = refused(&format!("{path}?teir=0")).await;
        assert!(
            said.contains("teir") && said.contains("is not a parameter of this page"),
            "{said}"
        );
        if path == "/artifacts" || path == "/api/v1/artifacts" {
            assert!(said.contains("artifact_type, tier, custody_state, drift"), "{said}");
        }
    }
    // A cursor is good where those of its form are, and nowhere else.
    let query = ArtifactQuery::default().limit(2);
    let artifacts = guild.ops_db.artifacts(&query).await.unwrap().next.unwrap();
    let closed = guild.ops_db.closed_ceremonies(None, 2).await.unwrap().next.unwrap();
    let encoded =
        |cursor: &str| form_urlencoded::byte_serialize(cursor.as_bytes()).collect::<String>();
    let (artifacts, closed) = (encoded(artifacts.as_str()), encoded(closed.as_str()));
    for path in ["/artifacts", "/api/v1/artifacts"] {
        assert_eq!(
            get(&router, &format!("{path}?after={artifacts}")).await.status(),
            StatusCode::OK
        );
        for rest in ["&sort=tier", "&descending=true"] {
            refused(&format!("{path}?after={artifacts}{rest}")).await;
        }
    }
    for asked in [
        format!("/ceremonies?closed_after={closed}"),
        format!("/api/v1/ceremonies/closed?after={closed}"),
        // Of one form: a moment and a position.
        format!("/api/v1/ceremonies/open?after={closed}"),
        format!("/api/v1/verifications?after={closed}"),
    ] {
        assert_eq!(get(&router, &asked).await.status(), StatusCode::OK, "{asked}");
    }
    let listed = [
        "/artifacts?after=",
        "/quarantine?after=",
        "/ceremonies?open_after=",
        "/ceremonies?closed_after=",
        "/api/v1/accords?after=",
        "/api/v1/artifacts?after=",
        "/api/v1/ceremonies/open?after=",
        "/api/v1/ceremonies/closed?after=",
        "/api/v1/deployments?after=",
        "/api/v1/verifications?after=",
        "/api/v1/quarantine?after=",
        &format!("/artifacts/{id}?targets_after="),
        &format!("/api/v1/artifacts/{id}/chain?after="),
    ];
    for asked in listed {
        for cursor in ["garbage", "%7B%7D", "null"] {
            refused(&format!("{asked}{cursor}")).await;
        }
        if !asked.contains("artifacts?") {
            refused(&format!("{asked}{artifacts}")).await;
        }
        if !asked.contains("ceremonies") && !asked.contains("verifications") {
            refused(&format!("{asked}{closed}")).await;
        }
    }
    refused(&format!("/artifacts/{id}?links=some")).await;
    refused("/artifacts?limit=1&limit=2").await;
}

#[tokio::test]
async fn whatever_is_refused_in_the_api_is_refused_in_its_own_form() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let send = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    for (method, path, headers, status) in [
        ("GET", "/api/v1/artifacts/%ff", &LOCAL[..], 400),
        ("GET", "/api/v1/artifacts/%ff/chain", &LOCAL, 400),
        ("GET", "/api/v1/nowhere", &LOCAL, 404),
        ("GET", "/api/v1/artifacts/1/2/3", &LOCAL, 404),
        ("POST", "/api/v1/overview", &LOCAL, 405),
        ("DELETE", "/api/v1/nowhere", &LOCAL, 405),
        ("GET", "/api/v1/overview", &[("host", "evil.example")], 421),
        ("GET", "/api/v1/overview", &[], 421),
        ("GET", "/api/v1/overview", &[("host", "localhost"), ("host", "localhost")], 400),
        ("GET", "http://evil.example/api/v1/overview", &LOCAL, 421),
        ("GET", "/events?topic=weather", &LOCAL, 400),
        ("GET", "/readyz?deep=1", &LOCAL, 400),
    ] {
        let response = send(method, path, headers).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json", "{path}");
        assert_eq!(response.headers().contains_key(header::ALLOW), status == 405, "{path}");
        let body: Value = serde_json::from_str(&text(response).await).unwrap();
        assert!(body["error"].is_string() && body.as_object().unwrap().len() == 1, "{body}");
    }
    let page = send("GET", "/artifacts/%ff", &LOCAL).await;
    assert_eq!(page.status(), StatusCode::BAD_REQUEST);
    assert!(text(page).await.starts_with("<!DOCTYPE html>"));
}

#[tokio::test]
async fn a_request_that_names_another_host_anywhere_is_refused() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    for (target, hosts, status) in [
        ("/", &["localhost"][..], 200),
        ("http://localhost:7177/", &["localhost:7177"], 200),
        ("http://127.0.0.1/", &["localhost"], 200),
        ("/", &["localhost:80@evil.example"], 421),
        ("/", &["localhost", "evil.example"], 400),
        ("/", &["localhost", "localhost"], 400),
        ("http://evil.example/", &["localhost"], 421),
        ("http://localhost/", &["evil.example"], 421),
        ("http://localhost@evil.example/", &["localhost"], 421),
        ("http://evil@localhost/", &["localhost"], 421),
    ] {
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{target} {hosts:?}");
    }
}

#[tokio::test]
async fn a_page_that_is_not_there_does_not_say_that_the_ops_db_is_silent() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    for path in ["/artifacts/1", "/artifacts?teir=0", "/quarantine?after=garbage"] {
        let page = text(get(&router, path).await).await;
        assert!(!page.contains("Ops DB silent") && page.contains("projector"), "{path}: {page}");
    }
    guild.meddle("ALTER TABLE projector_checkpoints RENAME TO gone");
    for path in ["/artifacts/1", "/artifacts"] {
        let page = text(get(&router, path).await).await;
        assert!(page.contains("Ops DB silent"), "{path}: {page}");
    }
}

/// What a page links to.
fn links(page: &str) -> BTreeSet<String> {
    let starts = page.match_indices("href=\"").chain(page.match_indices("src=\""));
    let links = starts.map(|(at, _)| page[at..].split('"').nth(1).unwrap().replace("&amp;", "&"));
    links.filter(|link| !link.starts_with('#')).collect()
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

#[tokio::test]
async fn health_and_metrics_tell_the_truth_about_the_projector() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(&router, path).await.status(), StatusCode::OK);
    }
    let metrics = text(get(&router, "/metrics").await).await;
    let head = guild.chronicle.head().await.unwrap().position;
    for line in [
        format!("guildhall_projector_position {head}"),
        "guildhall_projector_lag 0".to_owned(),
        "guildhall_projector_healthy 1".to_owned(),
        "guildhall_artifacts{tier=\"0\"} 3".to_owned(),
        "guildhall_deployments{health=\"drifted\"} 1".to_owned(),
        "guildhall_quarantined_entries 1".to_owned(),
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    timeout(SOON, guild.runtime.shutdown()).await.unwrap().unwrap();
    guild.chronicle.append(Append::of([note()])).await.unwrap();
    for path in ["/healthz", "/readyz"] {
        let response = get(&router, path).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(text(response).await.contains("stopped"));
    }
    let metrics = text(get(&router, "/metrics").await).await;
    assert!(metrics.contains("guildhall_projector_lag 1\n"));
    assert!(metrics.contains("guildhall_projector_healthy 0\n"));
}

/// Fails whenever there is something to apply.
struct Failing {
    inner: Arc<dyn Projector>,
    passes: bool,
}

#[async_trait]
impl Projector for Failing {
    async fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.inner.checkpoint().await
    }

    async fn apply(&self, _: Batch) -> Result<Applied, ApplyError> {
        let error = if self.passes { StoreError::transient } else { StoreError::permanent };
        Err(error("testing", "the disk is full").into())
    }

    async fn hold_lease(&self) -> Result<Lease, StoreError> {
        self.inner.hold_lease().await
    }

    async fn release_lease(&self) -> Result<(), StoreError> {
        self.inner.release_lease().await
    }

    fn lease_time(&self) -> Duration {
        self.inner.lease_time()
    }
}

#[tokio::test]
async fn a_projector_that_fails_is_not_ready_and_one_that_has_failed_is_not_healthy() {
    for (passes, state, health) in
        [(true, "backing off", StatusCode::OK), (false, "failed", StatusCode::SERVICE_UNAVAILABLE)]
    {
        let (chronicle, ops_db, console) = in_memory();
        chronicle.append(Append::of([note()])).await.unwrap();
        let projector = Arc::new(Failing { inner: Arc::new(ops_db.projector()), passes });
        let hour = Duration::from_secs(3600);
        let settings = Settings::default().backoff_first(hour).backoff_most(hour);
        let runtime = Runtime::spawn(chronicle, projector, settings);
        let failed = async {
            while runtime.status().last_error.is_none() {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, failed).await.unwrap();
        let router = console.projector(&runtime).router();
        assert_eq!(get(&router, "/healthz").await.status(), health, "{state}");
        let ready = get(&router, "/readyz").await;
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE, "{state}");
        let body: Value = serde_json::from_str(&text(ready).await).unwrap();
        assert_eq!(body["reason"], format!("the projector is {state}"));
        let error = body["last_error"]["message"].as_str().unwrap();
        assert!(error.contains("the disk is full"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ops_db_that_is_far_behind_is_not_ready_nor_is_one_that_stands_still() {
    let (chronicle, _, console) = in_memory();
    let router = console.router();
    let reason = async || {
        assert_eq!(get(&router, "/healthz").await.status(), StatusCode::OK);
        let ready = get(&router, "/readyz").await;
        let is_ready = ready.status() == StatusCode::OK;
        let body: Value = serde_json::from_str(&text(ready).await).unwrap();
        assert_eq!(body["ok"], is_ready);
        body["reason"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(reason().await, "");
    // Quiet is no standstill, however long it was.
    tokio::time::advance(Duration::from_secs(3600)).await;
    chronicle.append(Append::of([note()])).await.unwrap();
    assert_eq!(reason().await, "");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(reason().await, "the projector is stalled");

    let (chronicle, _, console) = in_memory();
    let router = console.router();
    let notes: Vec<NewEntry> = std::iter::repeat_with(note).take(10_001).collect();
    chronicle.append(Append::of(notes)).await.unwrap();
    let ready = text(get(&router, "/readyz").await).await;
    assert!(ready.contains("the Ops DB is 10001 entries behind"), "{ready}");
}

#[tokio::test]
async fn a_chain_that_somebody_changed_is_shown_as_broken() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    guild.record(Command::open_ceremony(id, CeremonyId::new(), Act::new("a", "b", at(2)))).await;
    guild.record(Command::transition(id, CustodyState::Ratified, Act::new("a", "b", at(3)))).await;
    let router = guild.console().router();
    let page_of = async || text(get(&router, &format!("/artifacts/{id}")).await).await;
    assert!(page_of().await.contains("chain holds"));
    guild.meddle(
        "DROP TRIGGER custody_transitions_refuse_update;
         UPDATE custody_transitions SET actor = 'mallory' WHERE seq = 2",
    );
    let page = page_of().await;
    assert!(page.contains("chain broken") && page.contains("Link 2 fails CC06"), "{page}");
    assert!(!page.contains("chain holds"), "{page}");
    let chain = json(&router, &format!("/api/v1/artifacts/{id}/chain")).await;
    for (at, code) in [(0, Value::Null), (1, "CC06".into()), (2, Value::Null)] {
        assert_eq!(chain["rows"][at]["verdict"]["code"], code, "{at}");
        assert_eq!(chain["rows"][at]["verdict"]["holds"], code.is_null(), "{at}");
    }
}

/// What a test makes of where a Chronicle ends.
type Meddling = fn(Head) -> Result<Head, StoreError>;

/// A Chronicle that ends where a test wants it to.
struct Meddled(Arc<dyn Chronicle>, Mutex<Option<Meddling>>);

#[async_trait]
impl Chronicle for Meddled {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        self.0.origin().await
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        self.0.fix_origin(origin).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        self.0.append(append).await
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        self.0.read(after, limit).await
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        self.0.read_stream(stream, after, limit).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let head = self.0.head().await?;
        let meddling = *self.1.lock().unwrap();
        meddling.map_or(Ok(head.clone()), |meddling| meddling(head))
    }

    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError> {
        self.0.wait_beyond(position, patience).await
    }
}

#[tokio::test]
async fn where_the_log_ends_before_the_checkpoint_nothing_is_said_to_be_well() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let meddled = Arc::new(Meddled(Arc::clone(&guild.chronicle), Mutex::new(None)));
    let ops_db = Arc::clone(&guild.ops_db);
    let orchestrator = CeremonyOrchestrator::new(meddled.clone(), ops_db.clone()).start();
    let router = Console::new(ops_db, orchestrator).projector(&guild.runtime).router();
    let page_of = async || text(get(&router, &format!("/artifacts/{id}")).await).await;
    assert_eq!(get(&router, "/readyz").await.status(), StatusCode::OK);
    assert!(page_of().await.contains("chain holds"));
    *meddled.1.lock().unwrap() = Some(|head| Ok(Head { position: Position::new(2), ..head }));
    let ready = get(&router, "/readyz").await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready = text(ready).await;
    assert!(ready.contains("the projector is ahead of the log"), "{ready}");
    let page = page_of().await;
    assert!(!page.contains("chain holds") && page.contains("not sure"), "{page}");
    let metrics = text(get(&router, "/metrics").await).await;
    assert!(metrics.contains("guildhall_projector_healthy 0\n"), "{metrics}");
    let dashboard = text(get(&router, "/").await).await;
    assert!(dashboard.contains("The projector is ahead of the log"), "{dashboard}");
}

#[tokio::test]
async fn where_the_log_is_not_what_it_was_pages_and_readiness_say_so() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let meddled = Arc::new(Meddled(Arc::clone(&guild.chronicle), Mutex::new(None)));
    let ops_db = Arc::clone(&guild.ops_db);
    let orchestrator = CeremonyOrchestrator::new(meddled.clone(), ops_db.clone()).start();
    let router = Console::new(ops_db, orchestrator).projector(&guild.runtime).router();
    *meddled.1.lock().unwrap() = Some(|_| {
        let fault = LogFault::FileReplaced { path: "/var/lib/guildhall.db".into() };
        Err(StoreError::permanent("reading the Chronicle", fault))
    });
    let said = "the log is not what it was: ";
    for path in ["/", "/artifacts", "/ceremonies", "/quarantine", &format!("/artifacts/{id}")] {
        let page = get(&router, path).await;
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        let page = text(page).await;
        assert!(page.contains(said) && !page.contains("chain holds"), "{path}: {page}");
        assert!(!page.contains("/var/lib"), "where the file lies is nobody's business: {page}");
    }
    let ready = get(&router, "/readyz").await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready: Value = serde_json::from_str(&text(ready).await).unwrap();
    let reason = ready["reason"].as_str().unwrap();
    assert!(reason.starts_with(said) && !reason.contains("/var/lib"), "{ready}");
    let status = text(get(&router, "/api/v1/status").await).await;
    assert!(status.contains(said) && !status.contains("/var/lib"), "{status}");
}

/// A Chronicle that grows just when somebody asks where it ends.
struct Growing {
    inner: Arc<dyn Chronicle>,
    next: Mutex<Option<Command>>,
    runtime: Runtime,
}

#[async_trait]
impl Chronicle for Growing {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        self.inner.origin().await
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        self.inner.fix_origin(origin).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        self.inner.append(append).await
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        self.inner.read(after, limit).await
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.read_stream(stream, after, limit).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let next = self.next.lock().unwrap().take();
        if let Some(next) = next {
            let recorder = Recorder::new(Arc::clone(&self.inner), CustodyPolicy::standard());
            let position = recorder.record(next).await.unwrap().position;
            timeout(SOON, self.runtime.wait_until(position)).await.unwrap().unwrap();
        }
        self.inner.head().await
    }

    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError> {
        self.inner.wait_beyond(position, patience).await
    }
}

#[tokio::test]
async fn an_artifacts_page_claims_no_position_beyond_what_it_shows() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let open = Command::open_ceremony(id, CeremonyId::new(), Act::new("a", "b", at(2)));
    let growing = Growing {
        inner: Arc::clone(&guild.chronicle),
        next: Mutex::new(Some(open)),
        runtime: guild.runtime.clone(),
    };
    let ops_db = Arc::clone(&guild.ops_db);
    let orchestrator = CeremonyOrchestrator::new(Arc::new(growing), ops_db.clone()).start();
    let router = Console::new(ops_db, orchestrator).router();
    let page = text(get(&router, &format!("/artifacts/{id}")).await).await;
    assert!(page.contains(r#"data-position="4""#), "{page}");
    let badges = page.split(r#"id="badges""#).nth(1).unwrap().split("</h1>").next().unwrap();
    assert!(badges.split("</div>").next().unwrap().contains("ceremony open"), "{badges}");
}

/// The end of a chain is held against the artifact's own row, which is written with it.
#[tokio::test]
async fn a_chain_that_lost_its_end_is_shown_as_broken() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    guild.record(Command::open_ceremony(id, CeremonyId::new(), Act::new("a", "b", at(2)))).await;
    let router = guild.console().router();
    let (page, api) = (format!("/artifacts/{id}"), format!("/api/v1/artifacts/{id}/chain"));
    assert!(text(get(&router, &page).await).await.contains("chain holds"));
    assert!(json(&router, &api).await["discrepancy"].is_null());
    guild.meddle("DROP TRIGGER custody_transitions_refuse_delete");
    for (sql, found) in [
        (
            "DELETE FROM custody_transitions WHERE seq = 2",
            "row says link 2 (ceremony open), its chain ends with link 1 (drafted)",
        ),
        (
            "UPDATE governed_artifacts SET custody_state = 'retired', custody_seq = 1",
            "row says link 1 (retired), its chain ends with link 1 (drafted)",
        ),
        (
            "UPDATE governed_artifacts SET custody_state = NULL, custody_seq = NULL",
            "row says no link, its chain ends with link 1 (drafted)",
        ),
        (
            "DELETE FROM custody_transitions;
             UPDATE governed_artifacts SET custody_state = 'drafted', custody_seq = 1",
            "row says link 1 (drafted), its chain ends with no link",
        ),
    ] {
        guild.meddle(sql);
        let page = text(get(&router, &page).await).await;
        assert!(page.contains("chain broken") && page.contains(found), "{found}: {page}");
        assert!(!page.contains("chain holds") && !page.contains("not drafted yet"), "{page}");
        let discrepancy = json(&router, &api).await["discrepancy"].clone();
        let found = found.replace("ceremony open", "ceremony_open");
        assert!(discrepancy.as_str().unwrap().ends_with(&found), "{discrepancy}");
    }
}

#[tokio::test]
async fn every_link_of_a_long_chain_is_listed_and_says_whether_it_was_recomputed() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    guild.meddle(
        "WITH RECURSIVE seq(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM seq WHERE n < 10200)
         INSERT INTO custody_transitions
         SELECT artifact_id, n, from_state, to_state, cid, actor, reason, ceremony_id, evidence,
                occurred_at, prev_hash, hash, position
         FROM custody_transitions, seq WHERE custody_transitions.seq = 1",
    );
    let router = guild.console().router();
    let (mut after, mut listed) = ("[9900]".to_owned(), 9900);
    loop {
        let path = format!("/api/v1/artifacts/{id}/chain?after={after}&limit=150");
        let page = json(&router, &path).await;
        for row in page["rows"].as_array().unwrap() {
            listed += 1;
            assert_eq!(row["seq"], listed);
            assert_eq!(row["verdict"].is_null(), listed > 10_000, "{row}");
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(listed, 10_200);
    let page = text(get(&router, &format!("/artifacts/{id}")).await).await;
    assert!(page.contains("Later links were not recomputed."));
}

/// Takes an artifact from its draft to its deployment.
async fn deploy(guild: &Guild, id: ArtifactId) {
    let act = |second| Act::new("a", "b", at(second));
    guild.record(Command::open_ceremony(id, CeremonyId::new(), act(2))).await;
    guild.record(Command::transition(id, CustodyState::Ratified, act(3))).await;
    guild.record(Command::transition(id, CustodyState::Deployed, act(4))).await;
}

fn verdict(artifact_id: ArtifactId, outcome: Outcome, verified_at: Timestamp) -> Command {
    let (evidence, verifier) = (Json::null(), "scanner".to_owned());
    let target = None;
    VerificationRecorded { artifact_id, evidence, outcome, target, verified_at, verifier }.into()
}

#[tokio::test]
async fn what_runs_needs_attention_until_there_is_a_new_verdict() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let page = async || text(get(&router, "/").await).await;
    let empty = page().await;
    assert!(empty.contains("Nothing is governed yet."), "{empty}");
    let id = guild.draft("zone", "board").await;
    let calm = page().await;
    assert!(calm.contains("Nothing is drifted, unknown, failed, quarantined or stale."), "{calm}");
    // Never verified is not verified lately.
    deploy(&guild, id).await;
    let stale = page().await;
    assert!(stale.contains("no verdict in the last 14 days"), "{stale}");
    guild.record(verdict(id, Outcome::Passed, at(5))).await;
    let stale = page().await;
    assert!(stale.contains("no verdict in the last 14 days"), "{stale}");
    guild.record(verdict(id, Outcome::Passed, Timestamp::now())).await;
    let calm = page().await;
    assert!(!calm.contains("no verdict in the last"), "{calm}");
}

#[tokio::test]
async fn a_failed_verdict_needs_attention_until_its_verifier_finds_otherwise() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let id = guild.draft("zone", "board").await;
    let needs = async || {
        let page = text(get(&router, "/").await).await;
        let count = page.split("data-count=\"").nth(1).unwrap().split('"').next().unwrap();
        (count.to_owned(), page.contains(&format!("id=\"failed-{id}\"")))
    };
    assert_eq!(needs().await, ("0".to_owned(), false));
    guild.record(verdict(id, Outcome::Failed, at(5))).await;
    assert_eq!(needs().await, ("1".to_owned(), true));
    let listed = json(&router, "/api/v1/artifacts?verdict=failed").await;
    assert_eq!(listed["rows"][0]["id"], id.to_string());
    let stands = json(&router, "/api/v1/verifications?standing=true&outcome=failed").await;
    assert_eq!(stands["rows"].as_array().unwrap().len(), 1);
    guild.record(verdict(id, Outcome::Passed, at(6))).await;
    assert_eq!(needs().await, ("0".to_owned(), false));
    let stands = json(&router, "/api/v1/verifications?standing=true&outcome=failed").await;
    assert_eq!(stands["rows"].as_array().unwrap().len(), 0);
}

/// An Ops DB that counts the verdicts that it hands out, and whose pages of artifacts are short.
struct Counted(Arc<dyn OpsDb>, Arc<AtomicUsize>, u32);

#[async_trait]
impl OpsDb for Counted {
    async fn snapshot(&self) -> Result<Box<dyn OpsDb>, StoreError> {
        let moment = self.0.snapshot().await?;
        Ok(Box::new(Self(moment.into(), Arc::clone(&self.1), self.2)))
    }

    async fn overview(&self) -> Result<Overview, StoreError> {
        self.0.overview().await
    }

    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactSummary>, StoreError> {
        let limit = query.limit.min(self.2);
        self.0.artifacts(&query.clone().limit(limit)).await
    }

    async fn artifact(&self, id: ArtifactId) -> Result<Option<ArtifactDetail>, StoreError> {
        self.0.artifact(id).await
    }

    async fn chain(
        &self,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<CustodyTransition>, StoreError> {
        self.0.chain(id, after, limit).await
    }

    async fn accord(&self, id: AccordId) -> Result<Option<AccordBinding>, StoreError> {
        self.0.accord(id).await
    }

    async fn accords(&self, query: &AccordQuery) -> Result<Page<AccordBinding>, StoreError> {
        self.0.accords(query).await
    }

    async fn ceremony(
        &self,
        id: CeremonyId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError> {
        self.0.ceremony(id, after, limit).await
    }

    async fn open_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<OpenCeremony>, StoreError> {
        self.0.open_ceremonies(after, limit).await
    }

    async fn closed_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ClosedCeremony>, StoreError> {
        self.0.closed_ceremonies(after, limit).await
    }

    async fn deployments(
        &self,
        query: &DeploymentQuery,
    ) -> Result<Page<DeploymentState>, StoreError> {
        self.0.deployments(query).await
    }

    async fn verifications(
        &self,
        query: &VerificationQuery,
    ) -> Result<Page<VerificationResult>, StoreError> {
        let found = self.0.verifications(query).await?;
        self.1.fetch_add(found.rows.len(), Ordering::Relaxed);
        Ok(found)
    }

    async fn quarantined(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<QuarantinedEntry>, StoreError> {
        self.0.quarantined(after, limit).await
    }

    async fn quarantined_at(
        &self,
        position: Position,
    ) -> Result<Option<QuarantinedEntry>, StoreError> {
        self.0.quarantined_at(position).await
    }

    async fn checkpoint(&self, projector: &str) -> Result<Option<Checkpoint>, StoreError> {
        self.0.checkpoint(projector).await
    }

    async fn checkpoints(&self) -> Result<Vec<ProjectorCheckpoint>, StoreError> {
        self.0.checkpoints().await
    }
}

#[tokio::test]
async fn the_dashboard_loads_few_verdicts_however_many_failed() {
    let guild = Guild::empty().await;
    let (id, other) = (guild.draft("zone", "board").await, guild.draft("a-zone", "board").await);
    let failed = |artifact_id, nth: i64| VerificationRecorded {
        artifact_id,
        evidence: Json::null(),
        outcome: Outcome::Failed,
        target: Some(format!("target-{nth}")),
        verified_at: at(100 + nth),
        verifier: "scanner".to_owned(),
    };
    for nth in 0..60 {
        guild.record(failed(id, nth)).await;
    }
    guild.record(failed(other, -10)).await;
    let counted = Arc::new(Counted(Arc::clone(&guild.ops_db), Arc::default(), 500));
    let router = Console::new(counted.clone(), guild.orchestrator.clone()).router();
    let page = text(get(&router, "/").await).await;
    // The latest five, the latest failed twenty, and three of one artifact and one of the other.
    let loaded = counted.1.load(Ordering::Relaxed);
    assert!(loaded <= 29, "{loaded} verdicts for one dashboard");
    let shown = |id| page.split(&format!("id=\"failed-{id}\"")).nth(1).unwrap();
    let of_it = shown(id).split("</li>").next().unwrap();
    for nth in 57..60 {
        assert!(of_it.contains(&format!("target-{nth}")), "{of_it}");
    }
    assert!(!of_it.contains("target-56") && of_it.contains(" and more"), "{of_it}");
    let of_other = shown(other).split("</li>").next().unwrap();
    assert!(of_other.contains("target--10") && !of_other.contains(" and more"), "{of_other}");
    assert!(shown(id).contains(&format!("id=\"failed-{other}\"")), "the newest comes first");
}

/// An artifact of a tier that drifted in this second; its custody, if it has any, ends so.
async fn drifted(guild: &Guild, name: &str, tier: usize, second: i64, retired: Option<bool>) {
    let json = || Json::parse("{}").unwrap();
    let accord = AccordBound::new("accord", "board", json(), at(0));
    let schema = "https://example.com/zone.json";
    let tier = guildhall_core::Tier::ALL[tier];
    let artifact = guildhall_core::ArtifactRegistered::new(
        accord.accord_id,
        "dns_zone",
        name,
        tier,
        json(),
        schema,
    );
    let (id, cid) = (artifact.artifact_id, artifact.cid);
    guild.record(accord).await;
    guild.record(artifact).await;
    if let Some(retired) = retired {
        let act = || Act::new("a", "b", at(1));
        guild.record(Command::transition(id, CustodyState::Drafted, act())).await;
        if retired {
            guild.record(Command::transition(id, CustodyState::Retired, act())).await;
        }
    }
    let seen = guildhall_core::DeploymentObserved {
        artifact_id: id,
        desired_cid: cid,
        detail: Json::null(),
        observed_at: at(second),
        observed_cid: Some(guildhall_core::Cid::from_digest([9; 32])),
        target: "eu".to_owned(),
    };
    guild.record(seen).await;
}

#[tokio::test]
async fn a_new_drift_is_seen_however_many_older_ones_there_are() {
    let guild = Guild::empty().await;
    for nth in 0..6 {
        drifted(&guild, &format!("a-old-{nth}"), 0, 10 + nth, Some(false)).await;
    }
    drifted(&guild, "less-critical", 1, 90, Some(false)).await;
    drifted(&guild, "over", 0, 91, Some(true)).await;
    drifted(&guild, "of-nobody", 0, 92, None).await;
    drifted(&guild, "z-new", 0, 80, Some(false)).await;
    let page = text(get(&guild.console().router(), "/").await).await;
    let attention =
        page.split("id=\"attention\"").nth(1).unwrap().split("</section>").next().unwrap();
    let names: Vec<_> = attention
        .match_indices("class=\"name\"")
        .map(|(at, _)| attention[at..].split("<bdi>").nth(1).unwrap().split('<').next().unwrap())
        .collect();
    assert_eq!(names, ["z-new", "a-old-5", "a-old-4", "a-old-3", "a-old-2"]);
    // What is over and what nobody took into custody is neither listed nor counted.
    assert!(page.contains("data-count=\"8\"") && page.contains("All of them: 8"), "{attention}");
    assert!(page.contains("<title>(8) Dashboard"), "{page}");
}

#[tokio::test]
async fn what_is_not_counted_to_its_end_is_said_to_be_more() {
    let guild = Guild::empty().await;
    for nth in 0..7 {
        drifted(&guild, &format!("zone-{nth}"), 0, 10 + nth, Some(false)).await;
    }
    for (page, total) in [(6, "6+"), (7, "7")] {
        let counted = Counted(Arc::clone(&guild.ops_db), Arc::default(), page);
        let console = Console::new(Arc::new(counted), guild.orchestrator.clone());
        let shown = text(get(&console.router(), "/").await).await;
        assert!(shown.contains(&format!("All of them: {total}<")), "{shown}");
        assert!(shown.contains(&format!("<title>({total}) Dashboard")), "{shown}");
    }
}

/// Hands in one step that no chain takes.
struct Confused(ArtifactId);

#[async_trait]
impl CeremonyFeed for Confused {
    fn name(&self) -> &str {
        "confused"
    }

    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        let act = Act::new("mallory", "<b>now</b>", at(9));
        let step = Step::Closed(CeremonyOutcome::Ratified);
        let (artifact_id, ceremony_id) = (self.0, CeremonyId::new());
        let identity = "object <7>".to_owned();
        intake
            .take(CeremonyReport { identity, artifact_id, ceremony_id, cid: None, step, act })
            .await?;
        Ok(())
    }
}

#[tokio::test]
async fn what_a_feed_hands_in_and_the_chain_refuses_is_shown() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let (chronicle, ops_db) = (Arc::clone(&guild.chronicle), Arc::clone(&guild.ops_db));
    let orchestrator =
        CeremonyOrchestrator::new(chronicle, ops_db).feed(Arc::new(Confused(id))).start();
    let heard = async {
        while orchestrator.status().feeds[0].state != FeedState::Ended {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, heard).await.unwrap();
    let router = Console::new(Arc::clone(&guild.ops_db), orchestrator).router();
    let page = text(get(&router, "/quarantine").await).await;
    assert!(page.contains("confused") && page.contains("CC04"), "{page}");
    assert!(page.contains("object &lt;7&gt;"), "{page}");
    assert!(text(get(&router, "/").await).await.contains("1 report of steps refused"));
    let feed = &json(&router, "/api/v1/status").await["feeds"][0];
    assert_eq!((&feed["refused"], &feed["state"]), (&1.into(), &"ended".into()));
    let metrics = text(get(&router, "/metrics").await).await;
    assert!(
        metrics.contains("guildhall_feed_steps_total{feed=\"confused\",taken=\"refused\"} 1\n")
    );
}

/// Knows of a ceremony whose object is gone.
struct Bereft;

#[async_trait]
impl CeremonyFeed for Bereft {
    fn name(&self) -> &str {
        "bereft"
    }

    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        intake.refuse("object <8>".to_owned(), None, "its object was deleted".to_owned());
        Ok(())
    }
}

#[tokio::test]
async fn a_ceremony_that_a_feed_reports_as_left_open_is_not_called_unrecorded() {
    let guild = Guild::empty().await;
    let (chronicle, ops_db) = (Arc::clone(&guild.chronicle), Arc::clone(&guild.ops_db));
    let orchestrator = CeremonyOrchestrator::new(chronicle, ops_db).feed(Arc::new(Bereft)).start();
    let heard = async {
        while orchestrator.status().feeds[0].state != FeedState::Ended {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, heard).await.unwrap();
    let router = Console::new(Arc::clone(&guild.ops_db), orchestrator).router();
    let page = text(get(&router, "/quarantine").await).await;
    let feeds = &page[page.find("id=\"feeds\"").unwrap()..];
    assert!(feeds.contains("its object was deleted") && feeds.contains("1 reported"), "{feeds}");
    assert!(feeds.contains("ceremonies that are recorded as open"), "{feeds}");
    assert!(!feeds.contains("Nothing of it") && !feeds.contains("1 refused"), "{feeds}");
    let dashboard = text(get(&router, "/").await).await;
    assert!(dashboard.contains("1 report of steps refused and of ceremonies left open"));
    assert!(!dashboard.contains("break an invariant"), "{dashboard}");
}

/// Cannot reach its source.
struct Deaf;

#[async_trait]
impl CeremonyFeed for Deaf {
    fn name(&self) -> &str {
        "cluster <1>"
    }

    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        intake.connecting();
        Err("connection refused".into())
    }
}

/// What the probes of a console answer to whoever asks.
async fn probed(console: Console, path: &str) -> String {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { stopped.await.unwrap() };
    let served = serve_probes(console, "127.0.0.1:0".parse().unwrap(), stopped).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(served.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: 10.0.0.7\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    stop.send(()).unwrap();
    served.finished().await;
    answer
}

#[tokio::test]
async fn a_feed_that_hears_nothing_needs_attention() {
    let guild = Guild::empty().await;
    let (chronicle, ops_db) = (Arc::clone(&guild.chronicle), Arc::clone(&guild.ops_db));
    let orchestrator = CeremonyOrchestrator::new(chronicle, ops_db).feed(Arc::new(Deaf)).start();
    let failed = async {
        while orchestrator.status().feeds[0].last_error.is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, failed).await.unwrap();
    let console = || Console::new(Arc::clone(&guild.ops_db), orchestrator.clone());
    let router = console().router();
    assert_eq!(get(&router, "/readyz").await.status(), StatusCode::OK, "pages can be shown");
    let said = probed(console(), "/readyz").await;
    assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
    assert!(said.contains(r#""reason":"the feed cluster <1> does not listen""#), "{said}");
    assert!(!said.contains("connection refused"), "who may look is not asked: {said}");
    assert!(probed(console(), "/healthz").await.starts_with("HTTP/1.1 200 "));
    assert!(probed(console(), "/").await.starts_with("HTTP/1.1 404 "));
    let page = text(get(&router, "/").await).await;
    assert!(page.contains("Ceremony feed disconnected"), "{page}");
    assert!(page.contains("cluster &lt;1&gt;</bdi>: <bdi>connection refused"), "{page}");
    let metrics = text(get(&router, "/metrics").await).await;
    assert!(metrics.contains("guildhall_feed_healthy{feed=\"cluster <1>\"} 0\n"), "{metrics}");
}

/// Reads events until one of this name comes; answers all of them.
async fn events_until(body: &mut Body, name: &str) -> String {
    let mut read = String::new();
    timeout(SOON, async {
        while !read.split("\n\n").any(|event| event.contains(&format!("event: {name}"))) {
            let frame = body.frame().await.expect("the stream ended").unwrap();
            read.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
    })
    .await
    .unwrap_or_else(|_| panic!("no {name} in {read}"));
    read
}

#[tokio::test]
async fn a_stream_tells_what_changes_and_resumes_where_it_broke() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let router = guild.console().router();
    let mut stream = get(&router, &format!("/events?topic=ceremony:{id}")).await.into_body();
    let first = events_until(&mut stream, "moved\ndata: {\"position\":3}").await;
    assert!(first.contains("id: 3\n"), "{first}");
    let ceremony = CeremonyId::new();
    let opened =
        guild.record(Command::open_ceremony(id, ceremony, Act::new("a", "b", at(2)))).await;
    let told = events_until(&mut stream, "ceremony").await;
    assert!(
        told.contains(&format!("id: {opened}\n")) && told.contains("ceremony_opened"),
        "{told}"
    );
    assert!(told.contains(&ceremony.to_string()));
    drop(stream);
    guild.record(Command::transition(id, CustodyState::Ratified, Act::new("a", "b", at(3)))).await;
    guild.record(Command::transition(id, CustodyState::Deployed, Act::new("a", "b", at(4)))).await;
    let last = opened.to_string();
    let headers = [("host", "localhost"), ("last-event-id", last.as_str())];
    let mut resumed = ask(&router, "/events", &headers).await.into_body();
    let told = events_until(&mut resumed, "posture").await;
    assert!(told.contains("ceremony_closed") && told.contains("custody_moved"), "{told}");
    assert!(!told.contains("ceremony_opened"), "{told}");
}

#[tokio::test]
async fn a_stream_that_is_resumed_from_too_far_back_says_what_it_leaves_out() {
    let guild = Guild::empty().await;
    guild.draft("zone", "board").await;
    let notes: Vec<NewEntry> = std::iter::repeat_with(note).take(20_010).collect();
    guild.chronicle.append(Append::of(notes)).await.unwrap();
    let head = guild.chronicle.head().await.unwrap().position;
    guild.applied(head).await;
    let mut told = guild.orchestrator.status().position;
    while told < head {
        told = timeout(SOON, guild.orchestrator.moved_from(told)).await.unwrap().unwrap();
    }
    let router = guild.console().router();
    let resumed = async |last: &str| {
        let headers = [("host", "localhost"), ("last-event-id", last)];
        let mut body = ask(&router, "/events", &headers).await.into_body();
        events_until(&mut body, "moved").await
    };
    let from = head.get() - 20_000;
    let told = resumed("1").await;
    let missed = format!(r#"data: {{"after":1,"count":null,"through":{from}}}"#);
    assert!(told.contains(&format!("id: {from}\nevent: missed\n{missed}\n")), "{told}");
    // Where nothing can be resumed the stream begins now, and says where that is.
    let beyond = head.next().unwrap().to_string();
    for last in ["", "0x10", "-1", "1e3", beyond.as_str(), "99999999999999999999"] {
        let told = resumed(last).await;
        let moved = format!("retry: 1000\n\nid: {head}\nevent: moved\n");
        assert!(told.starts_with(&moved), "{last:?}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_gives_its_place_back() {
    let (_, _, console) = in_memory();
    let router = console.max_streams(1).router();
    let unread = get(&router, "/events").await;
    let began = Instant::now();
    let next = loop {
        let next = get(&router, "/events").await;
        if next.status() == StatusCode::OK {
            break next;
        }
        assert!(began.elapsed() < Duration::from_secs(180), "it keeps its place");
        tokio::time::advance(Duration::from_secs(1)).await;
    };
    assert!(began.elapsed() > Duration::from_secs(60), "a slow client has its time");
    // What was sent is there to be read, and no more comes.
    assert!(text(unread).await.contains("event: moved"));
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_it_is_old() {
    let (_, _, console) = in_memory();
    let router = console.max_streams(1).router();
    let began = Instant::now();
    let read = text(get(&router, "/events").await).await;
    assert_eq!(began.elapsed().as_secs(), 600);
    assert!(read.starts_with("retry: 1000\n\n") && read.contains("event: here"), "{read}");
    assert_eq!(get(&router, "/events").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_so_many_streams_are_open_at_once() {
    let guild = Guild::empty().await;
    let router = guild.console().max_streams(1).router();
    let first = get(&router, "/events").await;
    assert_eq!(first.status(), StatusCode::OK);
    let second = get(&router, "/events").await;
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(first);
    let again = async {
        while get(&router, "/events").await.status() != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_say_nothing_keep_nobody_else_waiting() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let guild = Guild::empty().await;
    let address = guild.serve(Access::Loopback).await.address();
    let mut silent = Vec::new();
    for nth in 0..60 {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        if nth % 2 == 0 {
            // Half a request is no better than none.
            stream.write_all(b"GET / HTTP/1.1\r\nHost: local").await.unwrap();
        }
        silent.push(stream);
    }
    let asks = async {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(Duration::from_secs(5), asks).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    drop(silent);
}

/// Texts that break out of where they are put, if anything lets them.
const HOSTILE: [&str; 8] = [
    "<script>x()</script>",
    "\"><img src=x onerror=x()>",
    "' onmouseover='x()",
    "</title></style></textarea></pre></svg><iframe src=//evil.example>",
    "javascript:x()//",
    "<!--<![CDATA[]]><?xml?>&lt;b&gt;&#60;b&#62;",
    "{{7*7}}${7*7}<%= 7 %>\u{202e}\u{2028}\u{feff}",
    "<a href=\"javascript:x()\" style=x>\r\n\tset-cookie: x</a>",
];

#[tokio::test]
async fn no_text_of_others_becomes_an_element_or_an_attribute_on_any_page() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let mut asked = vec!["/".to_owned(), "/ceremonies".to_owned(), "/quarantine".to_owned()];
    for text in HOSTILE {
        let id = guild.draft(text, text).await;
        let seen = guildhall_core::DeploymentObserved {
            artifact_id: id,
            desired_cid: guildhall_core::Cid::from_digest([1; 32]),
            detail: Json::parse(&serde_json::to_string(text).unwrap()).unwrap(),
            observed_at: at(3),
            observed_cid: None,
            target: text.to_owned(),
        };
        guild.record(seen).await;
        let mut failed = VerificationRecorded {
            artifact_id: id,
            evidence: Json::parse(&serde_json::to_string(text).unwrap()).unwrap(),
            outcome: Outcome::Failed,
            target: Some(text.to_owned()),
            verified_at: at(4),
            verifier: text.to_owned(),
        };
        guild.record(failed.clone()).await;
        failed.outcome = Outcome::Passed;
        failed.verified_at = at(3);
        guild.record(failed).await;
        guild
            .record(Command::open_ceremony(id, CeremonyId::new(), Act::new(text, text, at(5))))
            .await;
        asked.push(format!("/artifacts/{id}?links=all"));
        let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for name in [
            "name_contains",
            "artifact_type",
            "sort",
            "descending",
            "after",
            "tier",
            "accord",
            "content_contains",
            "limit",
        ] {
            asked.push(format!("/artifacts?{name}={encoded}"));
        }
        asked.push(format!("/artifacts?{encoded}=1"));
        asked.push(format!("/artifacts/{encoded}"));
        asked.push(format!("/{encoded}"));
    }
    asked.push("/artifacts".to_owned());
    let own = BTreeSet::from([
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "a",
        "header",
        "nav",
        "ul",
        "li",
        "div",
        "span",
        "label",
        "input",
        "main",
        "footer",
        "p",
        "noscript",
        "section",
        "h1",
        "h2",
        "h3",
        "strong",
        "b",
        "bdi",
        "time",
        "details",
        "summary",
        "code",
        "table",
        "thead",
        "tr",
        "th",
        "tbody",
        "td",
        "form",
        "fieldset",
        "legend",
        "button",
        "dl",
        "dt",
        "dd",
        "ol",
        "pre",
        "figure",
        "svg",
        "line",
        "text",
        "circle",
        "path",
        "figcaption",
        "!doctype",
    ]);
    for path in asked {
        let response = get(&router, &path).await;
        if response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_none_or(|it| it != "text/html; charset=utf-8")
        {
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            continue;
        }
        let page = text(response).await;
        for (at, _) in page.match_indices('<') {
            let tag = &page[at + 1..page[at..].find('>').map_or(page.len(), |end| at + end)];
            let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
            assert!(own.contains(name.to_ascii_lowercase().as_str()), "<{tag}> on {path}");
            // Outside of quotes no attribute is one that runs, and none leads to a script.
            let bare: String = tag.split('"').step_by(2).collect();
            assert!(!bare.contains(" on") && !bare.contains("style="), "<{tag}> on {path}");
            assert!(!tag.contains("href=\"javascript"), "<{tag}> on {path}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_console_ends_when_it_is_told_to() {
    let guild = Guild::empty().await;
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let console: Console = guild.console();
    let until = async move { drop(ended.await) };
    let served = serve(console, "127.0.0.1:0".parse().unwrap(), until).await.unwrap();
    let address = served.address();
    assert!(tokio::net::TcpStream::connect(address).await.is_ok());
    end.send(()).unwrap();
    timeout(Duration::from_secs(10), served.finished()).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
