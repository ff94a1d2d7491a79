//! Trees, proofs and tiles: what holds for every size, and what no change gets past.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests, of small numbers"
)]

use std::collections::BTreeMap;

use guildhall_proof::TreeHash;
use guildhall_proof::merkle::{
    CompactRange, ConsistencyProof, InclusionProof, MerkleTree, Node, Nodes, RangeError,
    consistency_nodes, empty_root, inclusion_nodes, leaf_hash, node_hash, root,
};
use guildhall_proof::tile::{
    TILE_WIDTH, Tile, TileError, TileId, TileLevel, Tiles, decode_bundle, encode_bundle,
};
use proptest::prelude::*;

fn leaves(count: u64) -> Vec<TreeHash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

/// MTH as RFC 6962 writes it down, for comparison.
fn mth(leaves: &[TreeHash]) -> TreeHash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        more => {
            let k = 1 << (more.len() - 1).ilog2();
            node_hash(&mth(&more[..k]), &mth(&more[k..]))
        }
    }
}

fn hex(text: &str) -> TreeHash {
    text.parse().unwrap()
}

#[test]
fn the_known_answers_of_rfc_6962_come_out() {
    // Of transparency-dev/merkle and certificate-transparency: eight leaves, roots of all prefixes.
    let inputs: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    assert_eq!(
        empty_root(),
        hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
    for (n, expected) in roots.iter().enumerate() {
        let leaves = inputs[..=n].iter().map(|data| leaf_hash(data));
        assert_eq!(root(leaves), hex(expected), "{} leaves", n + 1);
    }
}

#[test]
fn every_way_to_a_root_agrees_for_every_small_size() {
    let all = leaves(130);
    let mut range = CompactRange::default();
    for size in 0..=130 {
        let expected = mth(&all[..size]);
        assert_eq!(range.root(), expected, "compact range of {size}");
        assert_eq!(MerkleTree::new(all[..size].to_vec()).root(), expected, "tree of {size}");
        assert_eq!(CompactRange::from_bytes(&range.to_bytes()), Ok(range.clone()));
        let tree = MerkleTree::new(all[..size].to_vec());
        let nodes = CompactRange::nodes(size as u64).map(|node| tree.node(node).unwrap());
        assert_eq!(CompactRange::new(size as u64, nodes.collect()), Ok(range.clone()));
        if let Some(leaf) = all.get(size) {
            range.append_with(*leaf, |node, hash| {
                let whole = MerkleTree::new(all[..=size].to_vec());
                assert_eq!(whole.node(node), Some(*hash));
            });
        }
    }
}

#[test]
fn a_changed_leaf_changes_the_nodes_above_it_and_no_other() {
    let all = leaves(37);
    for at in 0..37 {
        let mut changed = all.clone();
        changed[at] = leaf_hash(b"another");
        let mut tree = MerkleTree::new(all.clone());
        assert!(tree.set(at, changed[at]));
        assert_eq!(tree, MerkleTree::new(changed));
        assert!(!tree.set(37, all[0]));
    }
}

#[test]
fn bytes_that_are_no_range_are_refused() {
    assert_eq!(CompactRange::from_bytes(&[0; 7]), Err(RangeError::Length { found: 7 }));
    assert_eq!(CompactRange::from_bytes(&[0; 41]), Err(RangeError::Length { found: 41 }));
    let one_too_many = RangeError::Count { size: 0, found: 1, expected: 0 };
    assert_eq!(CompactRange::from_bytes(&[0; 40]), Err(one_too_many));
}

#[test]
fn every_proof_of_every_small_tree_holds() {
    let all = leaves(70);
    let tree = MerkleTree::new(all.clone());
    for size in 1..=70u64 {
        let new_root = mth(&all[..size as usize]);
        for at in 0..size {
            let proof = InclusionProof::make(&tree, at, size).unwrap();
            assert_eq!(proof.verify(&all[at as usize], &new_root), Ok(()), "{at} in {size}");
            let old = at + 1;
            let proof = ConsistencyProof::make(&tree, old, size).unwrap();
            let old_root = mth(&all[..old as usize]);
            assert_eq!(proof.verify(&old_root, &new_root), Ok(()), "{old} to {size}");
            assert_eq!(proof.verify_growth(&old_root, &new_root), Ok(()));
        }
        let from_nothing = ConsistencyProof { old: 0, new: size, hashes: Vec::new() };
        assert!(from_nothing.verify(&empty_root(), &new_root).is_err());
        assert_eq!(from_nothing.verify_growth(&empty_root(), &new_root), Ok(()));
        assert!(from_nothing.verify_growth(&all[0], &new_root).is_err());
        assert!(InclusionProof::make(&tree, size, size).is_err());
        assert!(ConsistencyProof::make(&tree, size + 1, size).is_err());
        assert!(ConsistencyProof::make(&tree, 0, size).is_err());
    }
    assert!(InclusionProof::make(&tree, 0, 71).is_err(), "a leaf is missing");
}

/// The tiles of a tree, as a store would hold them.
fn tiles_of(leaves: &[TreeHash]) -> BTreeMap<TileId, Tile> {
    let tree = MerkleTree::new(leaves.to_vec());
    let of_hashes = TileId::grown(0, leaves.len() as u64, false).into_iter();
    let tile = |id: TileId| {
        let TileLevel::Hashes(level) = id.level else { panic!("a bundle") };
        let first = id.index * u64::from(TILE_WIDTH);
        let hashes = (first..first + u64::from(id.width))
            .map(|index| tree.node(Node { level: level * 8, index }).unwrap());
        (id, Tile::new(hashes.collect()).unwrap())
    };
    of_hashes.map(tile).collect()
}

#[test]
fn the_tree_of_the_specification_has_the_tiles_that_it_says() {
    // "A tree of size 70,000 …" and "a tree of size 256 …" of tlog-tiles.
    let of = |size: u64, level: u8| {
        let tiles = TileId::grown(0, size, false);
        let tiles = tiles.into_iter().filter(move |id| id.level == TileLevel::Hashes(level));
        let (full, partial): (Vec<_>, Vec<_>) = tiles.partition(TileId::is_full);
        (full.len(), partial.iter().map(|id| id.width).collect::<Vec<_>>())
    };
    assert_eq!(of(70_000, 0), (273, vec![112]));
    assert_eq!(of(70_000, 1), (1, vec![17]));
    assert_eq!(of(70_000, 2), (0, vec![1]));
    assert_eq!(of(70_000, 3), (0, vec![]));
    assert_eq!(of(256, 0), (1, vec![]));
    assert_eq!(of(256, 1), (0, vec![1]));
}

#[test]
fn a_path_is_read_back_and_only_as_it_is_written() {
    let id = |level, index, width| TileId { level, index, width };
    for (path, expected) in [
        ("tile/0/x001/x234/067", id(TileLevel::Hashes(0), 1_234_067, 256)),
        ("tile/0/000", id(TileLevel::Hashes(0), 0, 256)),
        ("tile/63/999.p/255", id(TileLevel::Hashes(63), 999, 255)),
        ("tile/5/x123/x456/078.p/2", id(TileLevel::Hashes(5), 123_456_078, 2)),
        ("tile/entries/x003/x057/500", id(TileLevel::Entries, 3_057_500, 256)),
        ("tile/1/x018/x446/x744/x073/x709/x551/615.p/1", id(TileLevel::Hashes(1), u64::MAX, 1)),
    ] {
        assert_eq!(path.parse(), Ok(expected));
        assert_eq!(expected.to_string(), path);
    }
    for path in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/64/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x001",
        "tile/0/x001/",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p/1/",
        "tile/0/+01",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/data/000",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/X001/000",
        "tile/0/٠٠٠",
    ] {
        assert!(path.parse::<TileId>().is_err(), "{path:?}");
    }
}

