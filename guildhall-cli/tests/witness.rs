//! A witness that is a process: what it is given, how it ends, and what is left when it is killed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use common::{Folder, PATIENCE, Running};
use guildhall_proof::merkle::{ConsistencyProof, MerkleTree, leaf_hash};
use guildhall_proof::witness::{AddCheckpoint, monitoring_path};
use guildhall_proof::{Seal, SignedSeal, SigningKey, VerifierKey};

const ORIGIN: &str = "example.com/log";

/// A folder with the keys of a log and of a witness.
fn folder() -> (Folder, SigningKey, VerifierKey) {
    let folder = Folder::new();
    let log = folder.succeed(&["key", "new", ORIGIN, "--out", "log.key"]);
    folder.succeed(&["key", "new", "w.example", "--witness", "--out", "w.key"]);
    let secret = std::fs::read_to_string(folder.path("log.key")).unwrap();
    (folder, secret.trim_end().parse().unwrap(), log.trim_end().parse().unwrap())
}

/// A witness on a free port, and where it is.
fn start(folder: &Folder, log: &VerifierKey, more: &[&str]) -> (Running, String) {
    let log = log.to_string();
    let arguments = ["witness", "--key", "w.key", "--log", &log, "--listen", ":0"];
    let mut running = Running::start(folder.guildhall(&[&arguments, more].concat()));
    let line = running.error_with("the witness is at http://");
    let at = line.split_once("http://").unwrap().1.split([' ', '/']).next().unwrap();
    (running, at.to_owned())
}

