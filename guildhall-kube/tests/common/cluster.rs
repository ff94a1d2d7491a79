//! A cluster of one process: an HTTP server on loopback that lists and watches ceremonies as an API
//! server does, and misbehaves when told to.
#![allow(dead_code, reason = "each user uses some of it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

const RESOURCE: &str = "/apis/substrate.guildhouse.dev/v1alpha1";

/// The head of an answer that is told bit by bit.
const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                        Transfer-Encoding: chunked\r\n\r\n";

/// What a request meets instead of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This status.
    Status(u16),
    /// Nothing, for ever.
    Silence,
    /// The head of an answer, and nothing more for ever.
    SilenceAfterHead,
    /// No fault: its turn is passed on.
    None,
}

/// The cluster. It is gone when this is dropped.
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    /// The version: whoever watches is woken by it.
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<(String, String), Value>,
    history: Vec<Event>,
    /// Lists that were asked for, by version.
    lists: BTreeMap<u64, Vec<Value>>,
    /// Whoever watches from before this version is told that it is gone.
    oldest: u64,
    list_faults: Vec<Fault>,
    watch_faults: Vec<Fault>,
    forbidden: Option<&'static str>,
    /// The next event's line is cut in the middle, with its connection.
    is_to_cut: bool,
    requests: Vec<String>,
}

#[derive(Clone)]
struct Event {
    version: u64,
    kind: &'static str,
    object: Value,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn happen(&self, kind: &'static str, change: impl FnOnce(&mut State, u64) -> Value) -> Value {
        let mut state = self.state();
        let version = *self.version.borrow() + 1;
        let object = change(&mut state, version);
        state.history.push(Event { version, kind, object: object.clone() });
        self.version.send_replace(version);
        object
    }
}

impl Cluster {
    /// A cluster with nothing in it.
    pub(crate) async fn start() -> std::io::Result<Self> {
        let shared = Shared { state: Mutex::default(), version: watch::channel(100).0 };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(shared);
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { shared, address, server: Mutex::new(Some(server)) })
    }

    /// Where it is reached.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Creates or replaces an object; UID, versions and the time of its creation are the server's
    /// to say, unless the object does.
    pub(crate) fn put(&self, object: Value) -> Value {
        let key = (text(&object, "namespace"), text(&object, "name"));
        let is_new = !self.shared.state().objects.contains_key(&key);
        self.shared.happen(if is_new { "ADDED" } else { "MODIFIED" }, |state, version| {
            let object = completed(object, state.objects.get(&key), version);
            state.objects.insert(key, object.clone());
            object
        })
    }

    /// Changes an object's status, as its controller does.
    pub(crate) fn set_status(&self, namespace: &str, name: &str, status: Value) -> Value {
        let key = (namespace.to_owned(), name.to_owned());
        self.shared.happen("MODIFIED", |state, version| {
            let object = state.objects.entry(key).or_default();
            object["status"] = status;
            object["metadata"]["resourceVersion"] = version.to_string().into();
            object.clone()
        })
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.shared.happen("DELETED", |state, version| {
            let mut object = state.objects.remove(&key).unwrap_or_default();
            object["metadata"]["resourceVersion"] = version.to_string().into();
            object
        });
    }

    /// Sends this line to who watches, whatever it is.
    pub(crate) fn tell(&self, kind: &'static str, object: Value) {
        self.shared.happen(kind, |_, _| object);
    }

    /// Tells who watches that nothing else happened.
    pub(crate) fn bookmark(&self) -> u64 {
        self.shared.happen("BOOKMARK", |_, version| {
            let metadata = json!({ "resourceVersion": version.to_string() });
            let api = "substrate.guildhouse.dev/v1alpha1";
            json!({ "apiVersion": api, "kind": "Ceremony", "metadata": metadata })
        });
        *self.shared.version.borrow()
    }

    /// Forgets what happened: watches from before are told that it is gone.
    pub(crate) fn forget(&self) {
        let mut state = self.shared.state();
        state.oldest = *self.shared.version.borrow();
        state.history.clear();
        state.lists.clear();
    }

    /// The next lists meet these.
    pub(crate) fn fail_lists(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.state().list_faults.extend(faults);
    }

    /// The next watches meet these.
    pub(crate) fn fail_watches(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.state().watch_faults.extend(faults);
    }

    /// Forbids what has this in its path, from now on; nothing else any more.
    pub(crate) fn forbid(&self, forbidden: Option<&'static str>) {
        self.shared.state().forbidden = forbidden;
    }

    /// Cuts the connection in the middle of the next event's line.
    pub(crate) fn cut_next_line(&self) {
        self.shared.state().is_to_cut = true;
    }

    /// What was asked for, in order: paths with their queries.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.state().requests.clone()
    }

    /// Refuses every connection, and cuts those that there are.
    pub(crate) async fn stop(&self) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(server) = server {
            server.abort();
            let _ = server.await;
        }
    }

    /// Is there again, with all that it holds, under the same address.
    pub(crate) async fn come_back(&self) -> std::io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        let server = tokio::spawn(serve(listener, Arc::clone(&self.shared)));
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(server) = self.server.get_mut().unwrap_or_else(PoisonError::into_inner) {
            server.abort();
        }
    }
}

