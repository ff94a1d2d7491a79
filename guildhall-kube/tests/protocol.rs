//! What is asked of an API server, request by request.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Guild, feed, open, until, within};
use guildhall_core::CustodyState::{CeremonyOpen, Drafted};
use guildhall_kube::CeremonyWatcher;
use guildhall_kube::kube::Client;
use guildhall_kube::kube::client::Body;
use guildhall_projector::ceremony::{CeremonyOrchestrator, FeedState};
use http::{Method, Request, Response};
use serde_json::{Value, json};
use tower_test::mock::{self, Handle, SendResponse};

const EVERYWHERE: &str = "/apis/substrate.guildhouse.dev/v1alpha1/ceremonies";

/// A guild that hears of what is answered here.
struct Asked {
    guild: Guild,
    orchestrator: CeremonyOrchestrator,
    handle: Handle<Request<Body>, Response<Body>>,
}

/// A request, taken apart.
struct Received {
    path: String,
    query: BTreeMap<String, String>,
    answer: SendResponse<Response<Body>>,
}

impl Received {
    fn has(&self, wanted: &[(&str, &str)]) {
        let wanted: BTreeMap<String, String> =
            wanted.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(self.query, wanted);
    }

    fn with(self, code: u16, text: impl Into<Vec<u8>>) {
        let response = Response::builder().status(code).body(Body::from(text.into())).unwrap();
        self.answer.send_response(response);
    }
}

impl Asked {
    async fn new(set_up: impl FnOnce(CeremonyWatcher) -> CeremonyWatcher) -> Self {
        let (service, handle) = mock::pair::<Request<Body>, Response<Body>>();
        let watcher = CeremonyWatcher::new(Client::new(service, "default"));
        let guild = Guild::new().await;
        let orchestrator = guild.hears(Arc::new(set_up(watcher)));
        Self { guild, orchestrator, handle }
    }

    async fn next(&mut self) -> Received {
        let (request, answer) = within(self.handle.next_request()).await.unwrap();
        assert_eq!(request.method(), Method::GET, "it only reads");
        assert_eq!(request.headers()["accept-encoding"], "identity");
        let uri = request.uri();
        let pairs = uri.query().unwrap_or_default().split('&');
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        let query = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Received { path: uri.path().to_owned(), query, answer }
    }
}

fn page(items: &[Value], version: &str, next: Option<&str>) -> String {
    let metadata = json!({ "resourceVersion": version, "continue": next });
    json!({ "kind": "CeremonyList", "metadata": metadata, "items": items }).to_string()
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({ "type": kind, "object": object }))
}

fn bookmark(version: &str) -> String {
    line("BOOKMARK", &json!({ "kind": "Ceremony", "metadata": { "resourceVersion": version } }))
}

/// The object as a server has it.
fn kept(mut object: Value, version: &str) -> Value {
    object["metadata"]["uid"] = uuid::Uuid::now_v7().to_string().into();
    object["metadata"]["generation"] = 1.into();
    object["metadata"]["resourceVersion"] = version.into();
    object
}

#[tokio::test]
async fn it_lists_by_pages_and_watches_from_the_lists_version_with_bookmarks() {
    let mut asked = Asked::new(|watcher| watcher.page_size(2)).await;
    let ids = [asked.guild.draft().await, asked.guild.draft().await, asked.guild.draft().await];
    let object = |nth: usize, version: &str| {
        kept(asked.guild.with_status(&format!("zone-{nth}"), ids[nth], 1, open()), version)
    };
    let (first, second, third) = (object(0, "7"), object(1, "3"), object(2, "70"));

    let request = asked.next().await;
    assert_eq!(request.path, EVERYWHERE);
    request.has(&[("limit", "2")]);
    request.with(200, page(&[first], "42", Some("abc")));
    let request = asked.next().await;
    request.has(&[("limit", "2"), ("continue", "abc")]);
    request.with(200, page(&[second], "42", None));

    let watched = [("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", "290")];
    let from = |version| {
        let mut query = watched.to_vec();
        query.push(("resourceVersion", version));
        query
    };
    let request = asked.next().await;
    assert_eq!(request.path, EVERYWHERE);
    request.has(&from("42"));
    // The body ends after an object, one bookmark, and half a line.
    let object = line("ADDED", &third);
    let cut = format!("{object}{}{}", bookmark("77"), &object[..object.len() / 2]);
    request.with(200, cut);
    let request = asked.next().await;
    request.has(&from("77"));
    until(&asked.orchestrator, |feed| feed.recorded == 3).await;
    for id in ids {
        assert_eq!(asked.guild.states(id).await, [Drafted, CeremonyOpen]);
    }
    // Versions are texts: nothing is read into them, and none is compared.
    request.with(200, format!("{}{}", bookmark("xyz"), bookmark("9")));
    let request = asked.next().await;
    request.has(&from("9"));
    let gone = json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "gone" });
    request.with(200, line("ERROR", &gone));
    let request = asked.next().await;
    request.has(&[("limit", "2")]);
    request.with(200, page(&[], "100", None));
    asked.next().await.has(&from("100"));
    // All three went away meanwhile, and were open.
    let feed = until(&asked.orchestrator, |feed| feed.state == FeedState::Connecting).await;
    assert_eq!((feed.recorded, feed.known, feed.refused, feed.restarts), (3, 0, 3, 0));
}

