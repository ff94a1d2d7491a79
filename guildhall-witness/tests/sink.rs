//! A sealer and its witnesses: sound ones, slow ones, liars, and a log that was rewritten.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use guildhall_core::memory::MemoryChronicle;
use guildhall_core::{AccordBound, Append, Chronicle, Json, NewEntry, Position, Seals};
use guildhall_projector::proof::{
    SealSink, SealedLog, Sealer, SealerError, SealerStatus, SinkError,
};
use guildhall_proof::{KeyType, LogKeys, SignedSeal, Signer as _, SigningKey, cosign};
use guildhall_witness::{
    ClientSettings, Served, ServerSettings, Witness, WitnessAddress, WitnessClient, WitnessSink,
    WitnessedLog, serve,
};
use support::{ORIGIN, answering, clock, key, log_key, response};
use tokio::sync::oneshot;

/// A witness of the log, on the network.
struct Running {
    served: Served,
    key: SigningKey,
    _stop: oneshot::Sender<()>,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn start(name: &str, seed: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = key(name, KeyType::Cosignature, seed);
        let log = WitnessedLog::named_after(log_key().key().clone()).unwrap();
        let state = folder.path().join("state");
        let witness = Witness::start(Arc::new(key.clone()), [log], &state, clock()).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let served = serve(witness, address, ServerSettings::default(), stopped).await.unwrap();
        Self { served, key, _stop: stop, _folder: folder }
    }

    fn sink(&self) -> Arc<dyn SealSink> {
        sink(self.served.address(), &self.key)
    }
}

fn sink(address: SocketAddr, key: &SigningKey) -> Arc<dyn SealSink> {
    let address = WitnessAddress::new(&format!("http://{address}"), key.key().clone()).unwrap();
    let settings = ClientSettings::default().answer_timeout(Duration::from_secs(2));
    let client = WitnessClient::new(address, &settings).unwrap();
    let keys = LogKeys::single(ORIGIN.parse().unwrap(), log_key().key().clone()).unwrap();
    Arc::new(WitnessSink::new(client, keys))
}

/// A log of so many accords of this history: two histories have no entry in common.
async fn log(history: &str, accords: usize) -> Arc<MemoryChronicle> {
    let log = Arc::new(MemoryChronicle::new());
    log.fix_origin(ORIGIN.parse().unwrap()).await.unwrap();
    append(&log, history, accords).await;
    log
}

async fn append(log: &MemoryChronicle, history: &str, accords: usize) {
    for _ in 0..accords {
        let at = "2026-11-23T10:05:00Z".parse().unwrap();
        let accord = AccordBound::new(history, "ada", Json::parse("{}").unwrap(), at);
        log.append(Append::of([NewEntry::new(&accord.into())])).await.unwrap();
    }
}

async fn seal(
    log: &Arc<MemoryChronicle>,
    sinks: impl IntoIterator<Item = Arc<dyn SealSink>>,
) -> Result<SealerStatus, SealerError> {
    let mut builder = Sealer::builder(log.clone(), Arc::new(log_key()));
    for sink in sinks {
        builder = builder.sink(sink);
    }
    builder.seal().await
}

/// The last seal, with what was cosigned.
async fn sealed(log: &MemoryChronicle) -> SignedSeal {
    let stored = log.last_seal().await.unwrap().unwrap();
    let mut text = stored.note;
    for cosignature in log.cosignatures(stored.size).await.unwrap() {
        text += &cosignature.line;
        text.push('\n');
    }
    SignedSeal::parse(text).unwrap()
}

/// Who of these cosigned the last seal.
async fn cosigned(log: &MemoryChronicle, keys: &[&SigningKey]) -> usize {
    let keys = keys.iter().map(|key| key.key());
    sealed(log).await.note().verify(keys).map_or(0, |by| by.len())
}

#[tokio::test]
async fn every_witness_cosigns_every_seal() {
    let (one, other) =
        (Running::start("w1.example", 11).await, Running::start("w2.example", 12).await);
    let log = log("a", 3).await;
    let sinks = || [one.sink(), other.sink()];
    let kept = sinks();
    for entries in [0, 300, 1] {
        append(&log, "a", entries).await;
        // Some sinks know where their witness stands, and new ones ask.
        for sinks in [kept.clone(), sinks()] {
            let status = seal(&log, sinks).await.unwrap();
            assert!(status.sinks.iter().all(|sink| sink.error.is_none()), "{:?}", status.sinks);
        }
        assert_eq!(cosigned(&log, &[&one.key, &other.key]).await, 2);
    }
}

/// One that shows no seal, and answers every request in this way.
async fn bad(status: u16, content_type: &'static str, body: &'static str) -> SocketAddr {
    answering(move |request| {
        let is_shown = request.starts_with("GET");
        Some(if is_shown {
            response(404, "text/plain", "")
        } else {
            response(status, content_type, body)
        })
    })
    .await
}

