//! The console's command line, and the projector's that shows it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::Instant;

use common::{Folder, PATIENCE};
use serde_json::Value;

/// A running example; it ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it and returns the address that it says on standard error.
fn start(mut command: Command) -> (Running, String) {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = lines.find_map(|line| {
        let line = line.unwrap();
        let (_, rest) = line.split_once("http://")?;
        Some(rest.trim_end_matches('/').to_owned())
    });
    // What it says later must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (Running(child), address.expect("it does not say where it is"))
}

/// The status and the body of an answer.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn position(address: &str) -> u64 {
    let (status, body) = get(address, "/api/v1/status");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["position"].as_u64().unwrap()
}

#[test]
fn the_live_console_shows_the_story_and_goes_on() {
    let folder = Folder::new();
    let arguments = ["--listen", "127.0.0.1:0", "--live", "--every", "20"];
    let (_running, address) = start(folder.console(&arguments));
    let began = Instant::now();
    while position(&address) < 170 {
        assert!(began.elapsed() < PATIENCE, "it does not move");
        std::thread::yield_now();
    }
    let (status, page) = get(&address, "/");
    assert!(status == 200 && page.contains("Needs attention"), "{page}");
}

#[test]
fn the_projector_serves_the_console_beside_it() {
    let folder = Folder::new();
    let (_running, address) = start(folder.projector(&["--serve", "127.0.0.1:0"]));
    assert_eq!(position(&address), 150);
    assert_eq!(get(&address, "/readyz").0, 200);
}

#[test]
fn nothing_is_made_up_in_a_chronicle_that_is_not_the_story() {
    let folder = Folder::new();
    folder.succeed(&["--generate", "10"]);
    let output = folder.console(&["--listen", "127.0.0.1:0", "--live"]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is not the story's: leave it out"), "{said}");
    let (_running, address) = start(folder.console(&["--listen", "127.0.0.1:0"]));
    assert_eq!(position(&address), 10, "it is shown, and as it was");
}

#[test]
fn elsewhere_than_on_loopback_a_token_is_needed() {
    let folder = Folder::new();
    let output = folder.console(&["--listen", "0.0.0.0:0"]).env_remove("GUILDHALL_TOKEN").output();
    let output = output.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("needs a token"), "{output:?}");
    assert!(folder.names().is_empty(), "it is checked before anything is touched");
}

#[cfg(unix)]
#[test]
fn told_to_end_both_leave_the_file_alone() {
    let projector = ["--serve", ":0"];
    let console = ["--listen", ":0", "--live", "--every", "20"];
    for how in ["-TERM", "-INT"] {
        let folders = [Folder::new(), Folder::new()];
        let commands = [folders[0].projector(&projector), folders[1].console(&console)];
        for (folder, command) in folders.iter().zip(commands) {
            let (mut running, address) = start(command);
            let began = Instant::now();
            while position(&address) < 150 {
                assert!(began.elapsed() < PATIENCE, "it does not move");
                std::thread::yield_now();
            }
            common::signal(&running.0, how);
            assert_eq!(running.0.wait().unwrap().code(), Some(0), "{how}");
            assert_eq!(folder.names(), ["guildhall.db"], "{how}");
            assert!(folder.entries_in("guildhall.db") >= 150);
        }
    }
}

#[test]
fn an_address_in_use_leaves_no_database_behind() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!(":{}", taken.local_addr().unwrap().port());
    let output = folder.console(&["--listen", &port]).output().unwrap();
    let said = common::stderr(&output);
    assert!(output.status.code() == Some(1) && said.contains("in use"), "{said}");
    assert!(folder.names().is_empty());
}
