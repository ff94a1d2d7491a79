//! One hash of a struct's fields, by their canonical JSON.

use std::io;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Writes into a hasher.
struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// SHA-256 over a prefix and the canonical JSON of a struct whose fields are declared in
/// alphabetical order.
pub(crate) fn hash_fields(prefix: &[u8], fields: &impl Serialize) -> [u8; 32] {
    let mut hashing = Hashing(Sha256::new_with_prefix(prefix));
    // Writing into a hasher cannot fail, nor can serialising ids, texts and numbers.
    let written = serde_json::to_writer(&mut hashing, fields);
    debug_assert!(written.is_ok(), "{written:?}");
    hashing.0.finalize().into()
}
