//! The watcher of a cluster, beside a cluster that this process plays.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../../guildhall-kube/tests/common/cluster.rs"]
mod cluster;
mod common;
#[cfg(feature = "postgres")]
#[path = "../../guildhall-store-postgres/tests/server/mod.rs"]
mod server;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Instant;

use cluster::Cluster;
use common::{Folder, PATIENCE, Running, stderr};
use serde_json::{Value, json};

/// A database that holds an artifact, drafted, and a folder for what is beside it.
struct Drafted {
    folder: Folder,
    database: String,
    accord: Value,
    artifact: Value,
}

impl Drafted {
    fn new() -> Self {
        Self::on("sqlite:guildhall.db")
    }

    fn on(database: &str) -> Self {
        let (folder, database) = (Folder::new(), database.to_owned());
        let mut drafted = Self { folder, database, accord: Value::Null, artifact: Value::Null };
        drafted.json(&["migrate"]);
        std::fs::write(drafted.folder.path("json"), "{}").unwrap();
        let accord = ["record", "accord", "--name", "a", "--by", "board", "--terms", "json"];
        drafted.accord = drafted.json(&accord);
        let accord = drafted.accord["stream_id"].as_str().unwrap();
        let under = ["record", "artifact", "--accord", accord];
        let zone = ["--name", "zone", "--type", "dns_zone", "--tier", "1", "--content", "json"];
        drafted.artifact = drafted.json(&[&under[..], &zone, &["--schema", "urn:zone"]].concat());
        let id = drafted.artifact["stream_id"].as_str().unwrap();
        let move_it = ["record", "transition", "--artifact", id, "--to", "drafted"];
        // An object's creation is told in whole seconds; the draft was there before.
        let act = ["--actor", "ada", "--reason", "new", "--at", "2026-01-01T00:00:00Z"];
        drafted.json(&[&move_it[..], &act].concat());
        drafted
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.folder.json(&[arguments, &["--database", &self.database]].concat())
    }

    /// A ceremony about it.
    fn ceremony(&self, name: &str) -> Value {
        let data = &self.artifact["data"];
        json!({
            "metadata": {
                "namespace": "change-control", "name": name,
                "creationTimestamp": "2026-01-02T00:00:00Z",
            },
            "spec": {
                "artifact": data["artifact_id"], "cid": data["cid"],
                "accord": self.accord["stream_id"], "requester": "amara.osei", "reason": "please",
            },
            "status": { "phase": "Open", "observedGeneration": 1 },
        })
    }

    /// The watcher, of the cluster at this address.
    fn watch(&self, url: &str, arguments: &[&str]) -> Running {
        let stay = ["kube", "--probes", ":0", "--database", &self.database];
        let arguments = [&stay[..], arguments].concat();
        let mut command = self.folder.guildhall(&arguments);
        command.env("KUBECONFIG", kubeconfig(&self.folder, url));
        Running::start(command)
    }
}

fn kubeconfig(folder: &Folder, url: &str) -> PathBuf {
    let path = folder.path("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": url}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

fn probes(running: &mut Running) -> String {
    let line = running.error_with("the probes are at http://");
    line.split_once("http://").unwrap().1.trim().trim_end_matches('/').to_owned()
}

/// What a probe answers: the status, and the body.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    // A probe names no host of anybody's.
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 10.0.0.7\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn ceremonies_of_a_cluster_are_recorded_and_the_probes_say_how_it_is() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let drafted = Drafted::new();
    let cluster = runtime.block_on(Cluster::start()).unwrap();
    cluster.put(drafted.ceremony("zone-1"));
    let mut running = drafted.watch(&cluster.url(), &["--project", "--cluster", "north"]);
    let address = probes(&mut running);
    running.error_with("listening");
    running.error_with("recorded=1");
    wait_until("it is never ready", || get(&address, "/readyz").0 == 200);
    assert_eq!(get(&address, "/healthz").0, 200);
    let metrics = get(&address, "/metrics").1;
    let steps = "guildhall_feed_steps_total{feed=\"kubernetes\",taken=\"recorded\"} 1\n";
    assert!(metrics.contains(steps), "{metrics}");
    for path in ["/", "/artifacts", "/api/v1/overview", "/events"] {
        assert_eq!(get(&address, path).0, 404, "{path} is no probe");
    }
    runtime.block_on(cluster.stop());
    wait_until("it stays ready", || get(&address, "/readyz").0 == 503);
    let (_, body) = get(&address, "/readyz");
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(said["reason"], "the feed kubernetes does not listen", "{body}");
    assert_eq!(get(&address, "/healthz").0, 200, "to start it again would mend nothing");
    running.signal("-TERM");
    let (code, said) = running.ended();
    assert_eq!(code, Some(0), "{said}");
    let folder = &drafted.folder;
    assert_eq!(folder.names(), ["guildhall.db", "json", "kubeconfig"], "the file stands alone");
    let opened = folder.json(&["log", "show", "4"]);
    assert_eq!(
        (&opened["data"]["to_state"], &opened["fate"]),
        (&json!("ceremony_open"), &json!("applied"))
    );
    assert_eq!(opened["data"]["actor"], "amara.osei");
    assert_eq!(opened["data"]["evidence"]["cluster"], "north");
}

