//! One history of each log, whatever is asked at once and however a witness ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use guildhall_proof::witness::{Refusal, monitoring_path};
use guildhall_proof::{KeyType, Signer, SignerError, SigningKey, VerifierKey, cosign};
use guildhall_witness::{AddError, StateError, Witness};
use support::*;
use tokio::sync::Semaphore;

/// A folder that a witness may have its state in.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    (folder, state)
}

async fn add(witness: &Witness, history: u64, old: u64, new: u64) -> Result<String, AddError> {
    witness.add(request(history, old, new).await.to_string().as_bytes()).await
}

fn conflict(outcome: Result<String, AddError>) -> u64 {
    match outcome {
        Err(AddError::Refused(Refusal::Conflict { expected, .. })) => expected,
        other => panic!("{other:?}"),
    }
}

fn checkpoint(state: &std::path::Path) -> PathBuf {
    state.join(monitoring_path(&ORIGIN.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_requests_at_once_one_history_is_cosigned() {
    for _ in 0..8 {
        let (_folder, state) = folder();
        let witness = Arc::new(start(&state).unwrap());
        add(&witness, 0, 0, 4).await.unwrap();
        let mut asked = tokio::task::JoinSet::new();
        for history in 1..=8 {
            let witness = Arc::clone(&witness);
            asked.spawn(async move { (history, add(&witness, history, 4, 5).await) });
        }
        let (cosigned, refused): (Vec<_>, Vec<_>) =
            asked.join_all().await.into_iter().partition(|(_, answer)| answer.is_ok());
        assert_eq!((cosigned.len(), refused.len()), (1, 7), "{cosigned:?}");
        for (history, answer) in refused {
            assert_eq!(conflict(answer), 5);
            assert_eq!(add(&witness, history, 5, 5).await.unwrap_err().status(), 422);
        }
        add(&witness, cosigned[0].0, 5, 5).await.unwrap();
    }
}

/// The file of a witness that cosigned this.
async fn kept_of(history: u64, size: u64) -> String {
    let mut seal = sealed(&tree(history, size), &log_key()).await;
    seal.add(cosign(&seal, &witness_key(), 1_700_000_000).await.unwrap()).unwrap();
    seal.to_string()
}

/// Signs when it is let.
struct Gate {
    key: SigningKey,
    begun: Semaphore,
    passes: Semaphore,
}

#[async_trait]
impl Signer for Gate {
    fn key(&self) -> &VerifierKey {
        self.key.key()
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        self.begun.add_permits(1);
        self.passes.acquire().await.map_err(SignerError::new)?.forget();
        self.key.sign(message).await
    }
}

#[tokio::test]
async fn who_goes_away_halfway_leaves_no_second_history() {
    let (_folder, state) = folder();
    let gate =
        Arc::new(Gate { key: witness_key(), begun: Semaphore::new(0), passes: Semaphore::new(0) });
    let witness = Witness::start(gate.clone(), [the_log()], &state, clock()).unwrap();
    let body = request(1, 0, 5).await.to_string();
    tokio::select! {
        answer = witness.add(body.as_bytes()) => panic!("{answer:?}"),
        begun = gate.begun.acquire() => begun.unwrap().forget(),
    }
    gate.passes.add_permits(1);
    assert_eq!(conflict(add(&witness, 2, 0, 5).await), 5);
    gate.passes.add_permits(1);
    assert_eq!(add(&witness, 2, 5, 5).await.unwrap_err().status(), 422);
    // The same seal again, by which it learns what it missed.
    assert!(add(&witness, 1, 5, 5).await.is_ok());
    witness.shutdown().await;
}

#[tokio::test]
async fn what_was_kept_and_never_answered_binds_the_next_witness() {
    let (_folder, state) = folder();
    start(&state).unwrap().shutdown().await;
    // As it is after a power cut between the two.
    let path = checkpoint(&state);
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, kept_of(1, 5).await).unwrap();
    fs::write(path.with_extension("new"), "half a se").unwrap();
    let witness = start(&state).unwrap();
    assert_eq!(conflict(add(&witness, 2, 0, 5).await), 5);
    assert_eq!(add(&witness, 2, 5, 5).await.unwrap_err().status(), 422);
    assert!(add(&witness, 1, 5, 5).await.is_ok());
}

#[tokio::test]
async fn the_same_request_within_a_second_costs_no_write() {
    let (_folder, state) = folder();
    let witness = start(&state).unwrap();
    let first = add(&witness, 0, 0, 5).await.unwrap();
    fs::remove_file(checkpoint(&state)).unwrap();
    assert_eq!(add(&witness, 0, 5, 5).await.unwrap(), first);
    assert!(!checkpoint(&state).exists());
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_handed_out_and_passes() {
    let (_folder, state) = folder();
    let witness = start(&state).unwrap();
    let in_the_way = checkpoint(&state).parent().unwrap().to_owned();
    fs::write(&in_the_way, "").unwrap();
    let error = add(&witness, 1, 0, 5).await.unwrap_err();
    assert!(matches!(error, AddError::NotKept(_)) && error.status() == 500, "{error:?}");
    assert!(witness.logs().all(|(_, log)| !log.is_kept && log.latest.is_none()));
    let error = add(&witness, 1, 0, 5).await.unwrap_err();
    assert!(matches!(error, AddError::State(_)), "{error:?}");
    fs::remove_file(&in_the_way).unwrap();
    add(&witness, 2, 0, 5).await.unwrap();
    assert!(witness.logs().all(|(_, log)| log.is_kept && log.latest.is_some()));
}

#[tokio::test]
async fn a_state_is_one_witnesss_alone() {
    let (parent, state) = folder();
    let witness = start(&state).unwrap();
    assert!(matches!(start(&state).unwrap_err(), StateError::InUse { .. }));
    witness.shutdown().await;
    let other = Arc::new(key("w.example", KeyType::Cosignature, 3));
    let error = Witness::start(other, [the_log()], &state, clock()).unwrap_err();
    assert!(matches!(error, StateError::OtherKey { .. }), "{error}");
    start(&state).unwrap().shutdown().await;
    fs::write(parent.path().join("diary"), "").unwrap();
    let error = start(parent.path()).unwrap_err();
    assert!(matches!(error, StateError::NotAState { .. }), "{error}");
    let error = start(&parent.path().join("no/such")).unwrap_err();
    assert!(matches!(error, StateError::Io { .. }), "{error}");

    // One that was never finished begins anew, and one that has lost its key does not.
    fs::write(state.join("key"), "w.exa").unwrap();
    start(&state).unwrap().shutdown().await;
    fs::create_dir(checkpoint(&state).parent().unwrap()).unwrap();
    fs::write(state.join("key"), "w.exa").unwrap();
    let error = start(&state).unwrap_err();
    assert!(matches!(error, StateError::OtherKey { .. }), "{error}");
}

#[tokio::test]
async fn a_state_that_was_torn_or_put_there_is_refused() {
    let (_folder, state) = folder();
    let witness = start(&state).unwrap();
    add(&witness, 0, 0, 5).await.unwrap();
    witness.shutdown().await;
    let path = checkpoint(&state);
    let sound = fs::read_to_string(&path).unwrap();
    for cut in 0..sound.len() {
        if !sound.is_char_boundary(cut) {
            continue;
        }
        fs::write(&path, &sound[..cut]).unwrap();
        let error = start(&state).unwrap_err();
        assert!(matches!(error, StateError::Torn { .. } | StateError::NotOurs { .. }), "{error}");
    }
    fs::write(&path, sound.replace("\n5\n", "\n4\n")).unwrap();
    let error = start(&state).unwrap_err();
    assert!(matches!(error, StateError::NotOurs { .. }), "{error}");
    fs::write(&path, sealed(&tree(0, 9), &log_key()).await.to_string()).unwrap();
    let error = start(&state).unwrap_err();
    assert!(matches!(error, StateError::NotOurs { .. }), "{error}");
    fs::write(&path, sound.replace(ORIGIN, "example.com/other")).unwrap();
    let error = start(&state).unwrap_err();
    assert!(matches!(error, StateError::OtherLog { .. }), "{error}");
    fs::write(&path, &sound).unwrap();
    let witness = start(&state).unwrap();
    assert_eq!(conflict(add(&witness, 0, 0, 6).await), 5);
}
