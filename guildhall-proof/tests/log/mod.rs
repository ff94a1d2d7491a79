//! A sealed log in memory, and the evidence that can be made of it.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;

use guildhall_core::memory::MemoryChronicle;
use guildhall_core::{
    AccordBound, AccordId, Append, ArtifactId, ArtifactRegistered, ArtifactRevised, CeremonyId,
    Chronicle, ChronicleIndexed, Cid, CustodyPolicy, CustodyState, CustodyTransitioned, Decoded,
    DeploymentObserved, Entry, Event, EventId, Json, NewEntry, Origin, Outcome, Position,
    ReadLimit, StreamId, Tier, Timestamp, VerificationRecorded,
    custody::{ChainHead, Move},
};
use guildhall_proof::evidence::{self, Evidence, ProvenEntry, ProvenStream, Trust};
use guildhall_proof::index::{self, Bucket, StreamIndex, StreamRecord, bucket_of};
use guildhall_proof::merkle::MerkleTree;
use guildhall_proof::policy::Policy;
use guildhall_proof::{KeyType, LogKeys, Seal, SignedSeal, Signer, SigningKey, TreeHash, cosign};
use uuid::Uuid;

pub(crate) const ORIGIN: &str = "guildhall/demo";
pub(crate) const ARTIFACT: ArtifactId = ArtifactId::from_uuid(Uuid::from_u128(0xa1));
pub(crate) const ACCORD: AccordId = AccordId::from_uuid(Uuid::from_u128(0xac));

pub(crate) fn origin() -> Origin {
    ORIGIN.parse().unwrap()
}

pub(crate) fn log_key() -> SigningKey {
    SigningKey::from_seed(ORIGIN.parse().unwrap(), KeyType::Ed25519, &[1; 32]).unwrap()
}

pub(crate) fn witness_key(seed: u8) -> SigningKey {
    let name = format!("witness.example/w{seed}").parse().unwrap();
    SigningKey::from_seed(name, KeyType::Cosignature, &[seed; 32]).unwrap()
}

