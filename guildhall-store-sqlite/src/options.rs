//! What an embedder can choose when opening a store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use guildhall_core::MAX_PAYLOAD_BYTES;

/// Where a store lives and what it may use. Start from the defaults of [`SqliteOptions::at`] and set
/// what differs:
///
/// ```
/// use guildhall_store_sqlite::SqliteOptions;
///
/// let options = SqliteOptions::at("chronicle.db").ops_path("ops.db").readers(8);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// The file of the Chronicle; created if it does not exist.
    pub chronicle_path: PathBuf,
    /// The file of the Ops DB; by default it shares the Chronicle's.
    pub ops_path: Option<PathBuf>,
    /// Upper bound on the page cache of each writing connection, in bytes. There are up to three (one
    /// appends, one projects, one rebuilds); a reading one has an eighth of it. SQLite lends what one
    /// does not use to the others. 8 MiB by default: at two million entries, four times as much made
    /// neither appends nor a catch-up faster.
    pub cache_bytes: usize,
    /// How many connections serve reads at the same time, for each file. 4 by default; at least 1.
    pub readers: usize,
    /// How long a writer waits for another process's transaction before its error is transient.
    /// 5 s by default. Writers of one process queue up and do not use it.
    pub busy_timeout: Duration,
    /// Upper bound on the entries of waiting appends that share one transaction. 4,096 by default. An
    /// append is never split, so a longer one has a transaction of its own.
    pub group_entries: usize,
    /// Upper bound on the payload that shares one transaction, in bytes. 16 MiB by default.
    pub group_bytes: usize,
    /// Upper bound on one payload, in bytes. [`MAX_PAYLOAD_BYTES`] by default.
    pub payload_limit_bytes: usize,
    /// How often a waiter looks for itself, and so the longest delay when its wake-up is lost. 1 s by
    /// default.
    pub poll_interval: Duration,
    /// How long a snapshot of the Ops DB ([`OpsDb::snapshot`](guildhall_core::OpsDb::snapshot)) lasts
    /// before it ends by itself: while it exists, SQLite cannot fold the log in beyond it. 10 s by
    /// default.
    pub snapshot_time: Duration,
    /// How long a projector's lease holds without being renewed. 15 s by default.
    pub lease_time: Duration,
}

guildhall_core::setters!(SqliteOptions {
    chronicle_path: impl Into<PathBuf>,
    cache_bytes: usize,
    readers: usize,
    busy_timeout: Duration,
    group_entries: usize,
    group_bytes: usize,
    payload_limit_bytes: usize,
    poll_interval: Duration,
    snapshot_time: Duration,
    lease_time: Duration,
});

impl SqliteOptions {
    /// The defaults, with everything in this file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            chronicle_path: path.into(),
            ops_path: None,
            cache_bytes: 8 << 20,
            readers: 4,
            busy_timeout: Duration::from_secs(5),
            group_entries: 4096,
            group_bytes: 16 << 20,
            payload_limit_bytes: MAX_PAYLOAD_BYTES,
            poll_interval: Duration::from_secs(1),
            snapshot_time: Duration::from_secs(10),
            lease_time: Duration::from_secs(15),
        }
    }

    /// The same, with the Ops DB in a file of its own.
    #[must_use]
    pub fn ops_path(self, path: impl Into<PathBuf>) -> Self {
        Self { ops_path: Some(path.into()), ..self }
    }

    /// The file that the Ops DB is in.
    pub fn ops_file(&self) -> &Path {
        self.ops_path.as_deref().unwrap_or(&self.chronicle_path)
    }
}