#[tokio::test]
async fn after_a_failure_it_watches_on_from_the_last_version_that_is_durable() {
    let mut asked = Asked::new(|watcher| watcher).await;
    let id = asked.guild.draft().await;
    let request = asked.next().await;
    request.has(&[("limit", "250")]);
    request.with(200, page(&[], "42", None));
    let object = kept(asked.guild.with_status("zone", id, 1, open()), "43");
    let request = asked.next().await;
    assert_eq!(request.query["resourceVersion"], "42");
    let busy = json!({ "kind": "Status", "code": 500, "message": "etcd has no leader" });
    request.with(200, format!("{}{}", line("MODIFIED", &object), line("ERROR", &busy)));
    let request = asked.next().await;
    assert_eq!(request.query["resourceVersion"], "43");
    let feed = feed(&asked.orchestrator);
    assert_eq!((feed.recorded, feed.restarts), (1, 1));
    let message = feed.last_error.unwrap().message;
    assert!(message.contains("(500)") && message.contains("etcd has no leader"), "{message}");
    // An error's body need not be a status.
    request.with(502, "<html>bad gateway</html>");
    let request = asked.next().await;
    assert_eq!(request.query["resourceVersion"], "43");
    // A watch that ends at once is not begun again at once for ever.
    request.with(200, "");
    asked.next().await;
    let feed = common::feed(&asked.orchestrator);
    assert_eq!(feed.restarts, 3);
    assert!(feed.last_error.unwrap().message.ends_with("it ended as soon as it had begun"));
}

#[tokio::test]
async fn a_version_from_which_a_watch_fails_again_and_again_is_given_up_for_a_list() {
    let busy = json!({ "kind": "Status", "code": 500, "message": "etcd has no leader" });
    let bad = json!({ "kind": "Status", "code": 400, "message": "no such version" });
    for (code, answer) in [
        (200, "{\"type\":\"ADDED\",\"object\"\n".to_owned()),
        (200, line("ERROR", &busy)),
        (400, bad.to_string()),
        (200, bookmark("42")),
    ] {
        let mut asked = Asked::new(|watcher| watcher).await;
        asked.next().await.with(200, page(&[], "42", None));
        for _ in 0..3 {
            let request = asked.next().await;
            assert_eq!(request.query["resourceVersion"], "42", "{answer}");
            request.with(code, answer.clone());
        }
        asked.next().await.has(&[("limit", "250")]);
        assert_eq!(feed(&asked.orchestrator).restarts, 3, "with a pause each");
    }
}

