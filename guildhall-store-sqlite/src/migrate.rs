//! The tables: numbered migrations that go forward only and are recorded in `guildhall_migrations`.

use std::path::Path;

use guildhall_core::Timestamp;
use guildhall_core::store::{Family, Migration};
use rusqlite::Connection;

use crate::error::{OpenError, open_error};
use crate::family;
use crate::schema;

/// The `application_id` in the header of a file of Guildhall's: "GHLD".
pub const APPLICATION_ID: u32 = 0x4748_4c44;

/// The newest migration of each family that a file of ours has, 0 for none, after checking that this
/// version knows them and that the tables are as they made them.
pub(crate) fn check(
    connection: &Connection,
    path: &Path,
    families: &[Family],
) -> Result<Vec<(Family, u32)>, OpenError> {
    let mut made = Vec::new();
    for &family in families {
        let found: u32 = connection
            .query_row(
                "SELECT coalesce(max(number), 0) FROM guildhall_migrations WHERE family = ?1",
                [family.as_str()],
                |row| row.get(0),
            )
            .map_err(|error| open_error(path, error))?;
        if found > family::newest(family) {
            let (path, known) = (path.to_owned(), family::newest(family));
            return Err(OpenError::NewerSchema { path, family, found, known });
        }
        made.push((family, found));
    }
    let faults = schema::compare(connection, &made).map_err(|error| open_error(path, error))?;
    if faults.is_empty() {
        Ok(made)
    } else {
        Err(OpenError::AlteredSchema { path: path.to_owned(), faults })
    }
}

/// What is still to be done.
pub(crate) fn pending(made: &[(Family, u32)]) -> Vec<(Family, &'static Migration)> {
    let pending = made.iter().flat_map(|&(family, found)| {
        let missing = family::migrations(family).iter().filter(move |one| one.number > found);
        missing.map(move |migration| (family, migration))
    });
    pending.collect()
}

/// Takes a step and records it.
pub(crate) fn run(
    connection: &Connection,
    family: Family,
    migration: &Migration,
) -> rusqlite::Result<()> {
    connection.execute_batch(migration.sql)?;
    connection.execute(
        "INSERT INTO guildhall_migrations (family, number, name, applied_at) VALUES (?1, ?2, ?3, ?4)",
        (family.as_str(), migration.number, migration.name, Timestamp::now().to_string()),
    )?;
    Ok(())
}
