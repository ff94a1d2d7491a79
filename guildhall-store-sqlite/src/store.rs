//! The handle of an open store.

use std::path::PathBuf;
use std::sync::Arc;

use guildhall_core::StoreError;

use crate::chronicle::SqliteChronicle;
use crate::connection::{DatabaseFile, Role, Workers, run_blocking};
use crate::error::OpenError;
use crate::migrate::{Family, open_file};
use crate::options::Options;

/// An open store: its Chronicle and its Ops DB, in one file or in two. Clones are cheap and share
/// everything; the connections close once the last one is dropped.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    chronicle: SqliteChronicle,
    ops_file: DatabaseFile,
    ops_readers: Workers,
}

impl SqliteStore {
    /// Opens the store in one file with the default [`Options`], and creates what is missing.
    ///
    /// # Errors
    /// [`OpenError`]; the file is as it was.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::open_with(Options::at(path)).await
    }

    /// Opens the store as `options` say, and creates what is missing.
    ///
    /// # Errors
    /// [`OpenError`]; the file that it names is as it was.
    pub async fn open_with(options: Options) -> Result<Self, OpenError> {
        let path = options.chronicle_path.clone();
        let opened =
            run_blocking("opening the database", move || Self::open_blocking(options)).await;
        opened.map_err(|source| OpenError::Store { path, source })?
    }

    fn open_blocking(options: Options) -> Result<Self, OpenError> {
        let (chronicle_file, ops_file) = match &options.ops_path {
            None => {
                let families = [Family::Chronicle, Family::Ops];
                let file = open_file(&options.chronicle_path, &families, &options)?;
                (file.clone(), file)
            }
            Some(ops_path) => (
                open_file(&options.chronicle_path, &[Family::Chronicle], &options)?,
                open_file(ops_path, &[Family::Ops], &options)?,
            ),
        };
        let at = |file: &DatabaseFile| {
            let path = file.path().to_owned();
            move |source| OpenError::Store { path, source }
        };
        let readers = spawn_readers(&chronicle_file, &options).map_err(at(&chronicle_file))?;
        let ops_readers = if options.ops_path.is_none() {
            readers.clone()
        } else {
            spawn_readers(&ops_file, &options).map_err(at(&ops_file))?
        };
        let chronicle = SqliteChronicle::start(&chronicle_file, readers, &options)
            .map_err(at(&chronicle_file))?;
        Ok(Self { shared: Arc::new(Shared { options, chronicle, ops_file, ops_readers }) })
    }

    /// The Chronicle.
    pub fn chronicle(&self) -> SqliteChronicle {
        self.shared.chronicle.clone()
    }

    /// What the store was opened with.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The file of the Ops DB.
    pub(crate) fn ops_file(&self) -> &DatabaseFile {
        &self.shared.ops_file
    }

    /// Connections that read the Ops DB.
    pub(crate) fn ops_readers(&self) -> &Workers {
        &self.shared.ops_readers
    }
}

fn spawn_readers(file: &DatabaseFile, options: &Options) -> Result<Workers, StoreError> {
    let connections = (0..options.readers.max(1)).map(|_| file.connect(Role::Read));
    Workers::spawn("guildhall-read", connections.collect::<Result<_, _>>()?)
}
