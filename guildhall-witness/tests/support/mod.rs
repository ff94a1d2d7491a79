//! A log that grows and forks as a test wants, and HTTP to the byte.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use guildhall_core::command::Clock;
use guildhall_proof::merkle::{ConsistencyProof, MerkleTree, leaf_hash};
use guildhall_proof::witness::AddCheckpoint;
use guildhall_proof::{KeyType, Seal, SignedSeal, Signer as _, SigningKey};
use guildhall_witness::{
    ServeError, Served, ServerSettings, StateError, Witness, WitnessedLog, serve,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const ORIGIN: &str = "example.com/log";

/// The second in which the clock of the tests stands.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn key(name: &str, key_type: KeyType, seed: u8) -> SigningKey {
    SigningKey::from_seed(name.parse().unwrap(), key_type, &[seed; 32]).unwrap()
}

pub(crate) fn log_key() -> SigningKey {
    key(ORIGIN, KeyType::Ed25519, 1)
}

pub(crate) fn witness_key() -> SigningKey {
    key("w.example", KeyType::Cosignature, 2)
}

pub(crate) fn clock() -> Clock {
    Clock::from_fn(|| guildhall_core::Timestamp::from_micros(NOW * 1_000_000).unwrap())
}

pub(crate) fn the_log() -> WitnessedLog {
    WitnessedLog { origin: ORIGIN.parse().unwrap(), keys: vec![log_key().key().clone()] }
}

pub(crate) fn start(folder: &Path) -> Result<Witness, StateError> {
    Witness::start(Arc::new(witness_key()), [the_log()], folder, clock())
}

/// The first `size` entries of a history: histories of other numbers have another last entry.
pub(crate) fn tree(history: u64, size: u64) -> MerkleTree {
    let last = size.saturating_sub(1);
    MerkleTree::new((0..size).map(|n| {
        let of = if n == last { history } else { 0 };
        leaf_hash(format!("{of}/{n}").as_bytes())
    }))
}

pub(crate) async fn sealed(tree: &MerkleTree, by: &SigningKey) -> SignedSeal {
    let seal = Seal { origin: ORIGIN.parse().unwrap(), size: tree.size(), root: tree.root() };
    SignedSeal::sign(seal, by).await.unwrap()
}

/// The request of that history, which leads from `old` entries to `new`. Histories share what they have
/// in common with 0.
pub(crate) async fn request(history: u64, old: u64, new: u64) -> AddCheckpoint {
    let tree = tree(history, new);
    let proof = ConsistencyProof::make(&tree, old, new).map(|proof| proof.hashes);
    let seal = sealed(&tree, &log_key()).await;
    AddCheckpoint { old_size: old, proof: proof.unwrap_or_default(), seal }
}

pub(crate) async fn serve_here(
    folder: &Path,
    settings: ServerSettings,
) -> Result<(Served, tokio::sync::oneshot::Sender<()>), ServeError> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let served = serve(start(folder).unwrap(), address, settings, stopped).await?;
    Ok((served, stop))
}

/// An answer, as it came.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Sends a request and reads what comes until the end.
pub(crate) async fn send(address: SocketAddr, request: &[u8]) -> Answered {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A server that has seen enough may answer before it was sent everything.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let answer = tokio::time::timeout(Duration::from_secs(60), exchange).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answered { status, head: head.to_owned(), body: body.to_owned() }
}

pub(crate) async fn call(address: SocketAddr, method: &str, path: &str, body: &str) -> Answered {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    send(address, (head + body).as_bytes()).await
}

pub(crate) async fn post(address: SocketAddr, body: &str) -> Answered {
    call(address, "POST", "/add-checkpoint", body).await
}

/// A server that answers every request, head and body, with this, or never.
pub(crate) async fn answering(
    answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                match answer(&whole(&mut stream).await) {
                    Some(answer) => {
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                    None => std::future::pending().await,
                }
            });
        }
    });
    address
}

/// A request up to the end of its body: whoever closes before may take the answer with it.
async fn whole(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if request.len() >= head.len() + 4 + length {
                return text;
            }
        }
        match stream.read_buf(&mut request).await {
            Ok(length) if length > 0 => {}
            _ => return text,
        }
    }
}

pub(crate) fn response(status: u16, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}
