//! What a cluster is set up with, and how its server is stopped.

use std::path::PathBuf;

/// What a cluster is for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Whether commits are synced to disk. Tests of what is promised in a crash of the server or
    /// of the machine want it, others are three times faster without.
    pub(crate) fsync: bool,
    /// Lines for `postgresql.conf`.
    pub(crate) lines: Vec<String>,
    /// Lines for `pg_hba.conf`, before the one that trusts the socket.
    pub(crate) access: Vec<String>,
    /// Files of the data folder, such as a certificate, that only the server can read.
    pub(crate) files: Vec<(&'static str, String)>,
    /// Also listens on this port of 127.0.0.1.
    pub(crate) port: Option<u16>,
    /// Where the cluster's folder is made, if not among the temporary ones.
    pub(crate) folder: Option<PathBuf>,
    /// Where its write-ahead log is, if not in there: an empty folder of the server's.
    pub(crate) wal: Option<PathBuf>,
}

impl Settings {
    /// Of a server that others replicate, physically or logically.
    pub(crate) fn for_standbys() -> Self {
        Self {
            lines: [
                "wal_level = logical",
                "wal_keep_size = '256MB'",
                // A query on a standby is not ended for what the standby has to replay.
                "max_standby_streaming_delay = -1",
                "max_standby_archive_delay = -1",
            ]
            .map(str::to_owned)
            .to_vec(),
            access: vec!["local replication all trust".to_owned()],
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let (lines, access, files) = (Vec::new(), Vec::new(), Vec::new());
        Self { fsync: false, lines, access, files, port: None, folder: None, wal: None }
    }
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its clients are cut off and what is running is rolled back.
    Fast,
    /// At once, as in a crash; it recovers when it starts again.
    Immediate,
}
