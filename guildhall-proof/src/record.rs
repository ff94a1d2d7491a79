//! The record of an entry, whose hash is the entry's leaf (DESIGN section 5).

use guildhall_core::{Entry, EventId, LeafHash, Origin, Position, StreamId, Timestamp, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data_hash::DataHash;
use crate::merkle::leaf_hash;

/// What the leaf of an entry commits to. Its text is the canonical JSON (RFC 8785) of these fields,
/// and the leaf hash is SHA-256(0x00 ‖ text).
///
/// It holds the payload's hash and not the payload: what is erased one day stays provable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The SHA-256 of the payload, byte for byte as stored.
    pub data_sha256: DataHash,
    /// The entry's id.
    pub event_id: EventId,
    /// The Chronicle that it stands in.
    pub origin: Origin,
    /// Where.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// When it was recorded.
    pub time: Timestamp,
    /// Its type, the full name.
    pub r#type: String,
    /// Where it stands in its stream.
    pub version: Version,
}

/// Bytes that are not a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// They are not JSON with exactly these fields.
    #[error("not a record: {0}")]
    Json(#[from] serde_json::Error),
    /// They are not its canonical JSON.
    #[error("not the canonical JSON of a record")]
    NotCanonical,
}

impl Record {
    /// The record of an entry of the Chronicle `origin`. The leaf hash that the entry states is not
    /// used.
    pub fn of(entry: &Entry, origin: &Origin) -> Self {
        Self {
            data_sha256: DataHash::from_bytes(Sha256::digest(entry.payload.as_bytes()).into()),
            event_id: entry.event_id,
            origin: origin.clone(),
            position: entry.position,
            stream: entry.stream_id,
            time: entry.recorded_at,
            r#type: entry.event_type.as_str().to_owned(),
            version: entry.version,
        }
    }

    /// Reads the text of a record: one entry of a bundle ([`tile`](crate::tile)).
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_slice(bytes)?;
        if record.to_text().as_bytes() == bytes {
            Ok(record)
        } else {
            Err(RecordError::NotCanonical)
        }
    }

    /// The text that is hashed.
    pub fn to_text(&self) -> String {
        // The fields are declared in the order of their names; ids, texts and numbers serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The leaf hash.
    pub fn leaf_hash(&self) -> LeafHash {
        LeafHash::from_bytes(*leaf_hash(self.to_text().as_bytes()).as_bytes())
    }

    /// Whether this is the payload that the record commits to.
    pub fn is_of(&self, payload: &str) -> bool {
        self.data_sha256 == DataHash::of(payload.as_bytes())
    }
}
