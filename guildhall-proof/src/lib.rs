//! What an auditor checks a Chronicle with: Merkle trees, seals, witnesses, and evidence of one
//! artifact's whole history. No I/O, no clock, no randomness, no store.
//!
//! Formats are standard ones wherever they exist, so that other tools read what is written here: RFC
//! 6962 for trees, C2SP for the rest.
//!
//! - [`merkle`]: roots, compact ranges, proofs of inclusion and consistency (RFC 6962, section 2.1);
//! - [`tile`]: the tree in files (C2SP tlog-tiles);
//! - [`Note`], [`VerifierKey`], [`Signer`]: signed texts (C2SP signed-note);
//! - [`SignedSeal`], [`LogKeys`]: a Chronicle's size and root, signed by a key that may (C2SP
//!   tlog-checkpoint);
//! - [`cosign`], [`witness`]: what a witness adds, and how it decides (C2SP tlog-cosignature and
//!   tlog-witness);
//! - [`policy`]: which witnesses have to have cosigned (C2SP tlog-policy);
//! - [`TlogProof`]: one entry's inclusion as a file (C2SP tlog-proof);
//! - [`Record`], [`index`], [`evidence`], [`digest`]: what is Guildhall's own: the leaf of an entry,
//!   where each stream ends, one artifact's whole history as a file, one hash of a table;
//! - [`verify`], [`audit`]: whether the log is what was sealed, and the tables what the log says.
//!
//! # From a key to a report
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use guildhall_core::{memory::MemoryChronicle, *};
//! use guildhall_proof::evidence::{self, Evidence, ProvenEntry, ProvenStream, Trust};
//! use guildhall_proof::index::{StreamIndex, StreamRecord, buckets};
//! use guildhall_proof::merkle::{InclusionProof, MerkleTree};
//! use guildhall_proof::*;
//!
//! // The log's key and a witness's; seeds are 32 random bytes.
//! let origin: Origin = "guildhall/demo".parse()?;
//! let name = KeyName::try_from(&origin)?;
//! let log_key = SigningKey::from_seed(name, KeyType::Ed25519, &[1; 32])?;
//! let witness_key = SigningKey::from_seed("w.example".parse()?, KeyType::Cosignature, &[2; 32])?;
//!
//! // A log of an accord and an artifact.
//! let log = MemoryChronicle::new();
//! log.fix_origin(origin.clone()).await?;
//! let accord = AccordBound::new("zones", "ada", Json::parse("{}")?, "2026-11-23T10:05:00Z".parse()?);
//! let content = Json::parse(r#"{"ttl":300}"#)?;
//! let artifact = ArtifactRegistered::new(
//!     accord.accord_id, "dns_zone", "example.com", Tier::ONE, content, "urn:zone",
//! );
//! let (accord_id, artifact_id) = (accord.accord_id, artifact.artifact_id);
//! let events = [NewEntry::new(&accord.into()), NewEntry::new(&artifact.into())];
//! log.append(Append::of(events)).await?;
//!
//! // The index of its streams becomes its last entry.
//! let entries = log.read(Position::ZERO, ReadLimit::entries(10)).await?;
//! let ends = entries.iter().map(|entry| StreamRecord {
//!     stream: entry.stream_id,
//!     version: entry.version,
//!     leaf_hash: entry.leaf_hash,
//! });
//! let buckets = buckets(ends)?;
//! let index = StreamIndex::new(buckets.values().cloned());
//! let indexed =
//!     ChronicleIndexed { index_root: index.root(), streams: 2, tree_size: Position::new(2) };
//! log.append(Append::of([NewEntry::indexed(&indexed, &origin)])).await?;
//! let entries = log.read(Position::ZERO, ReadLimit::entries(10)).await?;
//!
//! // Sealed, and cosigned by a witness.
//! let tree = MerkleTree::new(entries.iter().map(|entry| entry.leaf_hash.into()));
//! let (size, root) = (tree.size(), tree.root());
//! let seal = Seal { origin: origin.clone(), size, root };
//! let mut seal = SignedSeal::sign(seal, &log_key).await?;
//! seal.add(cosign(&seal, &witness_key, 1_800_000_000).await?)?;
//!
//! // Proof that one entry is in it.
//! let proof = InclusionProof::make(&tree, 1, size)?;
//! proof.verify(&entries[1].leaf_hash.into(), &root)?;
//!
//! // The whole history of the artifact as a file.
//! let prove = |entry: &Entry| ProvenEntry::prove(entry, &origin, &tree, size);
//! let stream = |entry: &Entry| {
//!     let bucket = &buckets[&index::bucket_of(entry.stream_id)];
//!     let entries = vec![prove(entry)?];
//!     Ok::<_, merkle::ProveError>(ProvenStream::prove(entry.stream_id, bucket, &index, entries))
//! };
//! let streams = vec![stream(&entries[1])?, stream(&entries[0])?];
//! assert_eq!(evidence::accords_of(&streams[0]), [accord_id.into()]);
//! let rows = evidence::fold(artifact_id, &streams, CustodyPolicy::standard())?;
//! let file = Evidence::new(artifact_id, seal, prove(&entries[2])?, streams, rows).to_text()?;
//!
//! // Elsewhere: the file, and the public key.
//! let public: VerifierKey = log_key.key().to_string().parse()?;
//! let trust = Trust::new(LogKeys::single(origin, public)?);
//! let report = evidence::check(&Evidence::parse(&file)?, &trust);
//! assert!(report.holds(), "{:?}", report.failure);
//! assert_eq!(report.complete_up_to, Some(Position::new(2)));
//! let changed = Evidence::parse(file.replace("300", "301"))?;
//! assert!(!evidence::check(&changed, &trust).holds());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Whose code checks
//!
//! Signatures are ed25519-dalek's: well kept, reviewed, and built on the SHA-2 that is here anyway.
//! Everything else is written here. The crates tlog_tiles and signed_note (0.2) pass the same public
//! vectors, but bring a second Ed25519, a second SHA-2 and 80 crates in all, write no cosignatures and
//! have no proofs to make; an auditor would read more and trust more.
//!
//! The crate's README says in which order to read it, and what each file promises.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod audit;
mod cosignature;
mod data_hash;
mod decimal;
pub mod digest;
pub mod evidence;
pub mod index;
mod key;
mod log_keys;
pub mod merkle;
mod note;
pub mod policy;
mod record;
mod rows;
mod seal;
pub mod tile;
mod tlog_proof;
pub mod verify;
pub mod witness;

pub use cosignature::cosign;
pub use data_hash::DataHash;

pub use guildhall_core::TreeHash;
pub use key::{
    KeyError, KeyId, KeyName, KeyNameError, KeyType, Signer, SignerError, SigningKey, VerifierKey,
};
pub use log_keys::{LogKey, LogKeys, LogKeysError, SealRefused};
pub use note::{
    MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteError, NoteSignature, SignError, Verified,
    VerifyError, parse_signature_lines,
};
pub use record::{Record, RecordError};
pub use rows::{Row, RowDifference, Rows};
pub use seal::{AcceptError, Seal, SealError, SignedSeal};
pub use tlog_proof::{TlogProof, TlogProofError};
