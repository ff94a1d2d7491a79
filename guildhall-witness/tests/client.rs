//! A witness that is well, one that is elsewhere, and those that fail, lie and never stop.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use guildhall_proof::merkle::ConsistencyProof;
use guildhall_proof::{KeyType, NoteSignature, Signer as _, SigningKey, cosign};
use guildhall_witness::{
    ClientSettings, CosignError, ServerSettings, TlsError, WitnessAddress, WitnessClient,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use support::*;
use tokio::net::TcpListener;

fn client(address: SocketAddr, settings: ClientSettings) -> WitnessClient {
    let address =
        WitnessAddress::new(&format!("http://{address}"), witness_key().key().clone()).unwrap();
    WitnessClient::new(address, &settings).unwrap()
}

/// Has a history cosigned that is thought to stand at `old`.
async fn ask(
    client: &WitnessClient,
    history: u64,
    old: u64,
    new: u64,
) -> Result<NoteSignature, CosignError> {
    let grown = tree(history, new);
    let seal = sealed(&grown, &log_key()).await;
    let prove = |old| {
        let proof = ConsistencyProof::make(&grown, old, new);
        ready(proof.map(|proof| proof.hashes))
    };
    client.cosign(&seal, old, prove).await
}

#[tokio::test]
async fn a_witness_cosigns_wherever_it_is_thought_to_stand() {
    let folder = tempfile::tempdir().unwrap();
    let (served, _stop) =
        serve_here(&folder.path().join("state"), ServerSettings::default()).await.unwrap();
    let client = client(served.address(), ClientSettings::default());
    let origin = ORIGIN.parse().unwrap();
    assert!(client.latest(&origin).await.unwrap().is_none());
    // From nothing, too early, too late, known, nothing new.
    for (old, new) in [(0, 5), (0, 300), (299, 300), (300, 301), (301, 301), (0, 301)] {
        let cosignature = ask(&client, 0, old, new).await.unwrap();
        let mut seal = sealed(&tree(0, new), &log_key()).await;
        seal.add(cosignature).unwrap();
        assert_eq!(seal.note().verify([witness_key().key()]).unwrap().len(), 1);
        assert_eq!(client.latest(&origin).await.unwrap().unwrap(), seal);
    }
    let error = ask(&client, 1, 301, 301).await.unwrap_err();
    assert!(matches!(error, CosignError::Inconsistent) && error.is_contradiction(), "{error}");
    let error = ask(&client, 0, 0, 300).await.unwrap_err();
    assert!(matches!(error, CosignError::Ahead { witnessed: 301, sealed: 300 }), "{error}");
    assert!(error.is_contradiction());
}

async fn outcome(answer: Option<String>) -> CosignError {
    let address = answering(move |_| answer.clone()).await;
    let settings = ClientSettings::default().answer_timeout(Duration::from_millis(500));
    ask(&client(address, settings), 0, 0, 5).await.unwrap_err()
}

#[tokio::test]
async fn what_fails_is_told_apart() {
    let hangs = outcome(None).await;
    assert!(matches!(hangs, CosignError::Silent(_)), "{hangs}");
    let closes = outcome(Some(String::new())).await;
    assert!(matches!(closes, CosignError::Unreachable(_)), "{closes}");
    let breaks_off = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n\u{2014} w".to_owned();
    let breaks_off = outcome(Some(breaks_off)).await;
    assert!(matches!(breaks_off, CosignError::Unreachable(_)), "{breaks_off}");
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(2_000_000));
    let endless = outcome(Some(endless)).await;
    assert!(matches!(endless, CosignError::Unreachable(_)), "{endless}");
    for status in [500, 503, 429, 301, 201] {
        let error = outcome(Some(response(status, "text/plain", ""))).await;
        assert!(
            matches!(error, CosignError::Status { status: found } if found == status),
            "{error}"
        );
        assert!(!error.is_contradiction());
    }
    for (status, is_expected) in [
        (400, (|error| matches!(error, CosignError::Malformed)) as fn(&CosignError) -> bool),
        (403, |error| matches!(error, CosignError::Untrusted)),
        (404, |error| matches!(error, CosignError::UnknownLog)),
        (422, |error| matches!(error, CosignError::Inconsistent)),
        (200, |error| matches!(error, CosignError::Answer(_))),
        (409, |error| matches!(error, CosignError::Answer(_))),
    ] {
        let error = outcome(Some(response(status, "text/plain", "5\n"))).await;
        assert!(is_expected(&error), "{status}: {error}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = ask(&client(nobody, ClientSettings::default()), 0, 0, 5).await.unwrap_err();
    assert!(matches!(error, CosignError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn who_says_409_for_ever_is_left_alone() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let address = answering(move |_| {
        let nth = counted.fetch_add(1, Ordering::SeqCst);
        Some(response(409, "text/x.tlog.size", if nth.is_multiple_of(2) { "3\n" } else { "4\n" }))
    });
    let address = address.await;
    let error = ask(&client(address, ClientSettings::default()), 0, 0, 5).await.unwrap_err();
    assert!(matches!(error, CosignError::Conflicts { .. }), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    let same = answering(|_| Some(response(409, "text/x.tlog.size", "0\n"))).await;
    let error = ask(&client(same, ClientSettings::default()), 0, 0, 5).await.unwrap_err();
    assert!(matches!(error, CosignError::Conflicts { size: 0 }), "{error}");
}

#[tokio::test]
async fn no_signature_is_taken_that_is_not_the_witnesss_own_of_this_seal() {
    let line = async |by: &SigningKey, size| {
        let seal = sealed(&tree(0, size), &log_key()).await;
        cosign(&seal, by, 1_800_000_000).await.unwrap().to_string() + "\n"
    };
    let right = line(&witness_key(), 5).await;
    let stranger = line(&key("stranger", KeyType::Cosignature, 9), 5).await;
    let of_another = line(&witness_key(), 4).await;
    let renamed = line(&key("w.example", KeyType::Cosignature, 9), 5).await;
    let mut changed = right.clone();
    let at = changed.len() - 6;
    let other = if &changed[at..=at] == "A" { "B" } else { "A" };
    changed.replace_range(at..=at, other);
    for (what, lines) in [
        ("a stranger's", stranger.clone()),
        ("of another seal", of_another.clone()),
        ("of another key of the name", renamed),
        ("changed", changed.clone()),
        ("a wrong one beside the right one", format!("{right}{of_another}")),
    ] {
        let error = outcome(Some(response(200, "text/plain", &lines))).await;
        assert!(matches!(error, CosignError::Cosignature(_)), "{what}: {error}");
    }
    let address =
        answering(move |_| Some(response(200, "text/plain", &format!("{stranger}{right}"))));
    let client = client(address.await, ClientSettings::default());
    let cosignature = ask(&client, 0, 0, 5).await.unwrap();
    assert_eq!(cosignature.name.as_str(), "w.example");
}

#[tokio::test]
async fn a_proof_that_cannot_be_made_is_said() {
    let address = answering(|_| Some(response(409, "text/x.tlog.size", "3\n"))).await;
    let client = client(address, ClientSettings::default());
    let seal = sealed(&tree(0, 5), &log_key()).await;
    let error = client.cosign(&seal, 0, |_| ready(Err("the tiles are gone"))).await.unwrap_err();
    assert!(matches!(error, CosignError::NoProof { old: 3, .. }), "{error}");
}

/// A certificate for localhost and its key, in this folder.
fn certify(folder: &std::path::Path) {
    let made = Command::new("openssl")
        .current_dir(folder)
        .args([
            "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "key.pem", "-out",
            "cert.pem",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-days", "2"])
        .output()
        .expect("openssl is there: Debian's package openssl has it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn https_is_spoken_to_whom_an_authority_vouches_for() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let (served, _stop) =
        serve_here(&folder.path().join("state"), ServerSettings::default()).await.unwrap();
    let plain = served.address();
    let certificate = std::fs::read(folder.path().join("cert.pem")).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(&certificate).unwrap()];
    let private = PrivateKeyDer::from_pem_file(folder.path().join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut inner = tokio::net::TcpStream::connect(plain).await.unwrap();
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut inner).await;
                }
                Ok::<_, Infallible>(())
            });
        }
    });
    let address = |host: &str| {
        WitnessAddress::new(&format!("https://{host}:{port}"), witness_key().key().clone()).unwrap()
    };
    let trusting = ClientSettings::default().authorities(Some(certificate));
    let client = WitnessClient::new(address("localhost"), &trusting).unwrap();
    ask(&client, 0, 0, 5).await.unwrap();
    // By another name, and vouched for by nobody.
    let client = WitnessClient::new(address("127.0.0.1"), &trusting).unwrap();
    let error = ask(&client, 0, 0, 5).await.unwrap_err();
    assert!(matches!(error, CosignError::Unreachable(_)), "{error}");
    let elsewhere = tempfile::tempdir().unwrap();
    certify(elsewhere.path());
    let other = std::fs::read(elsewhere.path().join("cert.pem")).unwrap();
    let distrusting = ClientSettings::default().authorities(Some(other));
    let client = WitnessClient::new(address("localhost"), &distrusting).unwrap();
    let error = ask(&client, 0, 5, 5).await.unwrap_err();
    assert!(matches!(error, CosignError::Unreachable(_)), "{error}");

    let none = ClientSettings::default().authorities(Some(b"nothing".to_vec()));
    let error = WitnessClient::new(address("localhost"), &none).unwrap_err();
    assert!(matches!(error, TlsError::NoAuthority), "{error}");
}
