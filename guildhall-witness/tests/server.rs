//! What a witness answers, to the byte, and what it keeps.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use guildhall_core::TreeHash;
use guildhall_proof::witness::{AddCheckpoint, MAX_REQUEST_BYTES, monitoring_path};
use guildhall_proof::{KeyType, Seal, SignedSeal, Signer as _, parse_signature_lines};
use guildhall_witness::{PathPrefix, ServerSettings};
use support::*;

#[tokio::test]
async fn every_status_of_the_specification() {
    let folder = tempfile::tempdir().unwrap();
    let (served, stop) =
        serve_here(&folder.path().join("state"), ServerSettings::default()).await.unwrap();
    let address = served.address();

    let first = request(0, 0, 5).await.to_string();
    let answered = post(address, &first).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    let lines = parse_signature_lines(answered.body.as_bytes()).unwrap();
    let mut seal = sealed(&tree(0, 5), &log_key()).await;
    let keys = [witness_key().key().clone()];
    assert_eq!(seal.accept(lines, &keys).unwrap(), 1);
    let verified = seal.note().verify(&keys).unwrap();
    assert_eq!(verified[0].unix_seconds, u64::try_from(NOW).ok());

    let grown = |old, new| async move { request(0, old, new).await };
    let unknown =
        Seal { origin: "example.com/other".parse().unwrap(), size: 1, root: tree(0, 1).root() };
    let unknown = SignedSeal::sign(unknown, &log_key()).await.unwrap();
    let by_stranger = sealed(&tree(0, 6), &key("stranger", KeyType::Ed25519, 9)).await;
    let same_name = sealed(&tree(0, 6), &key(ORIGIN, KeyType::Ed25519, 9)).await;
    let mut forged = grown(5, 6).await.to_string();
    let last = forged.rfind('=').unwrap() - 5;
    let other = if &forged[last..=last] == "A" { "B" } else { "A" };
    forged.replace_range(last..=last, other);
    let with = |seal| AddCheckpoint { old_size: 5, proof: Vec::new(), seal };
    let empty =
        Seal { origin: ORIGIN.parse().unwrap(), size: 0, root: TreeHash::from_bytes([1; 32]) };
    let empty = SignedSeal::sign(empty, &log_key()).await.unwrap();
    let longer =
        AddCheckpoint { proof: vec![TreeHash::from_bytes([0; 32]); 2], ..request(0, 5, 5).await };
    for (what, body, status, content_type, says) in [
        ("no request", "old 5\n".to_owned(), 400, "text/plain; charset=utf-8", ""),
        (
            "a leading zero",
            grown(5, 6).await.to_string().replacen('5', "05", 1),
            400,
            "text/plain; charset=utf-8",
            "",
        ),
        (
            "old beyond new",
            AddCheckpoint { old_size: 7, ..grown(5, 6).await }.to_string(),
            400,
            "text/plain; charset=utf-8",
            "",
        ),
        (
            "a stranger's signature",
            with(by_stranger).to_string(),
            403,
            "text/plain; charset=utf-8",
            "",
        ),
        (
            "a key of the same name",
            with(same_name).to_string(),
            403,
            "text/plain; charset=utf-8",
            "",
        ),
        ("a forged signature", forged, 403, "text/plain; charset=utf-8", ""),
        (
            "an unknown log",
            AddCheckpoint { old_size: 0, ..with(unknown) }.to_string(),
            404,
            "text/plain; charset=utf-8",
            "",
        ),
        (
            "an old size of before",
            request(0, 3, 6).await.to_string(),
            409,
            "text/x.tlog.size",
            "5\n",
        ),
        ("no old size", request(0, 0, 6).await.to_string(), 409, "text/x.tlog.size", "5\n"),
        (
            "an empty tree, later",
            AddCheckpoint { old_size: 0, ..with(empty) }.to_string(),
            409,
            "text/x.tlog.size",
            "5\n",
        ),
        (
            "a fork of one size",
            request(1, 5, 5).await.to_string(),
            422,
            "text/plain; charset=utf-8",
            "",
        ),
        (
            "a fork that grew",
            AddCheckpoint { proof: request(0, 5, 8).await.proof, ..request(2, 5, 5).await }
                .to_string(),
            422,
            "text/plain; charset=utf-8",
            "",
        ),
        ("a proof of nothing", longer.to_string(), 422, "text/plain; charset=utf-8", ""),
        (
            "the same again",
            request(0, 5, 5).await.to_string(),
            200,
            "text/plain; charset=utf-8",
            "",
        ),
        ("what grew", request(0, 5, 300).await.to_string(), 200, "text/plain; charset=utf-8", ""),
    ] {
        let answered = post(address, &body).await;
        assert_eq!(answered.status, status, "{what}: {answered:?}");
        assert_eq!(answered.header("content-type"), Some(content_type), "{what}: {answered:?}");
        if !says.is_empty() {
            assert_eq!(answered.body, says, "{what}");
        }
    }
    stop.send(()).unwrap();
    served.finished().await;
}

