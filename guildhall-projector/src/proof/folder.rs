//! A log as files that any web server serves (C2SP tlog-tiles): a sink that auditors and witnesses can
//! read without the database.
//!
//! `checkpoint` is the newest seal, exchanged in one step. Tiles (`tile/<level>/<n>`) and bundles of
//! entries (`tile/entries/<n>`) never change; of a tile that is not full there is one for each seal
//! that ended in it (`.p/<width>`), until it is full. An entry of a bundle is the record whose hash is
//! the leaf ([`Record`]), not the payload.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use guildhall_core::{Origin, Position, ReadLimit, TreeHash};
use guildhall_proof::merkle::{CompactRange, ConsistencyProof, Nodes as _, leaf_hash};
use guildhall_proof::tile::{
    SEAL_PATH, TILE_WIDTH, Tile, TileError, TileId, TileLevel, Tiles, encode_bundle,
};
use guildhall_proof::{NoteSignature, Record, Seal, SealError, SignedSeal};

use super::log::{SealedLog, SealedLogError};
use super::sink::{SealSink, SinkError};

const WIDTH: u64 = TILE_WIDTH as u64;

/// Why a folder does not take a seal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file or a folder cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The newest seal is not valid.
    #[error("{} is not a seal", path.display())]
    Seal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SealError,
    },
    /// It is another log's folder: give each log one of its own.
    #[error("{} is of {found}, and this log is {expected}", path.display())]
    OtherLog {
        /// The folder.
        path: PathBuf,
        /// The origin of its seal.
        found: Origin,
        /// This log's.
        expected: Origin,
    },
    /// A tile or bundle is damaged, or does not hold what the log has there. Take the folder away, and
    /// it is made again whole.
    #[error("{} is not what the log has there", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The tiles do not lead to the seal beside them. Take the folder away, and it is made again whole.
    #[error("the tiles in {} do not lead to its seal", path.display())]
    Inconsistent {
        /// The folder.
        path: PathBuf,
    },
    /// An entry cannot stand in a bundle.
    #[error("an entry cannot stand in a bundle")]
    Bundle(#[from] TileError),
}

impl From<FolderError> for SinkError {
    fn from(error: FolderError) -> Self {
        Self::permanent(error)
    }
}

/// Keeps a log in a folder: every seal, its tiles and its entries. A folder has one sealer; a killed
/// one goes on where it was.
///
/// Before it is extended, its tiles have to lead to its own seal, and the log too; the new seal is put in place
/// only after everything that it rests on is on the disk.
#[derive(Debug, Clone)]
pub struct FolderSink {
    name: String,
    files: Arc<Files>,
}

#[derive(Debug)]
struct Files {
    root: PathBuf,
}

impl FolderSink {
    /// The log in this folder, which is made where there is none.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FolderError> {
        let root = path.into();
        fs::create_dir_all(&root)
            .map_err(|source| FolderError::Io { path: root.clone(), source })?;
        Ok(Self { name: format!("folder {}", root.display()), files: Arc::new(Files { root }) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.files.root
    }

    /// Runs blocking work on a thread for that.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, FolderError> + Send + 'static,
    ) -> Result<T, SinkError> {
        let files = Arc::clone(&self.files);
        let done = tokio::task::spawn_blocking(move || work(&files)).await;
        done.map_err(SinkError::transient)?.map_err(SinkError::from)
    }

    /// Checks that the folder's own tiles lead to its seal, and that the log goes on from it.
    async fn check(&self, held: &Seal, log: &SealedLog) -> Result<(), SinkError> {
        let (held_size, held_root) = (held.size, held.root);
        let seal = log.seal().seal();
        let contradicts =
            SinkError::Contradicts { held_size, held_root, size: seal.size, root: seal.root };
        if held.origin != seal.origin {
            let (path, found) = (self.path().to_owned(), held.origin.clone());
            return Err(FolderError::OtherLog { path, found, expected: seal.origin.clone() }.into());
        }
        if held_size > seal.size {
            return Err(contradicts);
        }
        self.blocking(move |files| files.check_edge(held_size, &held_root)).await?;
        let proof = match held_size {
            0 => ConsistencyProof { old: 0, new: seal.size, hashes: Vec::new() },
            _ => log.consistency(held_size).await?,
        };
        proof.verify_growth(&held_root, &seal.root).map_err(|_| contradicts)
    }

    /// Writes the bundles, and the tiles of leaf hashes, of the entries after those that are there.
    async fn write_entries(&self, held: u64, log: &SealedLog) -> Result<(), SinkError> {
        let origin = log.seal().seal().origin.clone();
        let mut start = held - held % WIDTH;
        while start < log.size() {
            let end = log.size().min(start + WIDTH);
            let mut records = Vec::new();
            let mut at = start;
            while at < end {
                let after = Position::try_from(at).unwrap_or(Position::MAX);
                let most = usize::try_from(end - at).unwrap_or(usize::MAX);
                let entries = log.chronicle().read(after, ReadLimit::entries(most)).await;
                let entries = entries.map_err(SealedLogError::from)?;
                if entries.is_empty() {
                    return Err(SealedLogError::Ends { size: log.size() }.into());
                }
                at += entries.len() as u64;
                records.extend(entries.iter().map(|entry| Record::of(entry, &origin).to_text()));
            }
            let (index, width) = (start / WIDTH, u16::try_from(end - start).unwrap_or(TILE_WIDTH));
            self.blocking(move |files| {
                let id = |level| TileId { level, index, width };
                let leaf = |record: &String| leaf_hash(record.as_bytes());
                let tile = Tile::new(records.iter().map(leaf).collect())?;
                let bundle = encode_bundle(records.iter().map(String::as_bytes))?;
                files.write(id(TileLevel::Entries), &bundle)?;
                files.write(id(TileLevel::Hashes(0)), &tile.to_bytes())
            })
            .await?;
            start = end;
        }
        Ok(())
    }

