//! Evidence: a file that proves one artifact's whole history, up to a seal, with nothing but the
//! file and public keys (DESIGN section 9, `guildhall.evidence.v1`).
//!
//! It is JSON, of this form; hashes are 64 lower-case hex digits, and a field that is not listed is
//! refused:
//!
//! | field | what it is |
//! | --- | --- |
//! | `artifact_id` | the artifact |
//! | `format` | `guildhall.evidence.v1` |
//! | `index` | the entry that the seal ends with, `chronicle.indexed.v1` |
//! | `rows` | the rows of the Ops DB that the entries make, by table, in the order of the keys |
//! | `seal` | the seal with its cosignatures, the note as it is |
//! | `streams` | the artifact's stream, and that of each accord that a registration in it names |
//!
//! A stream has `stream` (its id), `bucket` (the bucket of the index that it belongs in, in base64),
//! `proof` (that bucket's 16 hashes) and `entries`: all that it has, in order. An entry has `record`
//! ([`Record`]), `payload` (a string: the payload byte for byte as stored) and `proof` (of its
//! inclusion in the sealed tree).
//!
//! The seal ends with the index: it seals no entry after it. So nobody can substitute an older index of
//! the same seal and hide what came since; the index also says up to where the evidence is complete
//! (`tree_size`).
//!
//! Of one entry alone, [`EntryEvidence`] is a proof that other people's tools read as well.

mod check;
mod entry;
mod report;

use guildhall_core::fold::{Changes, Fold, FoldError};
use guildhall_core::{
    ArtifactId, CustodyPolicy, Decoded, DecodedEntry, Entry, Event, EventType, OnViolation, Origin,
    StreamId, TreeHash, Violation, event,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::index::{Bucket, StreamIndex};
use crate::merkle::{InclusionProof, Nodes, ProveError};
use crate::record::Record;
use crate::rows::Rows;
use crate::seal::SignedSeal;

pub use check::{Trust, check};
pub use entry::{EntryEvidence, EntryEvidenceError, EntryReport, EntryUnknown};
pub use report::{Aspect, Cosigner, Failure, Report};

/// The contents of the file, not yet checked ([`check`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// The format of this version.
    format: Format,
    /// The entry that the seal ends with.
    pub index: ProvenEntry,
    /// The rows of the Ops DB that the entries make.
    pub rows: Rows,
    /// The seal.
    #[serde(with = "as_text")]
    pub seal: SignedSeal,
    /// The artifact's stream, and those of the accords.
    pub streams: Vec<ProvenStream>,
}

/// An entry, with the proof that it stands in the sealed log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenEntry {
    /// The payload, byte for byte as stored.
    pub payload: String,
    /// The proof that its leaf is in the sealed tree.
    pub proof: Vec<TreeHash>,
    /// What its leaf commits to.
    pub record: Record,
}

/// A stream, with the proof that it has exactly these entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenStream {
    /// The bytes of its bucket of the index.
    #[serde(with = "as_base64")]
    pub bucket: Vec<u8>,
    /// Its entries, in order; none if the log has no such stream, which the bucket shows.
    pub entries: Vec<ProvenEntry>,
    /// The proof that the bucket is in the index.
    pub proof: Vec<TreeHash>,
    /// The stream.
    pub stream: StreamId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "guildhall.evidence.v1")]
    V1,
}

impl Evidence {
    /// The evidence of these parts. Nothing is checked: [`check`] does that.
    pub fn new(
        artifact_id: ArtifactId,
        seal: SignedSeal,
        index: ProvenEntry,
        streams: Vec<ProvenStream>,
        rows: Rows,
    ) -> Self {
        Self { artifact_id, format: Format::V1, index, rows, seal, streams }
    }

    /// Reads a file, and checks nothing. Neither its layout nor the order of its fields matters.
    ///
    /// # Errors
    /// It is not JSON of the form above.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text.as_ref())
    }

    /// The file's text: one line, with its line feed.
    ///
    /// # Errors
    /// None known: all parts serialise.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|text| text + "\n")
    }
}

