//! How the runtime goes about it.

use std::time::Duration;

use guildhall_core::ReadLimit;

/// What can be set; the defaults suit a server and a laptop alike.
///
/// ```
/// use std::time::Duration;
/// use guildhall_projector::Settings;
///
/// let settings = Settings::default().patience(Duration::from_millis(250)).retries(3);
/// assert_eq!(settings.read_entries, Settings::default().read_entries);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Upper bound on the entries of one read; two reads are under way at a time. 5,000 by
    /// default.
    pub read_entries: usize,
    /// Upper bound on the bytes of payload of one read (and one entry more). 4 MiB by default.
    pub read_bytes: usize,
    /// How many reads share a batch at most; as many wait for it at most. 8 by default. Live, a batch
    /// holds whatever has come, and is a transaction. As long as a whole read is to follow, the projector
    /// gathers batches for a longer one, within a bound of its own
    /// ([`gather`](guildhall_core::Projector::gather)). With the reads under way, this bounds the memory
    /// for entries: at the defaults to some 95,000.
    pub batch_reads: usize,
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
    /// Whether a [rebuild](crate::rebuild) may take the live tables' place although they differ, or
    /// although the log does not go on from their checkpoint. False by default: whoever edits a log
    /// and rebuilds would otherwise launder it.
    pub accept_rewritten: bool,
}

guildhall_core::setters!(Settings {
    read_entries: usize,
    read_bytes: usize,
    batch_reads: usize,
    patience: Duration,
    backoff_first: Duration,
    backoff_most: Duration,
    retries: impl Into<Option<u32>>,
    accept_rewritten: bool,
});

impl Default for Settings {
    fn default() -> Self {
        Self {
            read_entries: 5_000,
            read_bytes: 4 << 20,
            batch_reads: 8,
            patience: Duration::from_secs(1),
            backoff_first: Duration::from_millis(100),
            backoff_most: Duration::from_secs(30),
            retries: None,
            accept_rewritten: false,
        }
    }
}

impl Settings {
    pub(crate) fn read_limit(&self) -> ReadLimit {
        ReadLimit { entries: self.read_entries.max(1), bytes: self.read_bytes }
    }
}