#[test]
fn proofs_come_out_of_tiles_as_out_of_the_whole_tree() {
    for size in [1u64, 2, 255, 256, 257, 513, 66_000] {
        let all = leaves(size);
        let tree = MerkleTree::new(all.clone());
        let stored = tiles_of(&all);
        let loaded = |nodes: Vec<Node>| {
            let mut tiles = Tiles::default();
            for node in nodes {
                let id = TileId::of(node, size).unwrap();
                tiles.insert(id, stored[&id].clone());
            }
            tiles
        };
        for at in [0, size / 3, size / 2, size - 1] {
            let tiles = loaded(inclusion_nodes(at, size).unwrap());
            let proof = InclusionProof::make(&tiles, at, size).unwrap();
            assert_eq!(proof, InclusionProof::make(&tree, at, size).unwrap());
            proof.verify(&all[at as usize], &tree.root()).unwrap();
            let tiles = loaded(consistency_nodes(at + 1, size).unwrap());
            let proof = ConsistencyProof::make(&tiles, at + 1, size).unwrap();
            assert_eq!(proof, ConsistencyProof::make(&tree, at + 1, size).unwrap());
        }
    }
}

#[test]
fn a_changed_tile_gives_proofs_that_do_not_hold() {
    let size = 700u64;
    let all = leaves(size);
    let tree = MerkleTree::new(all.clone());
    let stored = tiles_of(&all);
    let proves = |stored: &BTreeMap<TileId, Tile>| {
        let mut tiles = Tiles::default();
        for (id, tile) in stored {
            tiles.insert(*id, tile.clone());
        }
        // Every hash of every tile stands beside the way of some leaf.
        (0..size).all(|at| {
            let proof = InclusionProof::make(&tiles, at, size).unwrap();
            proof.verify(&all[at as usize], &tree.root()).is_ok()
        })
    };
    assert!(proves(&stored));
    for (id, tile) in &stored {
        for at in [0, tile.hashes().len() / 2, tile.hashes().len() - 1] {
            let mut bytes = tile.to_bytes();
            bytes[at * 32 + 7] ^= 1;
            let mut changed = stored.clone();
            let altered = Tile::from_bytes(&bytes).unwrap();
            changed.insert(*id, altered);
            assert!(!proves(&changed), "{id}, hash {at}");
        }
    }
    // A full tile is one hash of the level above; a partial one is none.
    let level_1 = &stored[&TileId { level: TileLevel::Hashes(1), index: 0, width: 2 }];
    for (index, hash) in (0..).zip(level_1.hashes()) {
        let below = &stored[&TileId::full(TileLevel::Hashes(0), index)];
        assert_eq!(below.root().as_ref(), Some(hash));
    }
    let partial = &stored[&TileId { level: TileLevel::Hashes(0), index: 2, width: 188 }];
    assert_eq!(partial.root(), None);
}