#[tokio::test]
async fn an_empty_tree_has_the_root_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let witness = start(&folder.path().join("state")).unwrap();
    let wrong =
        Seal { origin: ORIGIN.parse().unwrap(), size: 0, root: TreeHash::from_bytes([1; 32]) };
    let seal = SignedSeal::sign(wrong, &log_key()).await.unwrap();
    let body = AddCheckpoint { old_size: 0, proof: Vec::new(), seal }.to_string();
    assert_eq!(witness.add(body.as_bytes()).await.unwrap_err().status(), 422);
    assert!(witness.add(request(0, 0, 0).await.to_string().as_bytes()).await.is_ok());
    assert!(witness.add(request(0, 0, 3).await.to_string().as_bytes()).await.is_ok());
}

#[tokio::test]
async fn the_latest_seal_is_served_with_both_signatures_and_is_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let settings = ServerSettings::default().prefix("/w1".parse().unwrap());
    let (served, _stop) = serve_here(&state, settings).await.unwrap();
    let address = served.address();
    let path = monitoring_path(&ORIGIN.parse().unwrap());
    let at = format!("/w1/{path}");
    assert_eq!(call(address, "GET", &at, "").await.status, 404, "nothing was cosigned");
    assert_eq!(post(address, &request(0, 0, 5).await.to_string()).await.status, 404, "not here");
    let body = request(0, 0, 5).await.to_string();
    let cosigned = call(address, "POST", "/w1/add-checkpoint", &body).await;
    assert_eq!(cosigned.status, 200, "{cosigned:?}");
    let answered = call(address, "GET", &at, "").await;
    assert_eq!(answered.status, 200);
    assert_eq!(
        answered.body,
        format!("{}{}", sealed(&tree(0, 5), &log_key()).await, cosigned.body)
    );
    assert_eq!(std::fs::read_to_string(state.join(path)).unwrap(), answered.body);
    assert_eq!(call(address, "HEAD", &at, "").await.body, "");
}

#[tokio::test]
async fn what_is_not_asked_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ServerSettings::default().body_timeout(Duration::from_millis(200));
    let (served, _stop) = serve_here(&folder.path().join("state"), settings).await.unwrap();
    let address = served.address();
    let get = call(address, "GET", "/add-checkpoint", "").await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert_eq!(call(address, "POST", "/healthz", "").await.status, 405);
    assert_eq!(call(address, "GET", "/other", "").await.status, 404);
    assert_eq!(call(address, "POST", "/add-checkpoint/", "").await.status, 404);
    assert_eq!(call(address, "GET", "/healthz", "").await.body, "ok\n");

    let long = "x".repeat(MAX_REQUEST_BYTES + 1);
    assert_eq!(post(address, &long).await.status, 400);
    let chunked = "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = format!("{chunked}{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    assert_eq!(send(address, chunked.as_bytes()).await.status, 400);
    let slow = "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: 9\r\n\r\nold";
    assert_eq!(send(address, slow.as_bytes()).await.status, 408);

    let metrics = call(address, "GET", "/metrics", "").await.body;
    assert!(metrics.contains("guildhall_witness_answers_total{status=\"405\"} 2\n"), "{metrics}");
    assert!(metrics.contains("guildhall_witness_size{log=\"example.com/log\"} 0\n"), "{metrics}");
}

#[tokio::test]
async fn who_asks_too_often_waits_and_health_is_always_told() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ServerSettings::default().requests_per_second(1_u32);
    let (served, _stop) = serve_here(&folder.path().join("state"), settings).await.unwrap();
    let mut refused = None;
    for _ in 0..100 {
        let answered = post(served.address(), "").await;
        if answered.status == 429 {
            refused = answered.header("retry-after").map(str::to_owned);
            break;
        }
        assert_eq!(answered.status, 400);
    }
    assert_eq!(refused.as_deref(), Some("1"));
    assert_eq!(call(served.address(), "GET", "/healthz", "").await.status, 200);
}

#[test]
fn a_prefix_is_the_beginning_of_a_path() {
    for text in ["", "/w1", "/a/b"] {
        assert_eq!(text.parse::<PathPrefix>().unwrap().to_string(), text);
    }
    for text in ["w1", "/", "/w1/", "/w 1", "/w?1", "/\u{e4}"] {
        assert!(text.parse::<PathPrefix>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn it_ends_although_a_connection_stays_open_and_lets_go_of_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (served, stop) = serve_here(&state, ServerSettings::default()).await.unwrap();
    let address = served.address();
    let _open = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_eq!(post(address, &request(0, 0, 5).await.to_string()).await.status, 200);
    let healthy = served.health();
    assert!(healthy());
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), served.finished()).await.unwrap();
    assert!(!healthy());
    let again = start(&state).unwrap();
    let (_, state) = again.logs().next().unwrap();
    assert_eq!(state.latest.unwrap().seal().size, 5);
}