fn text(object: &Value, name: &str) -> String {
    object["metadata"][name].as_str().unwrap_or_default().to_owned()
}

fn completed(mut object: Value, before: Option<&Value>, version: u64) -> Value {
    let created = json!("2026-11-24T10:00:00Z");
    let defaults = json!({
        "apiVersion": "substrate.guildhouse.dev/v1alpha1",
        "kind": "Ceremony",
        "metadata": {
            "uid": uuid::Uuid::now_v7().to_string(),
            "generation": 1,
            "creationTimestamp": created,
            // What there is more of in a real one.
            "managedFields": [{ "manager": "kubectl", "fieldsV1": { "f:spec": { "f:cid": {} } } }],
        },
    });
    let given = object.clone();
    for source in [Some(&defaults), before, Some(&given)].into_iter().flatten() {
        for part in ["apiVersion", "kind"] {
            if let Some(value) = source.get(part) {
                object[part] = value.clone();
            }
        }
        for (field, value) in source["metadata"].as_object().into_iter().flatten() {
            object["metadata"][field] = value.clone();
        }
    }
    object["metadata"]["resourceVersion"] = version.to_string().into();
    object
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Or each answer waits for an acknowledgement that is put off.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // Whoever asks may go away at any time.
            let _ = converse(stream, &shared).await;
        });
    }
}

/// Answers requests for as long as the connection lasts.
async fn converse(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        read.drain(..end + 4);
        let mut words = head.split_ascii_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if !answer(&mut stream, method, target, shared).await? {
            return Ok(());
        }
    }
}

/// Answers a request; tells whether the connection is of further use.
async fn answer(
    stream: &mut TcpStream,
    method: &str,
    target: &str,
    shared: &Shared,
) -> std::io::Result<bool> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: BTreeMap<&str, &str> =
        query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let is_watch = query.get("watch") == Some(&"true");
    let fault = {
        let mut state = shared.state();
        state.requests.push(target.to_owned());
        let faults = if is_watch { &mut state.watch_faults } else { &mut state.list_faults };
        let fault = if faults.is_empty() { None } else { Some(faults.remove(0)) };
        let is_forbidden = state.forbidden.is_some_and(|part| target.contains(part));
        fault.or(is_forbidden.then_some(Fault::Status(403)))
    };
    match fault {
        Some(Fault::Status(code)) => {
            return respond(stream, code, &status(code)).await.map(|()| true);
        }
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::SilenceAfterHead) => {
            stream.write_all(STREAM).await?;
            std::future::pending().await
        }
        Some(Fault::None) | None => {}
    }
    let scope = path.strip_prefix(RESOURCE).and_then(|rest| rest.strip_suffix("/ceremonies"));
    let namespace = match scope.map(|scope| scope.strip_prefix("/namespaces/").unwrap_or(scope)) {
        Some(namespace) if method == "GET" => namespace,
        _ => return respond(stream, 404, &status(404)).await.map(|()| true),
    };
    if is_watch {
        return follow(stream, namespace, &query, shared).await.map(|()| false);
    }
    let (code, body) = match list(namespace, &query, shared) {
        Some(list) => (200, list),
        None => (410, status(410)),
    };
    respond(stream, code, &body).await.map(|()| true)
}

