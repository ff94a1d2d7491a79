//! The index: a tree of buckets, each of them where the hash of its streams says.

use guildhall_proof::index::{BUCKETS, Bucket, BucketError, StreamIndex, StreamRecord, bucket_of};
use guildhall_proof::merkle::{InclusionProof, leaf_hash, root};
use guildhall_workload::{Hostile, Mix};

use crate::log::{self, ARTIFACT, Log, story};

#[test]
fn the_index_is_a_tree_of_all_its_buckets_and_nothing_else() {
    let log = Log::of(story());
    let empty = |at| Bucket::new(at, Vec::new()).unwrap();
    let hashes = (0..=u16::MAX).map(|at| log.buckets.get(&at).unwrap_or(&empty(at)).leaf_hash());
    let hashes: Vec<_> = hashes.collect();
    assert_eq!(hashes.len() as u64, BUCKETS);
    assert_eq!(log.index.root(), root(hashes.iter().copied()));
    // Filled one by one, it is the same.
    let mut index = StreamIndex::default();
    for bucket in log.buckets.values() {
        index.set(bucket);
    }
    assert_eq!(index, log.index);
    for (at, bucket) in &log.buckets {
        bucket.verify(index.prove(*at), &index.root()).unwrap();
        let bytes = bucket.to_bytes();
        assert_eq!(bytes.len(), 56 * bucket.records().len());
        assert_eq!(Bucket::from_bytes(*at, &bytes).as_ref(), Ok(bucket));
        assert!(matches!(Bucket::from_bytes(at ^ 1, &bytes), Err(BucketError::Misplaced { .. })));
        assert!(matches!(Bucket::from_bytes(*at, &bytes[1..]), Err(BucketError::Length { .. })));
        assert!(matches!(
            Bucket::from_bytes(*at, &bytes.repeat(2)),
            Err(BucketError::Order { .. })
        ));
        let proof = InclusionProof { index: 0, size: BUCKETS, hashes: index.prove(*at) };
        assert!(*at == 0 || proof.verify(&bucket.leaf_hash(), &index.root()).is_err());
    }
    let mut nothing =
        StreamRecord { ..log.buckets.values().next().unwrap().records()[0] }.to_bytes();
    nothing[16..24].fill(0);
    assert_eq!(StreamRecord::from_bytes(&nothing), None);
    nothing[16..24].fill(0xff);
    assert_eq!(StreamRecord::from_bytes(&nothing), None);
    assert_eq!(empty(0).leaf_hash(), leaf_hash(b""));
}

#[test]
fn a_stream_belongs_in_the_bucket_that_the_hash_of_its_bytes_begins_with() {
    // Computed with another program: SHA-256 of the 16 bytes 00 … a1.
    assert_eq!(bucket_of(ARTIFACT.into()), 0xa398);
}

#[test]
fn an_index_that_is_kept_up_is_the_one_that_is_made_anew() {
    let entries: Vec<_> = Hostile::new(7, Mix::DENSE).take(200).map(|made| made.entry).collect();
    let all = Log::of(entries).entries;
    let mut index = StreamIndex::new(log::buckets(&all[..50]).into_values());
    for (before, now) in [(50, 51), (51, 120), (120, 200)] {
        // Only the buckets of the streams that went on are read again.
        let buckets = log::buckets(&all[..now]);
        for entry in &all[before..now] {
            index.set(&buckets[&bucket_of(entry.stream_id)]);
        }
        assert_eq!(index, StreamIndex::new(buckets.into_values()), "{now}");
    }
}