#[tokio::test]
async fn witnesses_that_fail_or_lie_cost_their_own_signatures_alone() {
    let hangs = |request: &str| request.starts_with("GET").then(|| response(404, "text/plain", ""));
    let cases = [
        ("hangs", answering(hangs).await, true),
        ("hangs too", answering(hangs).await, true),
        ("fails", bad(500, "text/plain", "").await, true),
        ("conflicts for ever", bad(409, "text/x.tlog.size", "0\n").await, true),
        ("claims a larger size", bad(409, "text/x.tlog.size", "1000\n").await, false),
        ("claims a contradiction", bad(422, "text/plain", "").await, false),
        ("does not know the log", bad(404, "text/plain", "").await, false),
        ("does not trust the key", bad(403, "text/plain", "").await, false),
        ("signs nothing", bad(200, "text/plain", "\n").await, false),
    ];
    let stranger = key("stranger", KeyType::Cosignature, 99);
    let sound = Running::start("w1.example", 11).await;
    let log = log("a", 3).await;
    let sinks = || cases.iter().map(|(_, address, _)| sink(*address, &stranger));
    let status = seal(&log, sinks().chain([sound.sink()])).await.unwrap();
    let (last, others) = status.sinks.split_last().unwrap();
    assert!(last.error.is_none(), "{last:?}");
    for ((what, ..), status) in cases.iter().zip(others) {
        assert!(status.error.is_some(), "{what}");
    }
    assert_eq!(cosigned(&log, &[&sound.key, &stranger]).await, 1);

    let stored = sealed(&log).await;
    let sealed = SealedLog::load(log, stored).await.unwrap();
    for ((what, _, is_transient), sink) in cases.iter().zip(sinks()) {
        let error = sink.take(&sealed).await.unwrap_err();
        assert_eq!(error.is_transient(), *is_transient, "{what}: {error:?}");
        assert!(!matches!(error, SinkError::Contradicts { .. }), "{what}: {error:?}");
    }
}

#[tokio::test]
async fn a_log_that_was_rewritten_is_not_sealed_again() {
    let witness = Running::start("w1.example", 11).await;
    let first = log("a", 3).await;
    seal(&first, [witness.sink()]).await.unwrap();
    // The owner has the key, and makes another log of the same name, of as many entries and of more.
    for accords in [4, 9] {
        let second = log("b", accords).await;
        let error = seal(&second, [witness.sink()]).await.unwrap_err();
        assert!(matches!(error, SealerError::SinkHoldsOther { .. }), "{error:?}");
        assert!(second.last_seal().await.unwrap().is_none());
    }
    // Restored from a copy of before.
    let older = log("a", 1).await;
    let error = seal(&older, [witness.sink()]).await.unwrap_err();
    assert!(matches!(error, SealerError::SinkHoldsMore { .. }), "{error:?}");

    // Sealed where nobody asked the witness, and then sent to it.
    let second = log("b", 9).await;
    seal(&second, []).await.unwrap();
    let stored = sealed(&second).await;
    let sealed = SealedLog::load(second, stored).await.unwrap();
    let error = witness.sink().take(&sealed).await.unwrap_err();
    assert!(matches!(error, SinkError::Contradicts { held_size: 4, .. }), "{error:?}");
}

#[tokio::test]
async fn what_a_witness_shows_binds_only_where_the_log_signed_it() {
    let liar = key("liar.example", KeyType::Cosignature, 77);
    let log = log("a", 3).await;
    seal(&log, []).await.unwrap();
    // A seal of more entries, by a key that is not the log's, and cosigned.
    let forger = key(ORIGIN, KeyType::Ed25519, 66);
    let mut forged = support::sealed(&support::tree(0, 1000), &forger).await;
    forged.add(cosign(&forged, &liar, 1_800_000_000).await.unwrap()).unwrap();
    let shown = forged.to_string();
    let address = answering(move |request| {
        let shown = request.starts_with("GET").then(|| response(200, "text/plain", &shown));
        Some(shown.unwrap_or_else(|| response(422, "text/plain", "")))
    });
    let address = address.await;
    assert_eq!(sink(address, &liar).held().await.unwrap(), None);
    let page = answering(|_| Some(response(200, "text/html", "<p>Hello"))).await;
    assert_eq!(sink(page, &liar).held().await.unwrap(), None);
    let down = answering(|_| Some(response(503, "text/plain", ""))).await;
    assert!(sink(down, &liar).held().await.unwrap_err().is_transient());
    append(&log, "a", 1).await;
    let status = seal(&log, [sink(address, &liar)]).await.unwrap();
    assert!(status.size > 4 && status.sinks[0].error.is_some(), "{status:?}");

    // One that was signed by the log, and that nobody here knows of: two sealers with one key.
    let mut real = support::sealed(&support::tree(0, 1000), &log_key()).await;
    real.add(cosign(&real, &liar, 1_800_000_000).await.unwrap()).unwrap();
    let shown = real.to_string();
    let address = answering(move |_| Some(response(200, "text/plain", &shown))).await;
    assert_eq!(sink(address, &liar).held().await.unwrap().map(|seal| seal.size), Some(1000));
    append(&log, "a", 1).await;
    let error = seal(&log, [sink(address, &liar)]).await.unwrap_err();
    assert!(matches!(error, SealerError::SinkHoldsMore { held_size: 1000, .. }), "{error:?}");
    assert_eq!(log.head().await.unwrap().position, Position::new(7));
}
