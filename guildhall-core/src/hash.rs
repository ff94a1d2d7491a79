//! One hash of a struct's fields, by their canonical JSON.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256 over a prefix and the canonical JSON of a struct whose fields are declared in
/// alphabetical order.
pub(crate) fn hash_fields(prefix: &[u8], fields: &impl Serialize) -> [u8; 32] {
    // Written out first: a hasher takes one text much faster than its pieces.
    let mut text = Vec::with_capacity(768);
    text.extend_from_slice(prefix);
    // Serialising ids, texts and numbers cannot fail.
    let written = serde_json::to_writer(&mut text, fields);
    debug_assert!(written.is_ok(), "{written:?}");
    Sha256::digest(&text).into()
}