#[test]
fn a_tree_does_not_give_tiles_of_nodes_that_it_does_not_have() {
    assert_eq!(TileId::of(Node { level: 0, index: 300 }, 300), None);
    assert_eq!(TileId::of(Node { level: 1, index: 149 }, 299), None);
    assert_eq!(TileId::of(Node { level: 8, index: 1 }, 300), None);
    assert_eq!(TileId::of(Node { level: 63, index: u64::MAX }, u64::MAX), None);
    let partial = TileId { level: TileLevel::Hashes(0), index: 1, width: 44 };
    assert_eq!(TileId::of(Node { level: 2, index: 74 }, 300), Some(partial));
}

#[test]
fn a_bundle_is_read_back_and_its_limits_hold() {
    let long = vec![7u8; 65_535];
    let entries: Vec<&[u8]> = vec![b"", b"one", &long];
    let bytes = encode_bundle(entries.clone()).unwrap();
    assert_eq!(bytes[..7], [0, 0, 0, 3, b'o', b'n', b'e']);
    assert_eq!(decode_bundle(&bytes), Ok(entries));
    for cut in [1, 3, 6, bytes.len() - 1] {
        assert!(decode_bundle(&bytes[..cut]).is_err(), "{cut}");
    }
    let too_long = vec![0u8; 65_536];
    let refused = encode_bundle([too_long.as_slice()]);
    assert_eq!(refused, Err(TileError::EntryLength { found: 65_536 }));
    assert_eq!(encode_bundle(vec![b"x".as_slice(); 257]), Err(TileError::Entries { found: 257 }));
    assert_eq!(decode_bundle(&[0; 514]), Err(TileError::Entries { found: 257 }));
    assert_eq!(decode_bundle(&[]), Err(TileError::Entries { found: 0 }));
}

/// One change of a list of hashes.
#[derive(Debug, Clone)]
enum Change {
    Flip(prop::sample::Index, u8, u8),
    Remove(prop::sample::Index),
    Repeat(prop::sample::Index),
    Insert(prop::sample::Index, [u8; 32]),
    Swap(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), 0..32u8, 0..8u8).prop_map(|(at, byte, bit)| Change::Flip(at, byte, bit)),
        at().prop_map(Change::Remove),
        at().prop_map(Change::Repeat),
        (at(), any::<[u8; 32]>()).prop_map(|(at, hash)| Change::Insert(at, hash)),
        at().prop_map(Change::Swap),
    ]
}