#[tokio::test]
async fn evidence_is_judged_as_it_was_written() {
    let mut asked = Asked::new(|watcher| watcher).await;
    let mut items = Vec::new();
    for (name, evidence) in [("twice", r#"{"a":1,"a":2}"#), ("inexact", "12345678901234567890123")]
    {
        let id = asked.guild.draft().await;
        let status = common::decided("Ratified", 2);
        let object = kept(asked.guild.with_status(name, id, 1, status), "7").to_string();
        let written = r#"{"approvals":["mei.tanaka","tomas.silva"]}"#;
        assert!(object.contains(written));
        items.push(object.replace(written, evidence));
    }
    let list = format!(r#"{{"metadata":{{"resourceVersion":"8"}},"items":[{}]}}"#, items.join(","));
    asked.next().await.with(200, list);
    let feed = until(&asked.orchestrator, |feed| feed.refused == 2).await;
    assert!(feed.refusals.iter().all(|it| it.reason.starts_with("status.evidence: ")), "{feed:?}");
    assert_eq!(feed.recorded, 0);
}

#[tokio::test]
async fn a_server_with_too_much_to_do_is_not_asked_for_lists_besides() {
    let mut asked = Asked::new(|watcher| watcher).await;
    asked.next().await.with(200, page(&[], "42", None));
    for _ in 0..7 {
        let request = asked.next().await;
        assert_eq!(request.query["resourceVersion"], "42");
        let busy = json!({ "kind": "Status", "code": 429, "message": "too many requests" });
        request.with(429, busy.to_string());
    }
}

#[tokio::test]
async fn each_chosen_namespace_is_listed_and_watched_on_its_own() {
    let watch_for = Duration::from_secs(600);
    let set_up =
        |watcher: CeremonyWatcher| watcher.namespaces(["one", "two", "one"]).watch_for(watch_for);
    let mut asked = Asked::new(set_up).await;
    let path =
        |name| format!("/apis/substrate.guildhouse.dev/v1alpha1/namespaces/{name}/ceremonies");
    for (name, version) in [("one", "5"), ("two", "6")] {
        let request = asked.next().await;
        assert_eq!(request.path, path(name));
        request.with(200, page(&[], version, None));
    }
    let watches = [asked.next().await, asked.next().await];
    assert_eq!(feed(&asked.orchestrator).state, FeedState::Connecting);
    for (watch, (name, version)) in watches.iter().zip([("one", "5"), ("two", "6")]) {
        assert_eq!(
            (watch.path.as_str(), watch.query["resourceVersion"].as_str()),
            (&*path(name), version)
        );
        assert_eq!(watch.query["timeoutSeconds"], "600");
    }
}

#[tokio::test]
async fn of_a_page_too_long_for_memory_half_as_many_objects_are_asked_for() {
    let mut asked = Asked::new(|watcher| watcher.page_size(5)).await;
    asked.next().await.with(200, page(&[], "1", Some("abc")));
    let request = asked.next().await;
    request.has(&[("limit", "5"), ("continue", "abc")]);
    request.with(200, vec![b' '; 40 << 20]);
    let request = asked.next().await;
    request.has(&[("limit", "2"), ("continue", "abc")]);
    request.with(200, vec![b' '; 40 << 20]);
    let request = asked.next().await;
    request.has(&[("limit", "1"), ("continue", "abc")]);
    request.with(200, page(&[], "2", None));
    let request = asked.next().await;
    assert_eq!(request.query["resourceVersion"], "1", "what changed after the first page is heard");
    assert_eq!(feed(&asked.orchestrator).restarts, 0);
}

#[tokio::test]
async fn an_answer_that_is_no_list_fails_and_is_asked_for_again() {
    let mut asked = Asked::new(|watcher| watcher).await;
    asked.next().await.with(200, r#"{"kind":"CeremonyList","items":[]}"#);
    asked.next().await.with(200, "<html>");
    asked.next().await;
    let feed = feed(&asked.orchestrator);
    assert_eq!(feed.restarts, 2);
    assert!(feed.last_error.unwrap().message.contains("the answer cannot be read"));
}

#[tokio::test]
async fn a_server_whose_lists_are_gone_at_once_is_not_asked_without_a_pause() {
    let mut asked = Asked::new(|watcher| watcher).await;
    let gone = json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "gone" });
    for (nth, is_line) in [true, false].into_iter().enumerate() {
        asked.next().await.with(200, page(&[], "42", None));
        let request = asked.next().await;
        assert_eq!(request.query["resourceVersion"], "42");
        if is_line {
            request.with(200, line("ERROR", &gone));
        } else {
            request.with(410, gone.to_string());
        }
        let feed = until(&asked.orchestrator, |feed| feed.restarts > nth as u64).await;
        assert!(feed.last_error.unwrap().message.contains("(410)"));
    }
    asked.next().await.has(&[("limit", "250")]);
}