/// The request of a history that has `new` entries and shares all but the last with the others.
fn request(by: &SigningKey, history: u64, old: u64, new: u64) -> String {
    let tree = MerkleTree::new((0..new).map(|n| {
        let of = if n + 1 == new { history } else { 0 };
        leaf_hash(format!("{of}/{n}").as_bytes())
    }));
    let seal = Seal { origin: ORIGIN.parse().unwrap(), size: new, root: tree.root() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let seal = runtime.block_on(SignedSeal::sign(seal, by)).unwrap();
    let proof = ConsistencyProof::make(&tree, old, new).map(|proof| proof.hashes);
    AddCheckpoint { old_size: old, proof: proof.unwrap_or_default(), seal }.to_string()
}

/// The whole answer; none where the connection broke.
fn post(at: &str, path: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 ").then_some(answer)
}

fn status(answer: Option<String>) -> u16 {
    answer.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_witness_cosigns_and_ends_on_sigterm() {
    let (folder, log_key, log) = folder();
    let (running, at) = start(&folder, &log, &["--prefix", "/w1"]);
    let path = "/w1/add-checkpoint";
    assert_eq!(status(post(&at, path, &request(&log_key, 0, 0, 4))), 200);
    assert_eq!(status(post(&at, path, &request(&log_key, 1, 4, 4))), 422);
    let log = log.to_string();
    let again = ["witness", "--key", "w.key", "--log", &log, "--listen", ":0"];
    let said = folder.fail(1, &again);
    assert!(said.contains("another witness works on w.key.state"), "{said}");
    running.signal("-TERM");
    let (code, said) = running.ended();
    assert_eq!(code, Some(0), "{said}");
    // The seal that contradicts is kept where somebody looks.
    assert!(said.contains("contradicts") && said.contains("\u{2014} example.com/log"), "{said}");
    assert_eq!(folder.names(), ["log.key", "w.key", "w.key.state"]);
}

/// Killed as soon as it has written down, which is before it answers or just after, and at other moments:
/// nobody ever holds cosignatures of two histories.
#[test]
fn whenever_it_is_killed_there_is_one_history() {
    let (folder, log_key, log) = folder();
    let kept = folder.path("w.key.state").join(monitoring_path(&ORIGIN.parse().unwrap()));
    let (mut unanswered, mut answered) = (0, 0);
    for round in 0..12 {
        let (running, at) = start(&folder, &log, &[]);
        let first = request(&log_key, 1, 0, 4);
        let asked = thread::spawn(move || post(&at, "/add-checkpoint", &first));
        if round % 2 == 0 {
            while !kept.exists() && !asked.is_finished() {
                thread::yield_now();
            }
        } else {
            thread::sleep(Duration::from_micros(500 * round));
        }
        running.signal("-KILL");
        running.ended();
        let first = asked.join().unwrap().filter(|answer| answer.starts_with("HTTP/1.1 200"));

        let (running, at) = start(&folder, &log, &[]);
        match status(post(&at, "/add-checkpoint", &request(&log_key, 2, 0, 4))) {
            // Nothing of the first was written down, so nobody can have it.
            200 => assert_eq!(first, None, "two histories"),
            409 => {
                *(if first.is_some() { &mut answered } else { &mut unanswered }) += 1;
                let (fork, same) = (request(&log_key, 2, 4, 4), request(&log_key, 1, 4, 4));
                assert_eq!(status(post(&at, "/add-checkpoint", &fork)), 422);
                assert_eq!(status(post(&at, "/add-checkpoint", &same)), 200);
            }
            other => panic!("{other}"),
        }
        running.signal("-TERM");
        assert_eq!(running.ended().0, Some(0));
        std::fs::remove_dir_all(folder.path("w.key.state")).unwrap();
    }
    eprintln!("killed after writing down: {unanswered} without an answer, {answered} with one");
}

#[test]
fn what_will_not_do_is_refused_with_what_to_do() {
    let (folder, _, log) = folder();
    let (log, witness) = (log.to_string(), folder.succeed(&["key", "show", "w.key"]));
    std::fs::write(folder.path("policy"), "quorum none\n").unwrap();
    std::fs::write(folder.path("broken"), "quorum\n").unwrap();
    std::fs::create_dir(folder.path("full")).unwrap();
    std::fs::write(folder.path("full/diary"), "").unwrap();
    for (arguments, code, expected) in [
        (&["--key", "w.key"][..], 2, "--log"),
        (&["--key", "w.key", "--log", "nothing"], 2, "ORIGIN=VKEY"),
        (&["--key", "w.key", "--log", witness.trim_end()], 2, "a witness's"),
        (&["--key", "log.key", "--log", &log], 1, "--witness"),
        (&["--key", "missing", "--log", &log], 1, "check the path"),
        (&["--key", "w.key", "--policy", "policy"], 2, "no log to witness"),
        (&["--key", "w.key", "--policy", "broken"], 2, "line 1"),
        (&["--key", "w.key", "--log", &log, "--state", "full"], 1, "empty or not there"),
        (&["--key", "w.key", "--log", &log, "--prefix", "w1"], 2, "begins with a slash"),
    ] {
        let arguments = [&["witness", "--listen", ":0"], arguments].concat();
        let said = folder.fail(code, &arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    assert_eq!(folder.names(), ["broken", "full", "log.key", "policy", "w.key"]);
}

#[test]
fn a_log_is_named_by_its_key_its_origin_or_a_policy() {
    let (folder, log_key, log) = folder();
    let renamed = format!("{ORIGIN}={log}");
    std::fs::write(folder.path("policy"), format!("log {log}\nquorum none\n")).unwrap();
    for named in [["--log", &renamed], ["--policy", "policy"]] {
        let arguments = [&["witness", "--key", "w.key", "--listen", ":0"], &named[..]].concat();
        let mut running = Running::start(folder.guildhall(&arguments));
        let line = running.error_with("the witness is at http://");
        let at = line.split_once("http://").unwrap().1.split([' ', '/']).next().unwrap();
        let (old, new) = if named[0] == "--log" { (0, 4) } else { (4, 4) };
        assert_eq!(status(post(at, "/add-checkpoint", &request(&log_key, 0, old, new))), 200);
        running.signal("-INT");
        assert_eq!(running.ended().0, Some(0));
    }
}

#[test]
fn a_seal_is_cosigned_by_the_witnesses_that_are_named() {
    let folder = Folder::imported();
    let origin = folder.json(&["status"])["origin"].as_str().unwrap().to_owned();
    let log = folder.succeed(&["key", "new", &origin, "--out", "log.key"]);
    let witness = folder.succeed(&["key", "new", "w.example", "--witness", "--out", "w.key"]);
    let (running, at) = start(&folder, &log.trim_end().parse().unwrap(), &[]);
    let url = format!("http://{at}");
    let named = format!("{url}={witness}");
    let seal = ["seal", "--key", "log.key", "--folder", "public"];
    let sealed = folder.json(&[&seal[..], &["--witness", named.trim_end()]].concat());
    let sinks = sealed["sinks"].as_array().unwrap();
    assert!(sinks.iter().all(|sink| sink["size"] == sealed["size"]), "{sealed}");
    // The witness is asked first, so that the folder has its signature.
    let kept = SignedSeal::parse(std::fs::read(folder.path("public/checkpoint")).unwrap()).unwrap();
    let key: VerifierKey = witness.trim_end().parse().unwrap();
    assert_eq!(kept.note().verify([&key]).unwrap().len(), 1);

    // Named by a policy; and the database is put back to what it was before.
    std::fs::copy(folder.path("guildhall.db"), folder.path("before.db")).unwrap();
    let policy = format!("witness w {} {url}/\nquorum w\n", witness.trim_end());
    std::fs::write(folder.path("policy"), policy).unwrap();
    std::fs::write(folder.path("terms"), "{}").unwrap();
    folder.succeed(&["record", "accord", "--name", "new", "--terms", "terms", "--by", "ada"]);
    let seal = ["seal", "--key", "log.key", "--witness-policy", "policy"];
    let sealed = folder.json(&seal);
    assert_eq!(sealed["sinks"][0]["size"], sealed["size"], "{sealed}");
    std::fs::rename(folder.path("before.db"), folder.path("guildhall.db")).unwrap();
    let said = folder.fail(1, &seal);
    assert!(said.contains("restored from an older copy"), "{said}");

    running.signal("-TERM");
    assert_eq!(running.ended().0, Some(0));
    let said = folder.fail(1, &seal);
    assert!(said.contains("cannot be reached") && said.contains("leaving it out"), "{said}");
    let twice = ["--witness", named.trim_end(), "--witness", named.trim_end()];
    let said = folder.fail(2, &[&["seal", "--key", "log.key"], &twice[..]].concat());
    assert!(said.contains("named twice"), "{said}");
}
