//! Rows as 32 bytes each: so a log of millions of entries is held against its tables in memory.

use std::convert::Infallible;

use guildhall_core::store::{ColumnWriter, Row};
use guildhall_core::{Cid, Json, Table, TableRow, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::history::History;

/// The first 16 bytes of the SHA-256 of a row's key, and of the whole row. What a forger would have to
/// find is a second row of the same hash, which takes 2^128 attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashed {
    pub(super) key: u128,
    /// Without what may be [worded](is_wording) otherwise.
    pub(super) row: u128,
    /// What may be, where the table has such a column.
    pub(super) wording: Option<u128>,
}

/// Why an entry is in quarantine may be said in other words by another version; the code may not.
pub(super) fn is_wording(table: &str, column: &str) -> bool {
    table == "quarantined_entries" && column == "reason"
}

impl Hashed {
    /// Of a row that the fold made.
    pub(super) fn of<R: Row>(row: &R, history: History) -> Self {
        let mut hashing = Hashing::new(&R::TABLE, history);
        let Ok(()) = row.write(&mut hashing);
        hashing.finish()
    }

    /// Of a row that was read.
    pub(super) fn of_read(row: &TableRow, history: History) -> Self {
        let mut hashing = Hashing::new(row.table(), history);
        let Ok(()) = row.write(&mut hashing);
        hashing.finish()
    }
}

struct Hashing<'t> {
    table: &'t Table,
    history: History,
    at: usize,
    key: Sha256,
    row: Sha256,
    wording: Option<u128>,
}

impl<'t> Hashing<'t> {
    fn new(table: &'t Table, history: History) -> Self {
        Self { table, history, at: 0, key: Sha256::new(), row: Sha256::new(), wording: None }
    }

    fn finish(self) -> Hashed {
        Hashed { key: half(self.key), row: half(self.row), wording: self.wording }
    }

    /// A value: what it is, how long, and its bytes, so that no two rows have the same text.
    fn value(&mut self, kind: u8, bytes: &[u8]) -> Result<(), Infallible> {
        let name = self.table.columns.get(self.at).map_or("", |column| column.name);
        self.at += 1;
        if is_wording(self.table.name, name) {
            self.wording = Some(half(Sha256::new_with_prefix(bytes)));
            return Ok(());
        }
        if self.history.is_number(self.table, name) {
            return Ok(());
        }
        let mut head = [kind; 9];
        head[1..].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.row.update(head);
        self.row.update(bytes);
        if self.history.is_key(self.table, name) {
            self.key.update(head);
            self.key.update(bytes);
        }
        Ok(())
    }
}

fn half(hasher: Sha256) -> u128 {
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize()[..16]);
    u128::from_be_bytes(half)
}

impl<'r> ColumnWriter<'r> for Hashing<'_> {
    type Error = Infallible;

    fn null(&mut self) -> Result<(), Infallible> {
        self.value(b'n', &[])
    }

    fn uuid(&mut self, value: Uuid) -> Result<(), Infallible> {
        self.value(b'u', value.as_bytes())
    }

    fn text(&mut self, value: &'r str) -> Result<(), Infallible> {
        self.value(b't', value.as_bytes())
    }

    /// The text that the tables have.
    fn cid(&mut self, value: Cid) -> Result<(), Infallible> {
        self.value(b't', value.encode(&mut [0; 59]).as_bytes())
    }

    fn json(&mut self, value: &'r Json) -> Result<(), Infallible> {
        self.value(b'j', value.as_str().as_bytes())
    }

    fn time(&mut self, value: Timestamp) -> Result<(), Infallible> {
        self.value(b's', &value.as_micros().to_be_bytes())
    }

    fn hash(&mut self, value: &'r [u8; 32]) -> Result<(), Infallible> {
        self.value(b'h', value)
    }

    fn integer(&mut self, value: i64) -> Result<(), Infallible> {
        self.value(b'i', &value.to_be_bytes())
    }

    fn small(&mut self, value: i16) -> Result<(), Infallible> {
        self.integer(value.into())
    }
}
