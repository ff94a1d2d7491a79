//! Digests: one hash of a table's rows, and one of all tables, the same on every backend (DESIGN
//! section 9).

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::data_hash::DataHash;
use crate::rows::Row;

/// The digest of one table in the making: its rows are pushed in the order of their keys.
///
/// It is the SHA-256 of a text that has a line for each row: the row's canonical JSON (RFC 8785) and
/// a line feed. So it can be compared with what `sha256sum` prints for an export.
///
/// ```
/// use guildhall_core::Json;
/// use guildhall_proof::digest::TableDigest;
///
/// let mut digest = TableDigest::default();
/// digest.push(1, &Json::parse(r#"{"id":1,"name":"ada"}"#)?)?;
/// digest.push(2, &Json::parse(r#"{"id":2,"name":"bob"}"#)?)?;
/// let (digest, rows) = digest.finish();
/// assert_eq!(rows, 2);
/// assert_eq!(digest.to_string(), "133a9129f45cfeb2a8586dd7435a211a46da27f2a3437751e3cbe0962a9d054b");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TableDigest<K> {
    hasher: Sha256,
    rows: u64,
    last: Option<K>,
}

/// Why a row is not part of a digest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// Its key does not come after that of the row before: the rows were not read in order, or one
    /// is there twice.
    #[error("row {row} does not come after the one before it in the order of the key")]
    Order {
        /// The row, from 0.
        row: u64,
    },
    /// It is not a JSON object.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl<K> Default for TableDigest<K> {
    fn default() -> Self {
        Self { hasher: Sha256::new(), rows: 0, last: None }
    }
}

impl<K: Ord> TableDigest<K> {
    /// Adds a row: a struct of the Ops DB, or its JSON.
    ///
    /// # Errors
    /// [`DigestError`]; then the row is not in it.
    pub fn push(&mut self, key: K, row: &impl Serialize) -> Result<(), DigestError> {
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Err(DigestError::Order { row: self.rows });
        }
        self.hasher.update(Row::of(row)?.to_text());
        self.hasher.update(b"\n");
        self.rows += 1;
        self.last = Some(key);
        Ok(())
    }

    /// The digest, and how many rows it covers.
    pub fn finish(self) -> (DataHash, u64) {
        (DataHash::from_bytes(self.hasher.finalize().into()), self.rows)
    }
}

/// The digest of several tables: the SHA-256 of a text that has a line for each, in the order of
/// their names: the table's digest in hex, two spaces, its name and a line feed. It is what
/// `sha256sum` prints for the tables' exports.
pub fn of_tables<'t>(tables: impl IntoIterator<Item = (&'t str, DataHash)>) -> DataHash {
    let tables: BTreeMap<_, _> = tables.into_iter().collect();
    let lines: String = tables.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    DataHash::of(lines.as_bytes())
}