    /// Writes the tiles above the leaf hashes.
    async fn write_tiles(&self, held: u64, log: &SealedLog) -> Result<(), SinkError> {
        for id in TileId::grown(held, log.size(), false) {
            if id.level != TileLevel::Hashes(0) {
                let bytes = log.tile(id).await?.to_bytes();
                self.blocking(move |files| files.write(id, &bytes)).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl SealSink for FolderSink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn held(&self) -> Result<Option<Seal>, SinkError> {
        Ok(self.blocking(Files::seal).await?.map(|held| held.seal().clone()))
    }

    async fn take(&self, log: &SealedLog) -> Result<Vec<NoteSignature>, SinkError> {
        let held = self.blocking(Files::seal).await?;
        let mut size = 0;
        if let Some(held) = held {
            self.check(held.seal(), log).await?;
            size = held.seal().size;
        }
        if size < log.size() {
            self.write_entries(size, log).await?;
            self.write_tiles(size, log).await?;
        }
        let seal = log.seal().clone();
        self.blocking(move |files| files.replace_seal(&seal)).await?;
        let new_size = log.size();
        self.blocking(move |files| files.remove_filled(size, new_size)).await?;
        Ok(Vec::new())
    }
}

impl Files {
    fn failed(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
        let path = path.to_owned();
        move |source| FolderError::Io { path, source }
    }

    /// What a file holds; none where there is none.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
        let path = self.root.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FolderError::Io { path, source }),
        }
    }

    /// The newest seal.
    fn seal(&self) -> Result<Option<SignedSeal>, FolderError> {
        let Some(bytes) = self.read(SEAL_PATH)? else { return Ok(None) };
        let seal = SignedSeal::parse(bytes);
        seal.map(Some)
            .map_err(|source| FolderError::Seal { path: self.root.join(SEAL_PATH), source })
    }

    /// A tile that a tree of some size has, as it is or in a wider one.
    fn tile(&self, id: TileId) -> Result<Tile, FolderError> {
        let full = TileId { width: TILE_WIDTH, ..id };
        let path = || self.root.join(id.to_string());
        let bytes = match self.read(&id.to_string())? {
            Some(bytes) => bytes,
            None => self.read(&full.to_string())?.ok_or(FolderError::Damaged { path: path() })?,
        };
        let bytes = bytes.get(..usize::from(id.width) * 32);
        let bytes = bytes.ok_or_else(|| FolderError::Damaged { path: path() })?;
        Tile::from_bytes(bytes).map_err(|_| FolderError::Damaged { path: path() })
    }

    /// Checks that the tiles on the right edge of a tree lead to its root.
    fn check_edge(&self, size: u64, root: &TreeHash) -> Result<(), FolderError> {
        let inconsistent = || FolderError::Inconsistent { path: self.root.clone() };
        let mut hashes = Vec::new();
        for node in CompactRange::nodes(size) {
            let id = TileId::of(node, size).ok_or_else(inconsistent)?;
            let mut tiles = Tiles::default();
            tiles.insert(id, self.tile(id)?);
            hashes.push(tiles.node(node).ok_or_else(inconsistent)?);
        }
        let range = CompactRange::new(size, hashes).map_err(|_| inconsistent())?;
        if range.root() == *root { Ok(()) } else { Err(inconsistent()) }
    }

    /// Writes a tile or bundle, which never changes: one that is there has to be the same.
    fn write(&self, id: TileId, bytes: &[u8]) -> Result<(), FolderError> {
        let name = id.to_string();
        match self.read(&name)? {
            Some(found) if found == bytes => Ok(()),
            Some(_) => Err(FolderError::Damaged { path: self.root.join(name) }),
            None => self.put(&name, bytes),
        }
    }

    /// Puts a file in place in one step, on the disk when this returns.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root);
        self.make(folder)?;
        // A sealer was killed while it wrote this; there is only one.
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(".new");
        let unfinished = PathBuf::from(unfinished);
        let written = File::create(&unfinished).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(Self::failed(&unfinished))?;
        fs::rename(&unfinished, &path).map_err(Self::failed(&path))?;
        sync(folder)
    }

    /// Makes a folder and those above it, with their names on the disk.
    fn make(&self, folder: &Path) -> Result<(), FolderError> {
        if folder.is_dir() {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(&self.root);
        self.make(above)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(FolderError::Io { path: folder.to_owned(), source: error })
            }
            _ => sync(above),
        }
    }

    /// Puts a seal in the place of the one before.
    fn replace_seal(&self, seal: &SignedSeal) -> Result<(), FolderError> {
        let inner = seal.seal();
        self.check_edge(inner.size, &inner.root)?;
        let text = seal.to_string();
        if self.read(SEAL_PATH)?.as_deref() == Some(text.as_bytes()) {
            return Ok(());
        }
        self.put(SEAL_PATH, text.as_bytes())
    }

    /// Removes partial tiles and bundles that are full by now, as the text allows.
    fn remove_filled(&self, old: u64, size: u64) -> Result<(), FolderError> {
        let mut levels = BTreeSet::new();
        // Of each level, only the first that grew can have been partial.
        let first = TileId::grown(old, size, true).into_iter().filter(|id| levels.insert(id.level));
        let filled = first.filter(TileId::is_full).map(|id| self.root.join(format!("{id}.p")));
        for partial in filled {
            match fs::remove_dir_all(&partial) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FolderError::Io { path: partial, source: error });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Makes the names in a folder durable.
fn sync(folder: &Path) -> Result<(), FolderError> {
    // Elsewhere a folder cannot be opened to be synced.
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(Files::failed(folder))?;
    }
    Ok(())
}
