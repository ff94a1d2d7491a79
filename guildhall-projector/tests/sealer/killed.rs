//! Whatever ends a sealer, wherever, the next one goes on: what was told is never contradicted, and no
//! index is appended twice for one seal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use guildhall_core::{Chronicle, ChronicleIndexed, Position, Seals};
use guildhall_projector::proof::{
    SealSink, SealedLog, Sealer, SealerError, SealerSettings, SinkError,
};
use guildhall_proof::{
    KeyType, NoteSignature, Seal, Signer, SignerError, SigningKey, VerifierKey, cosign,
};

use crate::faulty::{Fails, Faulty};
use crate::{ALL, Recording, append, assert_sealed, key, keys, log, root_at};

/// A signer that fails the first time.
struct Reluctant {
    key: SigningKey,
    fails: AtomicBool,
}

#[async_trait]
impl Signer for Reluctant {
    fn key(&self) -> &VerifierKey {
        self.key.key()
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        if self.fails.swap(false, Ordering::Relaxed) {
            return Err(SignerError::new("out of reach"));
        }
        self.key.sign(message).await
    }
}

/// A witness that cosigns whatever it gets.
struct Witness(SigningKey);

#[async_trait]
impl SealSink for Witness {
    fn name(&self) -> &str {
        "witness"
    }

    fn cosigns(&self) -> bool {
        true
    }

    async fn held(&self) -> Result<Option<Seal>, SinkError> {
        Ok(None)
    }

    async fn take(&self, log: &SealedLog) -> Result<Vec<NoteSignature>, SinkError> {
        let signed = cosign(log.seal(), &self.0, 1_800_000_000).await;
        Ok(vec![signed.map_err(SinkError::permanent)?])
    }
}

fn witness() -> Arc<Witness> {
    let name = "w.example".parse().unwrap();
    Arc::new(Witness(SigningKey::from_seed(name, KeyType::Cosignature, &[9; 32]).unwrap()))
}

/// What a sealer does once, killed or not.
async fn attempt(
    log: &Arc<Faulty>,
    signer: Arc<dyn Signer>,
    sinks: &[Arc<Recording>; 2],
) -> Result<(), SealerError> {
    let builder = Sealer::builder(log.clone(), signer).sink(witness());
    let builder = builder.settings(SealerSettings::default().retries(0));
    let [first, second] = sinks.clone();
    builder.sink(first).sink(second).seal().await.map(drop)
}

/// Everything that was told is of the log as it is now.
async fn assert_never_contradicted(log: &Faulty, sinks: &[Arc<Recording>; 2]) {
    let entries = log.read(Position::ZERO, ALL).await.unwrap();
    for sink in sinks {
        for told in sink.told.lock().unwrap().iter() {
            assert_eq!(told.root, root_at(&entries, told.size), "at {}", told.size);
        }
    }
}

#[tokio::test]
async fn whichever_step_fails_the_next_attempt_goes_on() {
    let steps = [
        Some(Fails::BeforeAppend),
        Some(Fails::AfterAppend),
        Some(Fails::BeforeSave),
        Some(Fails::AfterSave),
        Some(Fails::BeforeCosignature),
        None,
    ];
    for fails in steps {
        for is_grown in [false, true] {
            let log = Arc::new(Faulty::over(log(10).await));
            let sinks = [Arc::new(Recording::default()), Arc::new(Recording::default())];
            attempt(&log, Arc::new(key(1)), &sinks).await.unwrap();
            append(&*log, 5).await;
            // The signer, where no step of the store's does.
            let reluctant = Reluctant { key: key(1), fails: AtomicBool::new(fails.is_none()) };
            if let Some(fails) = fails {
                log.fail(fails);
            }
            let failed = attempt(&log, Arc::new(reluctant), &sinks).await.unwrap_err();
            assert!(failed.is_transient(), "{fails:?}: {failed}");
            assert_never_contradicted(&log, &sinks).await;
            if is_grown {
                append(&*log, 2).await;
            }
            attempt(&log, Arc::new(key(1)), &sinks).await.unwrap();
            assert_never_contradicted(&log, &sinks).await;
            assert_sealed(&*log, &keys()).await;
            let last = log.last_seal().await.unwrap().unwrap();
            assert_eq!(last.size, log.head().await.unwrap().position, "{fails:?}");
            for sink in &sinks {
                assert_eq!(sink.told.lock().unwrap().last().unwrap().size, last.size.get());
            }
            assert_eq!(log.cosignatures(last.size).await.unwrap().len(), 1);
            // An index that was appended and not sealed serves the next attempt.
            if !is_grown {
                let entries = log.read(Position::ZERO, ALL).await.unwrap();
                let is_index = |entry: &&guildhall_core::Entry| {
                    entry.event_type.as_str() == ChronicleIndexed::TYPE
                };
                assert_eq!(entries.iter().filter(is_index).count(), 2, "{fails:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let log = Arc::new(Faulty::over(log(10).await));
    for fails in [Fails::BeforeAppend, Fails::AfterAppend, Fails::BeforeSave, Fails::AfterSave] {
        log.fail(fails);
    }
    let settings = SealerSettings::default().backoff_most(std::time::Duration::from_millis(5));
    let builder = Sealer::builder(log.clone(), Arc::new(key(1))).settings(settings);
    let status = builder.seal().await.unwrap();
    assert_eq!((status.size, status.restarts), (11, 4));
    assert_eq!(assert_sealed(&*log, &keys()).await, [11]);
}

#[tokio::test]
async fn a_sink_that_fails_keeps_no_other_from_its_seal() {
    let log = Arc::new(Faulty::over(log(10).await));
    let sinks = [Arc::new(Recording::default()), Arc::new(Recording::default())];
    *sinks[0].fails.lock().unwrap() = true;
    let [first, second] = sinks.clone();
    let builder = Sealer::builder(log.clone(), Arc::new(key(1))).sink(first).sink(second);
    let status = builder.seal().await.unwrap();
    assert!(!status.is_told());
    assert_eq!(status.sinks[0].size, None);
    assert!(status.sinks[0].error.as_ref().unwrap().message.contains("on purpose"));
    assert_eq!(status.sinks[1].size, Some(11));
    // It is told the next time, although nothing is new.
    attempt(&log, Arc::new(key(1)), &sinks).await.unwrap();
    assert_eq!(sinks[0].told.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_running_sealer_signs_later_what_the_signer_could_not() {
    let log = Arc::new(Faulty::over(log(10).await));
    let signer = Reluctant { key: key(1), fails: AtomicBool::new(true) };
    let sealer = Sealer::builder(log.clone(), Arc::new(signer))
        .settings(SealerSettings::default().backoff_most(std::time::Duration::from_millis(5)))
        .start();
    sealer.wait_until(Position::new(10)).await.unwrap();
    assert_eq!(sealer.status().restarts, 1);
    sealer.shutdown().await.unwrap();
    assert_eq!(assert_sealed(&*log, &keys()).await, [11]);
}
