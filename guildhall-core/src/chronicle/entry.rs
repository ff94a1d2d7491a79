//! An entry: as it is recorded, on its way there, and decoded.

use serde::{Deserialize, Serialize};

use super::leaf::LeafRecord;
use crate::cid::LeafHash;
use crate::error::LogFault;
use crate::event::{ChronicleIndexed, Decoded, Event, EventType, decode};
use crate::ids::{EventId, Position, StreamId, Version};
use crate::invariant::Violation;
use crate::json::Json;
use crate::origin::Origin;
use crate::time::Timestamp;

/// What ties an entry to its cause: CloudEvents extension attributes, each of 1 to 1,024 bytes.
/// They are stored and shown, and nothing is decided by them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// The event or command that caused this one.
    #[serde(rename = "causationid", default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// What everything of one undertaking shares.
    #[serde(rename = "correlationid", default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

crate::setters!(Metadata {
    causation_id: impl Into<Option<String>>,
    correlation_id: impl Into<Option<String>>,
    traceparent: impl Into<Option<String>>,
});

impl Metadata {
    /// How long each attribute may be, in bytes.
    pub const MAX_ATTRIBUTE_BYTES: usize = 1024;

    /// Its JSON: an object of the attributes that are there.
    pub fn to_json(&self) -> String {
        // A struct of strings serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn attributes(&self) -> [(&'static str, Option<&String>); 3] {
        [
            ("causationid", self.causation_id.as_ref()),
            ("correlationid", self.correlation_id.as_ref()),
            ("traceparent", self.traceparent.as_ref()),
        ]
    }
}

/// One recorded event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands in the Chronicle.
    pub position: Position,
    /// Its id, for ever.
    pub event_id: EventId,
    /// The stream that it belongs to.
    pub stream_id: StreamId,
    /// Where it stands in its stream.
    pub version: Version,
    /// Its type.
    pub event_type: EventType,
    /// The canonical JSON text of its data, byte for byte as stored. A log that something else
    /// wrote may hold any text here; [`decode`](Self::decode) says so.
    pub payload: Box<str>,
    /// What caused it.
    pub metadata: Metadata,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Its leaf hash, as stored.
    pub leaf_hash: LeafHash,
}

impl Entry {
    /// What the payload means.
    ///
    /// # Errors
    /// A [`Violation`] of `CC00`.
    pub fn decode(&self) -> Result<Decoded, Violation> {
        decode(&self.event_type, self.stream_id, &self.payload)
    }

    /// The leaf hash that the other fields have in the Chronicle `origin`: SHA-256(0x00 ‖ record),
    /// a leaf of RFC 6962 (section 2.1), where the record is the canonical JSON of the payload's
    /// SHA-256, `event_id`, `origin`, `position`, `stream`, `time`, `type` and `version`.
    pub fn compute_leaf_hash(&self, origin: &Origin) -> LeafHash {
        self.leaf_record().hash(origin)
    }

    /// Checks that the leaf hash is that of the other fields in the Chronicle `origin`.
    ///
    /// # Errors
    /// [`LogFault::Altered`].
    pub fn check_leaf_hash(&self, origin: &Origin) -> Result<(), LogFault> {
        self.leaf_record().check(origin, self.leaf_hash)
    }

    fn leaf_record(&self) -> LeafRecord<'_> {
        LeafRecord {
            position: self.position,
            event_id: self.event_id,
            stream_id: self.stream_id,
            version: self.version,
            event_type: self.event_type.as_str(),
            payload: &self.payload,
            recorded_at: self.recorded_at,
        }
    }
}

/// What stands at a position, taken as it is: nothing about it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unchecked {
    /// An entry. What it states as its leaf hash may be no hash of its fields, and its metadata, of which
    /// no leaf speaks, may be left out.
    Entry(Entry),
    /// A row that is not an entry.
    Unreadable {
        /// Its position.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
}

impl Unchecked {
    /// Where it stands.
    pub const fn position(&self) -> Position {
        match self {
            Self::Entry(entry) => entry.position,
            Self::Unreadable { position, .. } => *position,
        }
    }
}

/// An event on its way into the Chronicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Its id. Appending the same event under the same id again is answered, not recorded twice.
    pub event_id: EventId,
    /// The stream that it belongs to.
    pub stream_id: StreamId,
    /// Its type.
    pub event_type: EventType,
    /// Its data.
    pub payload: Json,
    /// What caused it.
    pub metadata: Metadata,
    /// When it was recorded; the store's clock where none is given.
    pub recorded_at: Option<Timestamp>,
}

impl NewEntry {
    /// The entry of an event, under a fresh id.
    pub fn new(event: &Event) -> Self {
        Self::with_id(EventId::new(), event)
    }

    /// The entry of an event under this id.
    pub fn with_id(event_id: EventId, event: &Event) -> Self {
        Self {
            event_id,
            stream_id: event.stream(),
            event_type: event.kind().into(),
            payload: event.to_payload(),
            metadata: Metadata::default(),
            recorded_at: None,
        }
    }

    /// The index entry of the Chronicle `origin`, under a fresh id.
    pub fn indexed(index: &ChronicleIndexed, origin: &Origin) -> Self {
        Self {
            event_id: EventId::new(),
            stream_id: origin.index_stream(),
            event_type: EventType::new(ChronicleIndexed::TYPE),
            payload: index.to_payload(),
            metadata: Metadata::default(),
            recorded_at: None,
        }
    }
}

/// An entry with its payload decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedEntry {
    /// Where it stands in the Chronicle.
    pub position: Position,
    /// Its id.
    pub event_id: EventId,
    /// Its stream.
    pub stream_id: StreamId,
    /// Its type.
    pub event_type: EventType,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Its leaf hash.
    pub leaf_hash: LeafHash,
    /// What its payload means, or why it means nothing (`CC00`).
    pub decoded: Result<Decoded, Violation>,
}

impl From<Entry> for DecodedEntry {
    fn from(entry: Entry) -> Self {
        Self {
            decoded: entry.decode(),
            position: entry.position,
            event_id: entry.event_id,
            stream_id: entry.stream_id,
            event_type: entry.event_type,
            recorded_at: entry.recorded_at,
            leaf_hash: entry.leaf_hash,
        }
    }
}