/// The log's key, and two witnesses who both have to have cosigned.
pub(crate) fn trust() -> Trust {
    let (w1, w2) = (witness_key(11), witness_key(12));
    let policy = format!(
        "witness w1 {}\nwitness w2 {}\ngroup both all w1 w2\nquorum both\n",
        w1.key(),
        w2.key()
    );
    let keys = LogKeys::single(origin(), log_key().key().clone()).unwrap();
    Trust { witnesses: Some(Policy::parse(policy.as_bytes()).unwrap()), ..Trust::new(keys) }
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The records of the streams of some entries.
pub(crate) fn buckets(entries: &[Entry]) -> BTreeMap<u16, Bucket> {
    let mut records = BTreeMap::new();
    for entry in entries {
        let (stream, version, leaf_hash) = (entry.stream_id, entry.version, entry.leaf_hash);
        records.insert(stream, StreamRecord { stream, version, leaf_hash });
    }
    index::buckets(records.into_values()).unwrap()
}

/// A log whose last entry indexes the others.
pub(crate) struct Log {
    pub(crate) chronicle: MemoryChronicle,
    pub(crate) entries: Vec<Entry>,
    pub(crate) buckets: BTreeMap<u16, Bucket>,
    pub(crate) index: StreamIndex,
    pub(crate) tree: MerkleTree,
    pub(crate) seal: SignedSeal,
}

impl Log {
    /// The log of these entries.
    pub(crate) fn of(entries: impl IntoIterator<Item = NewEntry>) -> Self {
        run(async {
            let chronicle = MemoryChronicle::new();
            chronicle.fix_origin(origin()).await.unwrap();
            chronicle.append(Append::of(entries)).await.unwrap();
            Self::indexed(chronicle).await
        })
    }

    /// Appends what states where the streams end.
    pub(crate) async fn indexed(chronicle: MemoryChronicle) -> Self {
        let all = ReadLimit::entries(100_000);
        let before = chronicle.read(Position::ZERO, all).await.unwrap();
        let buckets = buckets(&before);
        let index = StreamIndex::new(buckets.values().cloned());
        let streams = buckets.values().map(|bucket| bucket.records().len() as u64).sum();
        let tree_size = before.last().unwrap().position;
        let event = ChronicleIndexed { index_root: index.root(), streams, tree_size };
        let entry = NewEntry::indexed(&event, &origin());
        chronicle.append(Append::of([entry])).await.unwrap();
        let entries = chronicle.read(Position::ZERO, all).await.unwrap();
        let tree = MerkleTree::new(entries.iter().map(|entry| TreeHash::from(entry.leaf_hash)));
        let seal = Self::seal(&tree).await;
        Self { chronicle, entries, buckets, index, tree, seal }
    }

    /// The seal of the whole log, cosigned.
    pub(crate) async fn seal(tree: &MerkleTree) -> SignedSeal {
        let seal = Seal { origin: origin(), size: tree.size(), root: tree.root() };
        let mut seal = SignedSeal::sign(seal, &log_key()).await.unwrap();
        for seed in [11, 12] {
            let line = cosign(&seal, &witness_key(seed), 1_800_000_000).await.unwrap();
            seal.add(line).unwrap();
        }
        seal
    }

    pub(crate) fn entry(&self, entry: &Entry) -> ProvenEntry {
        ProvenEntry::prove(entry, &origin(), &self.tree, self.tree.size()).unwrap()
    }

    pub(crate) fn stream(&self, stream: StreamId) -> ProvenStream {
        let entries = self.entries.iter().filter(|entry| entry.stream_id == stream);
        let entries = entries.map(|entry| self.entry(entry)).collect();
        let at = bucket_of(stream);
        let empty = Bucket::new(at, Vec::new()).unwrap();
        ProvenStream::prove(stream, self.buckets.get(&at).unwrap_or(&empty), &self.index, entries)
    }

    /// What an owner makes who holds the key and writes what he likes: leaf hashes, tree and seal fit
    /// whatever the entries say.
    pub(crate) fn forged(mut self, forge: impl FnOnce(&mut Self)) -> Self {
        forge(&mut self);
        for entry in &mut self.entries {
            entry.leaf_hash = entry.compute_leaf_hash(&origin());
        }
        self.tree = MerkleTree::new(self.entries.iter().map(|entry| entry.leaf_hash.into()));
        self.seal = run(Self::seal(&self.tree));
        self
    }

    /// The same of what the index says.
    pub(crate) fn forged_index(self, forge: impl FnOnce(&mut ChronicleIndexed)) -> Self {
        self.forged(|log| {
            let entry = log.entries.last_mut().unwrap();
            let Ok(Decoded::Indexed(mut index)) = entry.decode() else { panic!("no index") };
            forge(&mut index);
            entry.payload = index.to_payload().into_string().into();
        })
    }

    /// The evidence of an artifact.
    pub(crate) fn evidence(&self, artifact_id: ArtifactId) -> Evidence {
        let mut streams = vec![self.stream(artifact_id.into())];
        let accords = evidence::accords_of(&streams[0]);
        streams.extend(accords.into_iter().map(|accord| self.stream(accord)));
        let rows = evidence::fold(artifact_id, &streams, CustodyPolicy::standard()).unwrap();
        let index = self.entry(self.entries.last().unwrap());
        Evidence::new(artifact_id, self.seal.clone(), index, streams, rows)
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_780_000_000_000_000 + second * 1_000_000).unwrap()
}

fn recorded(nth: u128, event: impl Into<Event>) -> NewEntry {
    let id = EventId::from_uuid(Uuid::from_u128(0xe0_0000 + nth));
    let recorded_at = Some(at(i64::try_from(nth).unwrap()));
    NewEntry { recorded_at, ..NewEntry::with_id(id, &event.into()) }
}

/// The history of one artifact among others: ratified, deployed, drifted, revised out of order (set
/// aside) and verified.
pub(crate) fn story() -> Vec<NewEntry> {
    let json = |text: &str| Json::parse(text).unwrap();
    let bound = |id, name: &str| AccordBound {
        accord_id: id,
        name: name.into(),
        accord_terms: json(r#"{"quorum":2}"#),
        bound_by: "ada".into(),
        effective_at: at(0),
    };
    let registered = |artifact_id, name: &str| {
        let content = json(r#"{"ttl":300,"zone":"example.com"}"#);
        ArtifactRegistered {
            artifact_id,
            ..ArtifactRegistered::new(ACCORD, "dns_zone", name, Tier::ONE, content, "urn:zone")
        }
    };
    let artifact = registered(ARTIFACT, "example.com");
    let other = registered(ArtifactId::from_uuid(Uuid::from_u128(0xb2)), "example.org");
    let mut head: Option<ChainHead> = None;
    let ceremony = CeremonyId::from_uuid(Uuid::from_u128(0xce));
    let mut link = |to_state, second| {
        let is_in_ceremony =
            matches!(to_state, CustodyState::CeremonyOpen | CustodyState::Ratified);
        let wanted = Move {
            to_state,
            actor: "ada".into(),
            reason: "as agreed".into(),
            ceremony_id: is_in_ceremony.then_some(ceremony),
            evidence: json(r#"{"votes":["ada","bob"]}"#),
            occurred_at: at(second),
        };
        let link = CustodyTransitioned::new(ARTIFACT, artifact.cid, head.as_ref(), wanted);
        head = Some(ChainHead::from(&link));
        link
    };
    let links = [
        link(CustodyState::Drafted, 1),
        link(CustodyState::CeremonyOpen, 2),
        link(CustodyState::Ratified, 3),
        link(CustodyState::Deployed, 4),
    ];
    let observed = |seen: Option<Cid>, second| {
        let detail = json(r#"{"serial":7}"#);
        DeploymentObserved::new(ARTIFACT, "eu", artifact.cid, seen, detail, at(second))
    };
    let wrong = ArtifactRevised::new(ARTIFACT, json("1"), "urn:zone", Cid::of(&json("2")));
    let [drafted, opened, ratified, deployed] = links;
    vec![
        recorded(1, bound(ACCORD, "zones")),
        recorded(2, artifact.clone()),
        recorded(3, bound(AccordId::from_uuid(Uuid::from_u128(0xad)), "others")),
        recorded(4, drafted),
        recorded(5, other.clone()),
        recorded(6, opened),
        recorded(7, ratified),
        recorded(8, wrong),
        recorded(9, deployed),
        recorded(10, observed(Some(artifact.cid), 5)),
        recorded(11, observed(None, 6)),
        recorded(
            12,
            VerificationRecorded::new(ARTIFACT, None, "dig", Outcome::Failed, Json::null(), at(7)),
        ),
    ]
}