impl Change {
    /// The changed hashes; none where nothing would change.
    fn of(&self, hashes: &[TreeHash]) -> Option<Vec<TreeHash>> {
        let mut changed = hashes.to_vec();
        let place = |at: &prop::sample::Index| (!hashes.is_empty()).then(|| at.index(hashes.len()));
        match self {
            Self::Flip(at, byte, bit) => {
                let at = place(at)?;
                let mut bytes = *changed[at].as_bytes();
                bytes[usize::from(*byte)] ^= 1 << bit;
                changed[at] = TreeHash::from_bytes(bytes);
            }
            Self::Remove(at) => drop(changed.remove(place(at)?)),
            Self::Repeat(at) => changed.insert(place(at)?, hashes[place(at)?]),
            Self::Insert(at, hash) => {
                changed.insert(at.index(hashes.len() + 1), TreeHash::from_bytes(*hash));
            }
            Self::Swap(at) => {
                let at = place(at)?;
                changed.swap(at, (at + 1) % hashes.len());
            }
        }
        (changed != hashes).then_some(changed)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_changed_proof_of_inclusion_holds(size in 1..1000u64, at in any::<prop::sample::Index>(),
                                           change in change(), other in any::<u64>()) {
        let all = leaves(size);
        let tree = MerkleTree::new(all.clone());
        let at = at.index(all.len());
        let (leaf, root) = (all[at], tree.root());
        let proof = InclusionProof::make(&tree, at as u64, size).unwrap();
        prop_assert_eq!(proof.verify(&leaf, &root), Ok(()));
        if let Some(hashes) = change.of(&proof.hashes) {
            let changed = InclusionProof { hashes, ..proof.clone() };
            prop_assert!(changed.verify(&leaf, &root).is_err());
        }
        for index in [other, other % size, at as u64 + 1, (at as u64).wrapping_sub(1), at as u64 ^ 1] {
            let moved = InclusionProof { index, ..proof.clone() };
            prop_assert!(index == at as u64 || moved.verify(&leaf, &root).is_err());
        }
        let another = leaf_hash(b"another");
        prop_assert!(proof.verify(&another, &root).is_err());
        prop_assert!(proof.verify(&leaf, &another).is_err());
    }

    #[test]
    fn no_changed_proof_of_growth_holds(new in 2..1000u64, old in any::<prop::sample::Index>(),
                                        change in change()) {
        let all = leaves(new);
        let tree = MerkleTree::new(all.clone());
        let old = old.index(all.len()) as u64 + 1;
        let (old_root, new_root) = (root(all[..old as usize].iter().copied()), tree.root());
        let proof = ConsistencyProof::make(&tree, old, new).unwrap();
        prop_assert_eq!(proof.verify(&old_root, &new_root), Ok(()));
        if let Some(hashes) = change.of(&proof.hashes) {
            let changed = ConsistencyProof { hashes, ..proof.clone() };
            prop_assert!(changed.verify(&old_root, &new_root).is_err());
        }
        let another = leaf_hash(b"another");
        prop_assert!(proof.verify(&another, &new_root).is_err());
        prop_assert!(proof.verify(&old_root, &another).is_err());
        if old_root != new_root {
            prop_assert!(proof.verify(&new_root, &old_root).is_err());
        }
    }

    #[test]
    fn arbitrary_proofs_are_judged_without_panic(index in any::<u64>(), size in any::<u64>(),
                                                 hashes in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
        let hashes: Vec<_> = hashes.into_iter().map(TreeHash::from_bytes).collect();
        let zero = TreeHash::from_bytes([0; 32]);
        let proof = InclusionProof { index, size, hashes: hashes.clone() };
        prop_assert!(proof.verify(&zero, &zero).is_err());
        let proof = ConsistencyProof { old: index, new: size, hashes };
        prop_assert!(proof.verify(&zero, &leaf_hash(b"")).is_err());
        let _ = (inclusion_nodes(index, size), consistency_nodes(index, size));
        let _ = TileId::of(Node { level: 63, index }, size);
    }

    #[test]
    fn growing_writes_each_tile_once_and_leaves_none_out(old in 0..200_000u64, more in 0..70_000u64) {
        let new = old + more;
        let grown = TileId::grown(old, new, true);
        let mut places: Vec<_> = grown.iter().map(|id| (id.level, id.index)).collect();
        places.sort_unstable();
        places.dedup();
        prop_assert_eq!(places.len(), grown.len());
        let before = TileId::grown(0, old, true);
        let after: Vec<_> = TileId::grown(0, new, true);
        for id in &after {
            prop_assert!(grown.contains(id) != before.contains(id));
        }
        for id in &grown {
            prop_assert!(after.contains(id));
            prop_assert_eq!(id.to_string().parse::<TileId>().unwrap(), *id);
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,40}") {
        if let Ok(range) = CompactRange::from_bytes(&bytes) {
            prop_assert_eq!(range.to_bytes(), bytes.clone());
        }
        if let Ok(tile) = Tile::from_bytes(&bytes) {
            prop_assert_eq!(tile.to_bytes(), bytes.clone());
        }
        if let Ok(entries) = decode_bundle(&bytes) {
            prop_assert_eq!(encode_bundle(entries).unwrap(), bytes.clone());
        }
        if let Ok(id) = text.parse::<TileId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}
