//! The leaf of an entry in the Merkle tree over the log (RFC 6962, section 2.1).

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cid::LeafHash;
use crate::error::LogFault;
use crate::hash::hash_fields;
use crate::ids::{EventId, Position, StreamId, Version};
use crate::origin::Origin;
use crate::time::Timestamp;

/// What the leaf hash of an entry commits to, beside the origin; borrowed, so that a store can check
/// a row as it reads it. Metadata is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafRecord<'a> {
    /// Where the entry stands in the Chronicle.
    pub position: Position,
    /// Its id.
    pub event_id: EventId,
    /// Its stream.
    pub stream_id: StreamId,
    /// Where it stands in its stream.
    pub version: Version,
    /// Its type.
    pub event_type: &'a str,
    /// Its payload, byte for byte as stored.
    pub payload: &'a str,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

impl LeafRecord<'_> {
    /// The leaf hash in the Chronicle `origin`: SHA-256(0x00 ‖ record), where the record is the
    /// canonical JSON of the payload's SHA-256 (`data_sha256`), `event_id`, `origin`, `position`,
    /// `stream`, `time`, `type` and `version`.
    pub fn hash(&self, origin: &Origin) -> LeafHash {
        #[derive(Serialize)]
        struct Record<'a> {
            data_sha256: LeafHash,
            event_id: EventId,
            origin: &'a Origin,
            position: Position,
            stream: StreamId,
            time: Timestamp,
            r#type: &'a str,
            version: Version,
        }
        let record = Record {
            data_sha256: LeafHash::from_bytes(Sha256::digest(self.payload.as_bytes()).into()),
            event_id: self.event_id,
            origin,
            position: self.position,
            stream: self.stream_id,
            time: self.recorded_at,
            r#type: self.event_type,
            version: self.version,
        };
        LeafHash::from_bytes(hash_fields(&[0], &record))
    }

    /// Checks that a stored leaf hash is that of these fields.
    ///
    /// # Errors
    /// [`LogFault::Altered`].
    pub fn check(&self, origin: &Origin, found: LeafHash) -> Result<(), LogFault> {
        let expected = self.hash(origin);
        if found == expected {
            Ok(())
        } else {
            Err(LogFault::Altered { position: self.position, found, expected })
        }
    }
}
