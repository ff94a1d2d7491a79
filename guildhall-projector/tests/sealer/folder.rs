//! The folder, read by somebody who has nothing else: with his own code for tiles, bundles, trees and
//! proofs, from the text of C2SP tlog-tiles and RFC 6962.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guildhall_core::{Chronicle, ChronicleIndexed, Position};
use guildhall_projector::proof::{
    FolderSink, SealSink, Sealer, SealerError, SealerStatus, SinkError,
};
use guildhall_proof::{LogKeys, Record, SignedSeal};
use sha2::{Digest, Sha256};

use crate::{ALL, append, key, keys, log, restored};

type Hash = [u8; 32];

fn leaf(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// MTH of RFC 6962, section 2.1.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(1 << (many.len() - 1).ilog2());
            node(&root(left), &root(right))
        }
    }
}

/// The leaf hashes, and the data of the leaves, of a folder's whole tree.
struct Read {
    size: u64,
    root: Hash,
    entries: Vec<Vec<u8>>,
    leaves: Vec<Hash>,
}

fn path_of(index: u64) -> String {
    let mut parts = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        parts.insert(0, format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    parts.join("/")
}

/// A tile or bundle of a tree whose level has `count` hashes.
fn file(folder: &Path, level: &str, count: u64, index: u64) -> Vec<u8> {
    let width = (count - index * 256).min(256);
    let partial = if width == 256 { String::new() } else { format!(".p/{width}") };
    fs::read(folder.join(format!("tile/{level}/{}{partial}", path_of(index)))).unwrap()
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.chunks(32).map(|hash| hash.try_into().unwrap()).collect()
}

/// Reads everything, and checks that entries, every level of tiles and the seal agree.
fn read(folder: &Path, keys: &LogKeys) -> Read {
    let note = fs::read_to_string(folder.join("checkpoint")).unwrap();
    let lines: Vec<&str> = note.lines().collect();
    assert_eq!((lines[0], lines[3]), (crate::ORIGIN, ""));
    let size: u64 = lines[1].parse().unwrap();
    let sealed = SignedSeal::parse(&note).unwrap();
    keys.verify(&sealed).unwrap();
    let mut read = Read {
        size,
        root: *sealed.seal().root.as_bytes(),
        entries: Vec::new(),
        leaves: Vec::new(),
    };
    for index in 0..size.div_ceil(256) {
        let bundle = file(folder, "entries", size, index);
        let mut rest = &bundle[..];
        while let [high, low, tail @ ..] = rest {
            let (entry, tail) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            read.entries.push(entry.to_vec());
            rest = tail;
        }
        assert!(rest.is_empty());
        read.leaves.extend(hashes(&file(folder, "0", size, index)));
    }
    let computed: Vec<Hash> = read.entries.iter().map(|entry| leaf(entry)).collect();
    assert_eq!(computed, read.leaves);
    assert_eq!(root(&computed), read.root);
    let (mut level, mut below) = (1, computed);
    while below.len() >= 256 {
        let above: Vec<Hash> = below.chunks_exact(256).map(root).collect();
        let count = above.len() as u64;
        let found: Vec<Hash> = (0..count.div_ceil(256))
            .flat_map(|index| hashes(&file(folder, &level.to_string(), count, index)))
            .collect();
        assert_eq!(found, above, "level {level}");
        (level, below) = (level + 1, above);
    }
    read
}

/// PATH of RFC 6962, section 2.1.1.
fn path(at: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
    let (mut path, beside) = if at < left.len() {
        (path(at, left), root(right))
    } else {
        (path(at - left.len(), right), root(left))
    };
    path.push(beside);
    path
}

/// The root that a path leads to: RFC 9162, section 2.1.3.2.
fn climb(at: usize, size: usize, leaf: Hash, path: &[Hash]) -> Hash {
    let (mut at, mut last, mut hash) = (at, size - 1, leaf);
    for beside in path {
        if at % 2 == 1 || at == last {
            hash = node(beside, &hash);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, beside);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    assert_eq!(last, 0);
    hash
}

async fn seal(
    log: Arc<dyn guildhall_core::Seals>,
    folder: &Path,
) -> Result<SealerStatus, SealerError> {
    let sink = Arc::new(FolderSink::open(folder).unwrap());
    Sealer::builder(log, Arc::new(key(1))).sink(sink).seal().await
}

/// Every file, with what it holds.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_stranger_recomputes_the_root_and_proofs_from_the_folder_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(log(1).await);
    let mut before: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for more in [0, 5, 249, 0, 1, 300, 256] {
        append(&*log, more).await;
        let status = seal(log.clone(), folder.path()).await.unwrap();
        assert!(status.is_told(), "{status:?}");
        let read = read(folder.path(), &keys());
        assert_eq!(read.size, status.size);
        // What was there never changes; partial tiles go once they are full.
        let now = files(folder.path());
        for (path, bytes) in &before {
            let is_partial = path.parent().unwrap().extension().is_some_and(|it| it == "p");
            let is_seal = path.ends_with("checkpoint");
            match now.iter().find(|(found, _)| found == path) {
                Some((_, found)) => assert!(found == bytes || is_seal, "{path:?}"),
                None => assert!(is_partial, "{path:?}"),
            }
        }
        before = now;
    }
    let read = read(folder.path(), &keys());
    let entries = log.read(Position::ZERO, ALL).await.unwrap();
    for at in [0, 1, 255, 256, 600, entries.len() - 1] {
        let proof = path(at, &read.leaves);
        assert_eq!(climb(at, read.leaves.len(), leaf(&read.entries[at]), &proof), read.root);
        let record = Record::parse(&read.entries[at]).unwrap();
        assert_eq!(record.position.get(), at as u64 + 1);
        assert!(record.is_of(&entries[at].payload));
    }
    let last = Record::parse(read.entries.last().unwrap()).unwrap();
    assert_eq!(last.r#type, ChronicleIndexed::TYPE);
}

#[tokio::test]
async fn a_folder_that_was_left_half_written_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(log(300).await);
    seal(log.clone(), folder.path()).await.unwrap();
    let old_seal = fs::read(folder.path().join("checkpoint")).unwrap();
    append(&*log, 300).await;
    seal(log.clone(), folder.path()).await.unwrap();
    let whole = files(folder.path());
    // Killed after each file: those that come later are not there yet, and one is half written.
    let mut written: Vec<&PathBuf> = whole.iter().map(|(path, _)| path).collect();
    written.retain(|path| !path.ends_with("checkpoint"));
    for kept in 0..written.len() {
        fs::write(folder.path().join("checkpoint"), &old_seal).unwrap();
        let is_new = |path: &Path| {
            let name = path.to_string_lossy();
            name.contains("/001") || name.contains("/002") || name.ends_with(".p/2")
        };
        for path in written.iter().skip(kept).filter(|path| is_new(path)) {
            // What the old seal rests on stays.
            let full = path.ends_with("tile/0/001") || path.ends_with("tile/entries/001");
            if !full {
                let _ = fs::remove_file(path);
                fs::write(format!("{}.new", path.display()), b"half").unwrap();
            }
        }
        seal(log.clone(), folder.path()).await.unwrap();
        read(folder.path(), &keys());
    }
}

#[tokio::test]
async fn a_copy_that_was_changed_is_not_extended() {
    for changed in ["tile/0/001.p/46", "tile/1/000.p/1"] {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(log(301).await);
        seal(log.clone(), folder.path()).await.unwrap();
        let before = fs::read(folder.path().join("checkpoint")).unwrap();
        let path = folder.path().join(changed);
        let mut bytes = fs::read(&path).unwrap();
        bytes[7] ^= 1;
        fs::write(&path, bytes).unwrap();
        append(&*log, 1).await;
        let status = seal(log.clone(), folder.path()).await.unwrap();
        let error = status.sinks[0].error.as_ref().unwrap();
        assert!(error.message.contains("do not lead to its seal"), "{error:?}");
        assert_eq!(fs::read(folder.path().join("checkpoint")).unwrap(), before);
    }
    // Another seal in its place is another history.
    let folder = tempfile::tempdir().unwrap();
    let whole = log(300).await;
    seal(Arc::new(whole.clone()), folder.path()).await.unwrap();
    let shorter = Arc::new(restored(&whole, 100).await);
    append(&*shorter, 300).await;
    let refused = seal(shorter.clone(), folder.path()).await;
    assert!(matches!(refused, Err(SealerError::SinkHoldsOther { .. })), "{refused:?}");
    // A sealer that was not asked what it holds is refused by the folder itself.
    let sealed = crate::seal_once(shorter.clone(), &Arc::default()).await.unwrap();
    let last = guildhall_core::Seals::last_seal(&*shorter).await.unwrap().unwrap();
    assert_eq!(last.size.get(), sealed.size);
    let signed = SignedSeal::parse(&last.note).unwrap();
    let sealed = guildhall_projector::proof::SealedLog::load(shorter, signed).await.unwrap();
    let refused = FolderSink::open(folder.path()).unwrap().take(&sealed).await;
    assert!(matches!(refused, Err(SinkError::Contradicts { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_tree_of_three_levels_of_tiles_is_read_and_extended() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(log(0).await);
    for _ in 0..22 {
        append(&*log, 3_000).await;
    }
    let status = seal(log.clone(), folder.path()).await.unwrap();
    assert!(status.is_told() && status.size > 66_000, "{status:?}");
    // A sealer that knows nothing takes up the edge from tiles and leaf hashes.
    append(&*log, 3).await;
    let status = seal(log.clone(), folder.path()).await.unwrap();
    assert!(status.is_told(), "{status:?}");
    let read = read(folder.path(), &keys());
    assert_eq!(read.size, status.size);
    let last = guildhall_core::Seals::last_seal(&*log).await.unwrap().unwrap();
    let signed = SignedSeal::parse(&last.note).unwrap();
    let sealed = guildhall_projector::proof::SealedLog::load(log, signed).await.unwrap();
    for at in [0, 65_535, 65_536, 66_000] {
        let proof = sealed.inclusion(at).await.unwrap();
        let at = usize::try_from(at).unwrap();
        let found: Vec<Hash> = proof.hashes.iter().map(|hash| *hash.as_bytes()).collect();
        assert_eq!(found, path(at, &read.leaves));
    }
    let proof = sealed.consistency(65_537).await.unwrap();
    let old = guildhall_core::TreeHash::from_bytes(root(&read.leaves[..65_537]));
    proof.verify(&old, &sealed.seal().seal().root).unwrap();
    assert_eq!(sealed.root_at(65_537).await.unwrap(), old);
}
