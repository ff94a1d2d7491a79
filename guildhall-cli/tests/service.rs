//! What stays until it is ended: under a service manager, and beside others.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use common::{Folder, LOG, PATIENCE, Running, stderr};
use guildhall_store_sqlite::rusqlite::Connection;
use serde_json::Value;

/// The end of the socket that a service manager listens at.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.path("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next datagram; none where none comes for so long.
    fn next(&self, within: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(within)).unwrap();
        let mut datagram = [0; 4096];
        let length = self.0.recv(&mut datagram).ok()?;
        Some(String::from_utf8(datagram[..length].to_vec()).unwrap())
    }

    /// Waits for a datagram with this line.
    fn wait_for(&self, line: &str) -> String {
        loop {
            let datagram = self.next(PATIENCE).unwrap_or_else(|| panic!("no {line}"));
            if datagram.lines().any(|found| found == line) {
                return datagram;
            }
        }
    }
}

/// The program under a service manager that has it feed a watchdog.
fn managed(folder: &Folder, arguments: &[&str]) -> (Manager, Running) {
    let manager = Manager::listen(folder);
    let mut command = folder.guildhall(arguments);
    command.env("NOTIFY_SOCKET", folder.path("notify")).env("WATCHDOG_USEC", "200000");
    (manager, Running::start(command))
}

#[test]
fn a_projector_tells_the_service_manager_and_ends_on_sigterm() {
    let folder = Folder::new();
    folder.succeed(&["import", LOG]);
    let (manager, mut running) = managed(&folder, &["project", "--follow", "--json"]);
    let ready = manager.wait_for("READY=1");
    assert!(ready.contains("STATUS=projecting"), "{ready}");
    manager.wait_for("WATCHDOG=1");
    running.line_with("\"position\":150");
    running.signal("-TERM");
    manager.wait_for("STOPPING=1");
    let (code, said) = running.ended();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(folder.names(), ["guildhall.db", "notify"], "the file stands alone");
    assert_eq!(folder.json(&["status"])["lag"], 0);
}

#[test]
fn whoever_is_not_healthy_does_not_feed_the_watchdog() {
    let folder = Folder::imported();
    let (manager, running) = managed(&folder, &["project", "--follow"]);
    manager.wait_for("WATCHDOG=1");
    let other = Connection::open(folder.path("guildhall.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    // Ten times as long as it may keep silent.
    while manager.next(Duration::from_secs(2)).is_some() {
        assert!(began.elapsed() < PATIENCE, "it feeds the watchdog though it cannot write");
    }
    other.execute_batch("ROLLBACK").unwrap();
    manager.wait_for("WATCHDOG=1");
    running.signal("-TERM");
    assert_eq!(running.ended().0, Some(0));
}

#[test]
fn a_console_is_ready_when_it_answers_and_ends_on_sigterm() {
    let folder = Folder::imported();
    let (manager, running) = managed(&folder, &["serve", ":0"]);
    let ready = manager.wait_for("READY=1");
    let url = ready.split_once("STATUS=serving http://").unwrap().1.trim();
    let page = get(url.trim_end_matches('/'), "/artifacts", None);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("calder.example"), "{page}");
    manager.wait_for("WATCHDOG=1");
    running.signal("-TERM");
    manager.wait_for("STOPPING=1");
    assert_eq!(running.ended().0, Some(0));
    assert_eq!(folder.names(), ["guildhall.db", "notify"]);
}

/// What a server answers.
fn get(address: &str, path: &str, token: Option<&str>) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let token = token.map_or_else(String::new, |it| format!("Authorization: Bearer {it}\r\n"));
    let host = format!("Host: {address}\r\n");
    write!(stream, "GET {path} HTTP/1.1\r\n{host}{token}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn probes_need_neither_the_token_nor_a_name_and_show_nothing_else() {
    let folder = Folder::imported();
    std::fs::write(folder.path("token"), "0123456789abcdef0123456789abcdef").unwrap();
    let serve = ["serve", "0.0.0.0:0", "--token-file", "token", "--probes", "0.0.0.0:0"];
    for project in [&[][..], &["--project"]] {
        let mut running = Running::start(folder.guildhall(&[&serve[..], project].concat()));
        let port = |line: String| -> u16 {
            line.trim_end().trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap()
        };
        let probes = port(running.error_with("the probes are at http://"));
        let console = port(running.error_with("the console is at http://"));
        let ask = |port: u16, path: &str| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            // As a kubelet does.
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: 10.244.0.7:{port}\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer.split(' ').nth(1).unwrap().to_owned()
        };
        let began = Instant::now();
        while ask(probes, "/readyz") != "200" {
            assert!(began.elapsed() < PATIENCE, "it is never ready");
        }
        assert_eq!(ask(probes, "/healthz"), "200");
        assert_eq!(ask(probes, "/metrics"), "200");
        for path in ["/", "/artifacts", "/api/v1/overview", "/events"] {
            assert_eq!(ask(probes, path), "404", "{path} is no probe");
        }
        assert_ne!(ask(console, "/readyz"), "200", "the console itself wants the token");
        running.signal("-TERM");
        assert_eq!(running.ended().0, Some(0));
    }
}

