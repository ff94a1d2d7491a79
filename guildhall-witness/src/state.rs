//! What a witness keeps: for each log, the seal that it last cosigned.
//!
//! A folder in the layout of the monitoring prefix (C2SP tlog-witness), so that any web server can serve
//! it: `<origin hash>/checkpoint` is the seal, with the signatures of the log and of the witness. The
//! witness's own signature also says whose state it is and that it is whole. `key` is the witness's public
//! key, and locked for as long as a witness works here.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use guildhall_core::Origin;
use guildhall_proof::witness::monitoring_path;
use guildhall_proof::{MAX_NOTE_BYTES, SealError, SignedSeal, VerifierKey, VerifyError};

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another witness works on it: two would cosign two histories.
    #[error("another witness works on {}", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds something other than a witness's state.
    #[error("{} is not empty and not the state of a witness", folder.display())]
    NotAState {
        /// The folder.
        folder: PathBuf,
    },
    /// It is the state of a witness with another key.
    #[error("{} is the state of the witness {found}, and this is {expected}", folder.display())]
    OtherKey {
        /// The folder.
        folder: PathBuf,
        /// The key that it names, cut to 200 characters.
        found: String,
        /// The witness's own.
        expected: String,
    },
    /// A file does not hold a seal: it is torn, or was put there.
    #[error("{} does not hold a seal", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SealError,
    },
    /// A file holds the seal of another log.
    #[error("{} holds a seal of {found}, not of {expected}", path.display())]
    OtherLog {
        /// The file.
        path: PathBuf,
        /// The seal's origin.
        found: Origin,
        /// The log's.
        expected: Origin,
    },
    /// A file holds a seal that this witness did not cosign: it was changed, or put there.
    #[error("{} holds a seal that this witness did not cosign", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong with the signature.
        #[source]
        source: VerifyError,
    },
    /// The operating system failed.
    #[error("the state {}", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// The folder, locked until it is dropped.
#[derive(Debug)]
pub(crate) struct StateFolder {
    folder: PathBuf,
    key: VerifierKey,
    /// Whoever holds it open and locked works here.
    _lock: File,
}

impl StateFolder {
    /// Opens the state of the witness with this key, and makes it where there is none.
    pub(crate) fn open(folder: &Path, key: VerifierKey) -> Result<Self, StateError> {
        let io = |source| StateError::Io { path: folder.to_owned(), source };
        if create_folder(folder).map_err(io)? {
            let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
            sync_folder(parent.unwrap_or(Path::new("."))).map_err(io)?;
        }
        let path = folder.join("key");
        let is_empty = fs::read_dir(folder).map_err(io)?.next().is_none();
        if !is_empty && !path.exists() {
            return Err(StateError::NotAState { folder: folder.to_owned() });
        }
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
        let io = |source| StateError::Io { path: path.clone(), source };
        let mut lock = opened.map_err(io)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StateError::InUse { folder: folder.to_owned() },
            TryLockError::Error(source) => io(source),
        })?;
        let mut found = String::new();
        (&lock).take(MAX_NOTE_BYTES as u64).read_to_string(&mut found).map_err(io)?;
        let expected = format!("{key}\n");
        if found != expected {
            // What was begun and never finished: nothing was cosigned before the key was written.
            let is_begun =
                expected.starts_with(&found) && fs::read_dir(folder).map_err(io)?.count() == 1;
            if !is_begun {
                let found = found.trim_end().chars().take(200).collect();
                let expected = key.to_string();
                return Err(StateError::OtherKey { folder: folder.to_owned(), found, expected });
            }
            lock.rewind().map_err(io)?;
            lock.write_all(expected.as_bytes()).map_err(io)?;
            lock.sync_all().map_err(io)?;
            sync_folder(folder).map_err(io)?;
        }
        Ok(Self { folder: folder.to_owned(), key, _lock: lock })
    }

    /// The seal of a log that was last cosigned; none where none was.
    pub(crate) fn load(&self, origin: &Origin) -> Result<Option<SignedSeal>, StateError> {
        let path = self.folder.join(monitoring_path(origin));
        let io = |source| StateError::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_NOTE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        let seal = SignedSeal::parse_extended(&bytes)
            .map_err(|source| StateError::Torn { path: path.clone(), source })?;
        let found = &seal.seal().origin;
        if found != origin {
            let (found, expected) = (found.clone(), origin.clone());
            return Err(StateError::OtherLog { path, found, expected });
        }
        let cosigned = seal.note().verify([&self.key]);
        cosigned.map_err(|source| StateError::NotOurs { path, source })?;
        Ok(Some(seal))
    }

    /// Puts a seal in the place of the one before. Returned means durable; failed means that either
    /// may be there, and whole.
    pub(crate) fn save(&self, seal: &SignedSeal) -> io::Result<()> {
        let path = self.folder.join(monitoring_path(&seal.seal().origin));
        let folder = path.parent().unwrap_or(&self.folder);
        if create_folder(folder)? {
            sync_folder(&self.folder)?;
        }
        let beside = path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(seal.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        sync_folder(folder)
    }
}

/// Makes a folder unless it is there, for this user alone; whether it did.
fn create_folder(folder: &Path) -> io::Result<bool> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the names in a folder durable. Only on Unix can a folder be synced.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