#[test]
fn what_does_not_fit_the_chain_is_said_and_not_recorded() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let drafted = Drafted::new();
    let cluster = runtime.block_on(Cluster::start()).unwrap();
    let mut other = drafted.ceremony("zone-1");
    other["spec"]["cid"] = "bafkreiablk6x6xgfpiw5ss3vsdyevwaiijzzaxxdh3c45pvomitwvf7ymi".into();
    cluster.put(other);
    let mut running = drafted.watch(&cluster.url(), &["--log-format", "json"]);
    let line: Value = serde_json::from_str(&running.error_with("is refused")).unwrap();
    assert!(line["reason"].as_str().unwrap().contains("CC08"), "{line}");
    running.signal("-INT");
    assert_eq!(running.ended().0, Some(0));
    assert_eq!(drafted.folder.json(&["status"])["head"], 3);
}

#[test]
fn what_will_not_do_is_refused_before_anything_is_touched() {
    let folder = Folder::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!(":{}", holder.local_addr().unwrap().port());
    let run = |arguments: &[&str], config: Option<PathBuf>| {
        let mut command = folder.guildhall(arguments);
        command.env("HOME", folder.path(".")).env_remove("KUBERNETES_SERVICE_HOST");
        match config {
            Some(config) => command.env("KUBECONFIG", config),
            None => command.env_remove("KUBECONFIG"),
        };
        let output = command.output().unwrap();
        (output.status.code(), stderr(&output))
    };
    let (code, said) = run(&["kube", "--probes", ":0"], None);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no cluster is configured") && said.contains("$KUBECONFIG"), "{said}");
    let config = kubeconfig(&folder, "http://127.0.0.1:1");
    let (code, said) = run(&["kube", "--probes", &taken], Some(config.clone()));
    assert!(code == Some(1) && said.contains("in use"), "{said}");
    let (code, said) = run(&["kube", "--probes", ":0"], Some(config));
    assert!(code == Some(1) && said.contains("there is no database"), "{said}");
    assert_eq!(folder.names(), ["kubeconfig"]);
}

#[cfg(feature = "postgres")]
#[test]
fn a_decision_that_comes_while_the_server_is_down_is_recorded_once_it_is_back() {
    use server::{Database, Server, Settings, Stop};
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    let drafted = Drafted::on(database.url());
    let cluster = runtime.block_on(Cluster::start()).unwrap();
    let mut ceremony = drafted.ceremony("zone-1");
    cluster.put(ceremony.clone());
    let mut running = drafted.watch(&cluster.url(), &["--project"]);
    let address = probes(&mut running);
    running.error_with("recorded=1");
    wait_until("it is never ready", || get(&address, "/readyz").0 == 200);

    server.stop(Stop::Immediate);
    wait_until("it stays ready", || get(&address, "/readyz").0 == 503);
    assert_eq!(get(&address, "/healthz").0, 200, "to start it again would mend nothing");
    ceremony["status"] = json!({
        "phase": "Ratified", "decidedBy": "change.board", "observedGeneration": 1,
        "decidedAt": "2026-01-02T00:00:10.000000Z",
    });
    cluster.put(ceremony);
    server.boot();
    wait_until("it is never ready again", || get(&address, "/readyz").0 == 200);
    wait_until("it is never recorded", || drafted.json(&["status"])["head"] == 5);
    running.signal("-TERM");
    assert_eq!(running.ended().0, Some(0));
    drafted.json(&["project"]);
    let ratified = drafted.json(&["log", "show", "5"]);
    assert_eq!(
        (&ratified["data"]["to_state"], &ratified["data"]["actor"], &ratified["fate"]),
        (&json!("ratified"), &json!("change.board"), &json!("applied"))
    );
}