fn status(code: u16) -> Value {
    let (reason, message) = match code {
        403 => ("Forbidden", "ceremonies is forbidden: it may not be listed"),
        404 => ("NotFound", "the server could not find the requested resource"),
        410 => ("Expired", "too old resource version"),
        _ => ("ServiceUnavailable", "the server is currently unable to handle the request"),
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "message": message, "reason": reason, "code": code,
    })
}

async fn respond(stream: &mut TcpStream, code: u16, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {code} Whatever\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

fn is_in(object: &Value, namespace: &str) -> bool {
    namespace.is_empty() || object["metadata"]["namespace"] == namespace
}

/// Nothing if the version is forgotten.
fn list(namespace: &str, query: &BTreeMap<&str, &str>, shared: &Shared) -> Option<Value> {
    let mut state = shared.state();
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
    let next = query.get("continue").and_then(|next| next.split_once('-'));
    let next: Option<(u64, usize)> =
        next.and_then(|(version, skip)| Some((version.parse().ok()?, skip.parse().ok()?)));
    let exact = query.get("resourceVersionMatch").filter(|it| **it == "Exact");
    let exact = exact.and_then(|_| query.get("resourceVersion")?.parse().ok());
    let (version, skip) =
        next.or(exact.map(|version| (version, 0))).unwrap_or((*shared.version.borrow(), 0));
    let all = match (next.is_some() || exact.is_some(), state.lists.get(&version)) {
        (true, Some(all)) => all.clone(),
        (true, None) => return None,
        (false, _) => {
            let all: Vec<Value> = state.objects.values().cloned().collect();
            state.lists.insert(version, all.clone());
            all
        }
    };
    let wanted: Vec<&Value> = all.iter().filter(|object| is_in(object, namespace)).collect();
    let items: Vec<Value> = wanted.iter().skip(skip).take(limit).copied().cloned().collect();
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if skip + items.len() < wanted.len() {
        metadata["continue"] = format!("{version}-{}", skip + items.len()).into();
    }
    Some(json!({
        "apiVersion": "substrate.guildhouse.dev/v1alpha1", "kind": "CeremonyList",
        "metadata": metadata, "items": items,
    }))
}

/// Tells what happens, a chunk a line, until the time is over or the client gone.
async fn follow(
    stream: &mut TcpStream,
    namespace: &str,
    query: &BTreeMap<&str, &str>,
    shared: &Shared,
) -> std::io::Result<()> {
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<u64>().ok());
    let lasts = Duration::from_secs(number("timeoutSeconds").unwrap_or(60));
    let told = async {
        stream.write_all(STREAM).await?;
        let mut after = number("resourceVersion").unwrap_or(0);
        let mut version = shared.version.subscribe();
        loop {
            let (events, is_to_cut, is_gone, reached) = {
                let mut state = shared.state();
                let reached = *version.borrow_and_update();
                let events = state.history.iter().filter(|event| event.version > after);
                let events = events.filter(|event| {
                    matches!(event.kind, "BOOKMARK" | "ERROR") || is_in(&event.object, namespace)
                });
                let events: Vec<Event> = events.cloned().collect();
                let is_to_cut = !events.is_empty() && std::mem::take(&mut state.is_to_cut);
                // Forgotten before it was told, also to who watches already.
                let is_gone = after < state.oldest;
                (events, is_to_cut, is_gone, reached)
            };
            if is_gone {
                return chunk(stream, &line("ERROR", &status(410))).await;
            }
            after = reached;
            for event in events {
                let line = line(event.kind, &event.object);
                if is_to_cut {
                    // A chunk that is half of a line, and no end of the body.
                    return chunk(stream, &line[..line.len() / 2]).await;
                }
                chunk(stream, &line).await?;
            }
            if version.changed().await.is_err() {
                return Ok(());
            }
        }
    };
    match timeout(lasts, told).await {
        Ok(outcome) => outcome,
        Err(_) => stream.write_all(b"0\r\n\r\n").await,
    }
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({ "type": kind, "object": object }))
}

async fn chunk(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await
}
