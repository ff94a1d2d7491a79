//! The Chronicle on SQLite.

use guildhall_core::StoreError;

use crate::connection::{DatabaseFile, Workers};
use crate::options::Options;

/// The Chronicle in a SQLite file. Clones are cheap and share everything.
#[derive(Debug, Clone)]
pub struct SqliteChronicle {
    #[expect(dead_code, reason = "reads follow")]
    readers: Workers,
}

impl SqliteChronicle {
    pub(crate) fn start(
        _file: &DatabaseFile,
        readers: Workers,
        _options: &Options,
    ) -> Result<Self, StoreError> {
        Ok(Self { readers })
    }
}
