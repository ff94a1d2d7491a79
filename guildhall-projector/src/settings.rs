//! How the runtime goes about it.

use std::time::Duration;

use guildhall_core::ReadLimit;

/// What can be set; the defaults suit a server and a laptop alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many entries a batch holds at most. Catching up, a batch is a transaction of this size;
    /// live, it is whatever has come meanwhile. 10,000 by default: from 1,000 on the gain is
    /// large, beyond this it is small.
    pub batch_entries: usize,
    /// How many bytes of payload a batch holds at most (and one entry more). 16 MiB by default.
    pub batch_bytes: usize,
    /// How many decoded batches wait for the writer at most. With the one being read, the one
    /// being decoded and the one being written, this bounds memory.
    pub batches_ahead: usize,
    /// How long to wait for the log to grow before looking again, whatever happened to the
    /// wake-up. One second by default.
    pub patience: Duration,
    /// The longest pause before the first retry; it doubles with each further one.
    pub backoff_first: Duration,
    /// The longest pause before any retry.
    pub backoff_most: Duration,
    /// How many failures in a row are retried, with no entry applied in between. None, the
    /// default, is for as long as it takes.
    pub retries: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_entries: 10_000,
            batch_bytes: 16 << 20,
            batches_ahead: 2,
            patience: Duration::from_secs(1),
            backoff_first: Duration::from_millis(100),
            backoff_most: Duration::from_secs(30),
            retries: None,
        }
    }
}

impl Settings {
    pub(crate) fn read_limit(&self) -> ReadLimit {
        ReadLimit { entries: self.batch_entries.max(1), bytes: self.batch_bytes }
    }
}
