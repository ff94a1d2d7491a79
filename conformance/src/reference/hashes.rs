//! Hashes and CIDs, put together from DESIGN sections 3 to 5.

use data_encoding::HEXLOWER;
use guildhall_core::{Cid, CustodyState, CustodyTransition, Entry, LeafHash, LinkHash, Origin};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The canonical JSON (RFC 8785) of a value; empty where it has none.
pub(super) fn canonical(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_default()
}

/// The CID of a content: version 1, codec `raw`, sha2-256 of the canonical JSON.
pub fn cid_of(content: &Value) -> Cid {
    Cid::from_digest(Sha256::digest(canonical(content)).into())
}

/// The hash of a link, from the columns of its row alone.
pub fn link_hash(link: &CustodyTransition) -> LinkHash {
    let fields = json!({
        "artifact_id": link.artifact_id.to_string(),
        "seq": link.seq.get(),
        "from_state": link.from_state.map(CustodyState::as_str),
        "to_state": link.to_state.as_str(),
        "cid": link.cid.to_string(),
        "actor": link.actor,
        "reason": link.reason,
        "ceremony_id": link.ceremony_id.map(|id| id.to_string()),
        "evidence": link.evidence.to_value(),
        "occurred_at": link.occurred_at.to_string(),
        "prev_hash": link.prev_hash.map(|hash| hash.to_string()),
    });
    let hashed = format!("guildhall.custody.v1\n{}", canonical(&fields));
    LinkHash::from_bytes(Sha256::digest(hashed).into())
}

/// The leaf hash of an entry in the Chronicle `origin`, from its other fields.
pub fn leaf_hash(entry: &Entry, origin: &Origin) -> LeafHash {
    let record = json!({
        "data_sha256": HEXLOWER.encode(&Sha256::digest(entry.payload.as_bytes())),
        "event_id": entry.event_id.to_string(),
        "origin": origin.as_str(),
        "position": entry.position.get(),
        "stream": entry.stream_id.to_string(),
        "time": entry.recorded_at.to_string(),
        "type": entry.event_type.as_str(),
        "version": entry.version.get(),
    });
    let mut hashed = vec![0];
    hashed.extend_from_slice(canonical(&record).as_bytes());
    LeafHash::from_bytes(Sha256::digest(hashed).into())
}