#[test]
fn a_console_with_a_token_lets_in_whoever_has_it() {
    let folder = Folder::imported();
    let token = "0123456789abcdef0123456789abcdef";
    std::fs::write(folder.path("token"), format!("{token}\n")).unwrap();
    let command = folder.guildhall(&["serve", "0.0.0.0:0", "--token-file", "token"]);
    let mut running = Running::start(command);
    let line = running.error_with("the console is at http://");
    let port = line.trim_end_matches('/').rsplit_once(':').unwrap().1;
    // The host by which it is asked for is one of its own.
    let address = format!("localhost:{port}");
    assert!(get(&address, "/", None).starts_with("HTTP/1.1 401"));
    assert!(get(&address, "/", Some("wrong")).starts_with("HTTP/1.1 401"));
    assert!(get(&address, "/", Some(token)).starts_with("HTTP/1.1 200"));
    assert!(!line.contains(token));
}

#[test]
fn an_address_or_a_token_that_will_not_do_is_refused_first() {
    let folder = Folder::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("localhost:{}", holder.local_addr().unwrap().port());
    std::fs::write(folder.path("short"), "secret").unwrap();
    std::fs::write(folder.path("long"), "0123456789abcdef0123456789abcdef").unwrap();
    for (arguments, code, expected) in [
        (&["serve", "7177"][..], 2, ":7177"),
        (&["serve", "example.com:80"], 2, "localhost:7177"),
        (&["serve", "0.0.0.0:0"], 2, "needs a token"),
        (&["serve", "0.0.0.0:0", "--token-file", "short"], 2, "openssl rand"),
        (&["serve", "--token-file", "absent"], 1, "absent"),
        (&["serve", &taken], 1, "in use"),
        (&["serve", "192.0.2.1:80", "--token-file", "long"], 1, "an address of this machine"),
        (&["serve", ":0"], 1, "there is no database"),
        (&["watch"], 1, "there is no database"),
        (&["watch", "ceremony:x"], 2, "ceremony:x"),
    ] {
        let output = folder.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("secret"));
        assert_eq!(folder.names(), ["long", "short"], "{arguments:?}");
    }
}

#[test]
fn logs_are_text_or_json_and_a_failure_is_one_of_them() {
    let folder = Folder::new();
    folder.succeed(&["import", LOG]);
    let arguments = ["project", "--follow", "--halt-on-violation", "--log-format", "json"];
    let output = folder.run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<Value> =
        stderr(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(last["error"].as_str().unwrap().contains("CC04"), "{last}");
    assert!(last["help"].as_str().unwrap().contains("--halt-on-violation"), "{last}");
}

#[test]
fn a_follower_prints_a_line_of_json_for_each_batch() {
    let folder = Folder::new();
    folder.succeed(&["migrate"]);
    let mut running = Running::start(folder.guildhall(&["project", "--follow", "--json"]));
    running.line_with("\"state\":\"live\"");
    folder.succeed(&["import", LOG]);
    let line: Value = serde_json::from_str(&running.line_with("\"position\":150")).unwrap();
    assert_eq!((&line["head"], &line["quarantined"]), (&150.into(), &1.into()));
    running.signal("-INT");
    assert_eq!(running.ended().0, Some(0));
}

#[test]
fn who_watches_sees_what_was_and_what_comes() {
    let folder = Folder::new();
    let log = std::fs::read_to_string(LOG).unwrap();
    let first: String = log.split_inclusive('\n').take(140).collect();
    std::fs::write(folder.path("first.jsonl"), first).unwrap();
    folder.succeed(&["import", "first.jsonl"]);
    folder.succeed(&["project"]);
    let mut watching = Running::start(folder.guildhall(&["watch", "--after", "0"]));
    let mut of_ceremonies =
        Running::start(folder.guildhall(&["watch", "ceremony:*", "--after", "0", "--json"]));
    let opened = watching.line_with("ceremony opened by");
    assert!(opened.contains(": ") && !opened.contains('{'), "{opened}");
    let line: Value = serde_json::from_str(&of_ceremonies.line_with("")).unwrap();
    assert_eq!(line["change"], "ceremony_opened");
    folder.succeed(&["import", LOG]);
    folder.succeed(&["project"]);
    let last = watching.line_with("verification inconclusive");
    assert!(last.contains("cluster-auditor"), "{last}");
    for watcher in [watching, of_ceremonies] {
        watcher.signal("-TERM");
        let (code, said) = watcher.ended();
        assert_eq!((code, said.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_projector_beside_a_console_keeps_its_pages_up_to_date() {
    let folder = Folder::new();
    folder.succeed(&["import", LOG]);
    let mut running = Running::start(folder.guildhall(&["serve", ":0", "--project"]));
    let line = running.error_with("the console is at http://");
    let address = line.split_once("http://").unwrap().1.trim().trim_end_matches('/').to_owned();
    let began = Instant::now();
    while !get(&address, "/readyz", None).contains("\"position\":150") {
        assert!(began.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    running.signal("-TERM");
    assert_eq!(running.ended().0, Some(0));
    assert_eq!(folder.json(&["status"])["lag"], 0);
}