impl ProvenEntry {
    /// The entry of the Chronicle `origin`, with the proof that the tree over the first `size`
    /// entries has it.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn prove(
        entry: &Entry,
        origin: &Origin,
        nodes: &impl Nodes,
        size: u64,
    ) -> Result<Self, ProveError> {
        let record = Record::of(entry, origin);
        // Position 0 wraps to a leaf that no tree has.
        let proof = InclusionProof::make(nodes, entry.position.get().wrapping_sub(1), size)?;
        Ok(Self { payload: entry.payload.to_string(), proof: proof.hashes, record })
    }

    /// What the payload means.
    fn decode(&self) -> Result<Decoded, Violation> {
        event::decode(&EventType::new(&self.record.r#type), self.record.stream, &self.payload)
    }
}

impl ProvenStream {
    /// The stream with these entries, all that it has, and its bucket of the index.
    pub fn prove(
        stream: StreamId,
        bucket: &Bucket,
        index: &StreamIndex,
        entries: Vec<ProvenEntry>,
    ) -> Self {
        Self { bucket: bucket.to_bytes(), entries, proof: index.prove(bucket.index()), stream }
    }
}

/// The streams, besides its own, that decide what an artifact's entries mean: those of the accords
/// that a registration in its stream names. Whether a registration holds depends on them.
pub fn accords_of(artifact: &ProvenStream) -> Vec<StreamId> {
    accords(artifact.stream, artifact.entries.iter().map(ProvenEntry::decode))
}

/// The same, of the entries of an artifact's stream that are still to be proved.
pub fn accords_in(stream: StreamId, entries: &[Entry]) -> Vec<StreamId> {
    accords(stream, entries.iter().map(Entry::decode))
}

fn accords(
    stream: StreamId,
    entries: impl Iterator<Item = Result<Decoded, Violation>>,
) -> Vec<StreamId> {
    let mut accords = Vec::new();
    for entry in entries {
        if let Ok(Decoded::Event(Event::ArtifactRegistered(registered))) = entry {
            let accord = StreamId::from(registered.accord_id);
            if accord != stream && !accords.contains(&accord) {
                accords.push(accord);
            }
        }
    }
    accords
}

/// The rows that the entries of these streams make: those of the artifact, of its accords, and the
/// quarantined entries of its own stream.
///
/// # Errors
/// [`FoldError`], where entries do not follow one another.
pub fn fold(
    artifact_id: ArtifactId,
    streams: &[ProvenStream],
    policy: CustodyPolicy,
) -> Result<Rows, FoldError> {
    let changes = fold_changes(artifact_id, streams, policy)?;
    // The rows of the Ops DB serialise.
    Ok(Rows::of(&changes).unwrap_or_default())
}

fn fold_changes(
    artifact_id: ArtifactId,
    streams: &[ProvenStream],
    policy: CustodyPolicy,
) -> Result<Changes, FoldError> {
    let own = StreamId::from(artifact_id);
    let entries = streams.iter().flat_map(|stream| &stream.entries).filter_map(|entry| {
        let decoded = entry.decode();
        // Of an accord's stream, that it was bound is all that matters here.
        let is_bound = matches!(decoded, Ok(Decoded::Event(Event::AccordBound(_))));
        let record = &entry.record;
        (record.stream == own || is_bound).then(|| DecodedEntry {
            position: record.position,
            event_id: record.event_id,
            stream_id: record.stream,
            event_type: EventType::new(&record.r#type),
            recorded_at: record.time,
            leaf_hash: record.leaf_hash(),
            decoded,
        })
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|entry| entry.position);
    let mut fold = Fold::over_empty_tables(policy, OnViolation::Quarantine);
    fold.apply(entries)?;
    let mut changes = fold.take_changes();
    changes.quarantined.retain(|row| row.stream_id == own);
    Ok(changes)
}

mod as_text {
    use super::{Deserialize, Deserializer, Serializer, SignedSeal};

    pub(super) fn serialize<S: Serializer>(seal: &SignedSeal, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(seal)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SignedSeal, D::Error> {
        SignedSeal::parse(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

mod as_base64 {
    use data_encoding::BASE64;

    use super::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        BASE64.decode(String::deserialize(from)?.as_bytes()).map_err(serde::de::Error::custom)
    }
}
