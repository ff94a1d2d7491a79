//! The servers of tests leave nothing behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod server;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use server::{Server, Settings, Stop};

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the server's folder is gone, and the server with it.
fn assert_gone(folder: &std::path::Path, server: &str) {
    let begun = Instant::now();
    while folder.exists() {
        assert!(begun.elapsed() < PATIENCE, "{} is still there", folder.display());
        thread::yield_now();
    }
    // One that has ended but was not waited for has no command line.
    let command = fs::read(format!("/proc/{server}/cmdline")).unwrap_or_default();
    assert!(command.is_empty(), "the server still runs");
}

fn process_id(server: &Server) -> String {
    let lines = fs::read_to_string(server.folder().join("data/postmaster.pid")).unwrap();
    lines.lines().next().unwrap().to_owned()
}

#[test]
#[ignore = "the other test starts it as a process of its own, and kills it"]
fn a_process_with_a_server() {
    let server = Server::start(Settings::default());
    println!("server {} {}", process_id(&server), server.folder().display());
    thread::sleep(PATIENCE);
    panic!("nobody killed this process");
}

#[test]
fn a_server_ends_with_the_process_that_started_it_even_by_kill_9() {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_process_with_a_server", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.find_map(|line| line.unwrap().strip_prefix("server ").map(str::to_owned));
    let line = line.expect("the server started");
    let (server, folder) = line.split_once(' ').unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_gone(folder.as_ref(), server);
}

#[test]
fn a_server_ends_when_it_is_dropped_however_it_was_left() {
    for stopped in [None, Some(Stop::Fast), Some(Stop::Immediate)] {
        let server = Server::start(Settings::default());
        let (id, folder) = (process_id(&server), server.folder().to_owned());
        if let Some(how) = stopped {
            server.stop(how);
        }
        drop(server);
        assert_gone(&folder, &id);
    }
}
