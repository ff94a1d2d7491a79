//! Which file is at a path: SQLite goes on with the one that it opened even after that one was removed
//! or replaced, and what it writes then is lost.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use guildhall_core::LogFault;

/// What tells a file from one that took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    /// Device and inode, which no other file has while this one is open. Where there are none, the
    /// operating system refuses to remove an open file; the time of its creation stands for them.
    #[cfg(unix)]
    inode: (u64, u64),
    #[cfg(not(unix))]
    created_at: Option<SystemTime>,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Self { inode: (metadata.dev(), metadata.ino()) }
        }
        #[cfg(not(unix))]
        Self { created_at: metadata.created().ok() }
    }

    fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }
}

/// The file that a connection has open, and the log beside it. Looking at them opens neither:
/// closing a file of one's own would drop the locks that this process holds on it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    path: PathBuf,
    main: Identity,
    log_path: PathBuf,
    log: Option<Identity>,
}

impl Place {
    /// The files at `path` now, where a connection has read already and so has both open.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let log_path = log_path(path);
        Ok(Self {
            main: Identity::of(&fs::metadata(path)?),
            log: Identity::at(&log_path),
            path: path.to_owned(),
            log_path,
        })
    }

    /// The file at `path` now, whatever log stands beside it.
    pub(crate) fn without_log(path: &Path) -> io::Result<Self> {
        Ok(Self { log: None, ..Self::of(path)? })
    }

    /// Checks that they are still there.
    pub(crate) fn check(&self) -> Result<(), LogFault> {
        self.check_main()?;
        if self.log.is_some() && Identity::at(&self.log_path) != self.log {
            return Err(LogFault::FileReplaced { path: self.log_path.clone() });
        }
        Ok(())
    }

    /// Checks that the file is still there; the log goes with the last connection.
    pub(crate) fn check_main(&self) -> Result<(), LogFault> {
        if Identity::at(&self.path) == Some(self.main) {
            Ok(())
        } else {
            Err(LogFault::FileReplaced { path: self.path.clone() })
        }
    }

    /// Where the same file stands now, with the log beside it.
    pub(crate) fn again(&self) -> Result<Self, LogFault> {
        match Self::of(&self.path) {
            Ok(now) if now.main == self.main => Ok(now),
            _ => Err(LogFault::FileReplaced { path: self.path.clone() }),
        }
    }
}

/// A file that nobody writes: how it was when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    main: Identity,
    bytes: u64,
    changed_at: Option<SystemTime>,
    has_log: bool,
}

impl Stamp {
    /// How the file at `path` is now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            main: Identity::of(&metadata),
            bytes: metadata.len(),
            changed_at: metadata.modified().ok(),
            has_log: fs::metadata(log_path(path)).is_ok_and(|log| log.len() > 0),
        })
    }
}

/// The path of the write-ahead log of the file at `path`.
fn log_path(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}
