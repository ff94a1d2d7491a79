//! Digests of the tables as they are.

use guildhall_core::{Checkpoint, OpsDb, StoreError};
use guildhall_proof::digest::{Digesting, Digests};

/// Why there is no digest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tables hold what has no digest.
    #[error(transparent)]
    Row(#[from] guildhall_proof::digest::DigestError),
}

/// The digests of all tables as they are at one moment, and how far they were then; it is none where
/// nothing was ever projected. `progress` is called with how many rows were read.
///
/// # Errors
/// [`DigestError`].
pub async fn digest(
    ops_db: &dyn OpsDb,
    mut progress: impl FnMut(u64) + Send,
) -> Result<(Option<Checkpoint>, Digests), DigestError> {
    let mut scan = ops_db.scan().await?;
    let checkpoint = scan.checkpoint().cloned();
    let mut digesting = Digesting::default();
    let mut read = 0;
    while let Some(rows) = scan.next_rows().await? {
        read += rows.len() as u64;
        rows.into_iter().try_for_each(|row| digesting.push(row))?;
        progress(read);
    }
    Ok((checkpoint, digesting.finish()))
}
