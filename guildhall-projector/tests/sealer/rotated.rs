//! Rotation: old seals stay verifiable, and each key seals only where it may.

use std::sync::Arc;

use guildhall_core::{Chronicle, Position, Seals};
use guildhall_projector::proof::{Sealer, SealerError};
use guildhall_proof::{LogKey, LogKeys, Signer};

use crate::{ORIGIN, append, assert_sealed, key, log};

fn rotated(at: u64) -> LogKeys {
    let old = LogKey { key: key(1).key().clone(), from: 0, until: Some(at) };
    let new = LogKey { key: key(2).key().clone(), from: at, until: None };
    LogKeys::new(ORIGIN.parse().unwrap(), vec![old, new]).unwrap()
}

#[tokio::test]
async fn the_new_key_goes_on_from_the_old_ones_seal() {
    let log = Arc::new(log(10).await);
    Sealer::builder(log.clone(), Arc::new(key(1))).seal().await.unwrap();
    append(&*log, 5).await;
    let head = log.head().await.unwrap().position;
    // Without the keys of before, the last seal is a stranger's.
    let refused = Sealer::builder(log.clone(), Arc::new(key(2))).seal().await;
    assert!(matches!(refused, Err(SealerError::LastSealRefused { .. })), "{refused:?}");
    // The old one may no longer, the new one not yet: and nothing is appended for nothing.
    for (signer, at) in [(1, 12), (2, 100)] {
        let builder = Sealer::builder(log.clone(), Arc::new(key(signer))).keys(rotated(at));
        let refused = builder.seal().await.unwrap_err();
        assert!(matches!(refused, SealerError::KeyMayNotSeal { .. }), "{refused}");
        assert!(!refused.is_transient());
    }
    assert_eq!(log.head().await.unwrap().position, head);
    let builder = Sealer::builder(log.clone(), Arc::new(key(2))).keys(rotated(12));
    builder.seal().await.unwrap();
    assert_eq!(assert_sealed(&*log, &rotated(12)).await, [11, 17]);
    assert_eq!(log.last_seal().await.unwrap().unwrap().size, Position::new(17));
}

#[tokio::test]
async fn the_keys_of_another_log_are_refused() {
    let keys = LogKeys::single("guildhall/other".parse().unwrap(), key(1).key().clone()).unwrap();
    let builder = Sealer::builder(Arc::new(log(3).await), Arc::new(key(1))).keys(keys);
    let refused = builder.seal().await;
    assert!(matches!(refused, Err(SealerError::KeysOfOther { .. })), "{refused:?}");
}
