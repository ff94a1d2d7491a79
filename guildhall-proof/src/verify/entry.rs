//! What is checked of an entry by itself: the costly part, of which the order does not matter.

use guildhall_core::{ChronicleIndexed, Decoded, EventType, LeafHash, Origin, Position, Unchecked};

use crate::index::{StreamRecord, bucket_of};

/// An entry that was hashed.
#[derive(Debug)]
pub struct CheckedEntry {
    pub(super) position: Position,
    /// As it is stored.
    pub(super) leaf_hash: Option<LeafHash>,
    pub(super) fault: Option<Fault>,
    /// Where it stands in its stream; none where it cannot be read.
    pub(super) stands: Option<Stands>,
}

#[derive(Debug)]
pub(super) enum Fault {
    Altered { found: LeafHash, expected: LeafHash },
    Unreadable(String),
}

#[derive(Debug)]
pub(super) struct Stands {
    pub(super) bucket: u16,
    pub(super) record: StreamRecord,
    /// What an index entry says.
    pub(super) indexed: Option<Result<ChronicleIndexed, String>>,
}

impl CheckedEntry {
    /// Hashes an entry of the Chronicle `origin`.
    pub fn of(found: &Unchecked, origin: &Origin) -> Self {
        let entry = match found {
            Unchecked::Entry(entry) => entry,
            Unchecked::Unreadable { position, reason } => {
                let fault = Some(Fault::Unreadable(reason.clone()));
                return Self { position: *position, leaf_hash: None, fault, stands: None };
            }
        };
        let (stored, expected) = (entry.leaf_hash, entry.compute_leaf_hash(origin));
        let altered = Fault::Altered { found: stored, expected };
        let is_index = entry.event_type == EventType::new(ChronicleIndexed::TYPE);
        let indexed = is_index.then(|| match entry.decode() {
            Ok(Decoded::Indexed(indexed)) => Ok(indexed),
            Ok(_) => Err("it is none".to_owned()),
            Err(violation) => Err(violation.to_string()),
        });
        let (stream, version) = (entry.stream_id, entry.version);
        let record = StreamRecord { stream, version, leaf_hash: stored };
        Self {
            position: entry.position,
            leaf_hash: Some(stored),
            fault: (stored != expected).then_some(altered),
            stands: Some(Stands { bucket: bucket_of(stream), record, indexed }),
        }
    }
}
