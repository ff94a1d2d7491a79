//! Whether the holder of a lease is alive. The host's operating system knows: the holder keeps a file
//! beside the database locked, with its id in it, and the lock ends with its process.
//!
//! This only shortens the wait for a lease; the lease and its fence decide who may write. The lock is on
//! the file and not on a process id, so neither containers nor a reused process id confuse it. If the
//! database was copied, nobody has the copy of the file locked. A frozen holder keeps its lock, and its
//! lease lapses in due time; so does the lease of a holder that could not lock the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use guildhall_core::HolderId;
use guildhall_core::store::LeaseState;
use uuid::Uuid;

/// One holder's view of the file.
#[derive(Debug)]
pub(crate) struct Presence {
    path: PathBuf,
    holder: HolderId,
    /// Locked for as long as it is open.
    mine: Option<File>,
}

impl Presence {
    /// That of `holder`, beside this database; nothing is touched yet.
    pub(crate) fn beside(database: &Path, holder: HolderId) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-lease");
        Self { path: path.into(), holder, mine: None }
    }

    /// Gives up the lease of another holder whose process has ended. It runs in the transaction that reads
    /// the lease, which keeps others from doing the same.
    pub(crate) fn free_abandoned(&self, lease: &mut LeaseState) {
        if let Some((found, _)) = lease.holder
            && found != self.holder
            && self.has_ended(found)
        {
            tracing::info!(holder = ?found, "took the lease of a projector whose process has ended");
            lease.release(found);
        }
    }

    /// Whether this was the last holder to lock the file, and does so no more.
    fn has_ended(&self, holder: HolderId) -> bool {
        let Ok(mut file) = File::open(&self.path) else { return false };
        let mut text = String::new();
        file.try_lock_shared().is_ok()
            && file.read_to_string(&mut text).is_ok()
            && text == holder.as_uuid().to_string()
    }

    /// Shows that the holder is alive, before others can read that it holds the lease. If that fails, its
    /// lease lapses in due time.
    pub(crate) fn show(&mut self) {
        if self.mine.is_none() {
            match self.lock() {
                Ok(file) => self.mine = Some(file),
                Err(error) => {
                    let path = self.path.display();
                    tracing::debug!(%error, %path, "cannot show that the lease's holder is alive");
                }
            }
        }
    }

    fn lock(&self) -> io::Result<File> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.path)?;
        file.try_lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        if !text.is_empty() && text.parse::<Uuid>().is_err() {
            // Another user's file, or a link's: it is left alone.
            return Err(io::ErrorKind::InvalidData.into());
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", self.holder.as_uuid())?;
        Ok(file)
    }

    /// Removes the file: the holder holds no lease any more.
    pub(crate) fn end(&mut self) {
        if let Some(file) = self.mine.take() {
            // Still locked. A file that stays behind says nothing about the next holder.
            let _ = fs::remove_file(&self.path);
            drop(file);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use guildhall_core::{Lease, Timestamp};

    use super::*;

    /// A lease of an hour.
    fn held_by(holder: HolderId) -> LeaseState {
        let mut lease = LeaseState::default();
        let taken = lease.take(holder, None, Duration::from_secs(3600), Timestamp::MIN);
        assert_eq!(taken, Lease::Held);
        lease
    }

    fn is_freed(presence: &Presence, mut lease: LeaseState) -> bool {
        presence.free_abandoned(&mut lease);
        lease.holder.is_none()
    }

    #[test]
    fn a_lease_is_free_once_its_holder_has_ended_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("g.db");
        let (one, other) = (HolderId::new(), HolderId::new());
        let (mut living, next) =
            (Presence::beside(&database, one), Presence::beside(&database, other));
        // Nothing is known of it.
        assert!(!is_freed(&next, held_by(one)));
        living.show();
        assert!(!is_freed(&next, held_by(one)));
        // A process that ends closes its files, and removes none.
        living.mine = None;
        assert!(is_freed(&next, held_by(one)));
        assert!(!is_freed(&next, held_by(HolderId::new())), "the file speaks of another");
        assert!(!is_freed(&living, held_by(one)), "it is its own");
    }

    #[test]
    fn the_next_holder_takes_the_file_over_and_removes_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("g.db");
        let (one, other) = (HolderId::new(), HolderId::new());
        let (mut first, mut second) =
            (Presence::beside(&database, one), Presence::beside(&database, other));
        first.show();
        // Frozen, it has lost its lease, and keeps the file for now.
        second.show();
        assert!(second.mine.is_none());
        first.mine = None;
        second.show();
        assert!(!is_freed(&first, held_by(other)));
        second.end();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        second.end();
    }

    #[test]
    fn a_file_that_is_something_else_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut presence = Presence::beside(&folder.path().join("g.db"), HolderId::new());
        fs::write(&presence.path, "mine").unwrap();
        presence.show();
        drop(presence);
        assert_eq!(fs::read(folder.path().join("g.db-lease")).unwrap(), b"mine");
    }

    #[test]
    fn nobody_lives_in_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let holder = HolderId::new();
        let mut living = Presence::beside(&folder.path().join("g.db"), holder);
        living.show();
        let copy = folder.path().join("copy.db");
        fs::copy(&living.path, folder.path().join("copy.db-lease")).unwrap();
        assert!(is_freed(&Presence::beside(&copy, HolderId::new()), held_by(holder)));
    }
}
