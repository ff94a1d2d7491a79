//! How often and with which limits a sealer works.

use std::time::Duration;

use guildhall_core::ReadLimit;

/// What can be set; the defaults suit a server and a laptop alike.
///
/// ```
/// use std::time::Duration;
/// use guildhall_projector::proof::SealerSettings;
///
/// let settings = SealerSettings::default().every(Duration::from_secs(5)).entries(1_000);
/// assert_eq!(settings.lease_time, SealerSettings::default().lease_time);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealerSettings {
    /// How long an entry waits for its seal at most, while all goes well. 60 seconds by default.
    pub every: Duration,
    /// After how many new entries the log is sealed at once. 10,000 by default.
    pub entries: u64,
    /// How long the lease holds without being renewed. 15 seconds by default.
    pub lease_time: Duration,
    /// Upper bound on the grown streams that one seal indexes; the entries after them are sealed with it
    /// and indexed by the next. It bounds memory and the longest transaction: 65,536 by default, some
    /// 10 MB.
    pub streams: usize,
    /// Upper bound on the entries of one read. 2,000 by default.
    pub read_entries: usize,
    /// Upper bound on the bytes of payload of one read (and one entry more). 4 MiB by default.
    pub read_bytes: usize,
    /// The longest pause before the first retry; it doubles with each further one.
    pub backoff_first: Duration,
    /// The longest pause before any retry.
    pub backoff_most: Duration,
    /// How many failures in a row are retried. None, the default, means without end.
    pub retries: Option<u32>,
}

guildhall_core::setters!(SealerSettings {
    every: Duration,
    entries: u64,
    lease_time: Duration,
    streams: usize,
    read_entries: usize,
    read_bytes: usize,
    backoff_first: Duration,
    backoff_most: Duration,
    retries: impl Into<Option<u32>>,
});

impl Default for SealerSettings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(60),
            entries: 10_000,
            lease_time: Duration::from_secs(15),
            streams: 1 << 16,
            read_entries: 2_000,
            read_bytes: 4 << 20,
            backoff_first: Duration::from_millis(100),
            backoff_most: Duration::from_secs(30),
            retries: None,
        }
    }
}

impl SealerSettings {
    pub(crate) fn read_limit(&self) -> ReadLimit {
        ReadLimit { entries: self.read_entries.max(1), bytes: self.read_bytes }
    }
}
