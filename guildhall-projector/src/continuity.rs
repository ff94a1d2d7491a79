//! Whether the log still is the one that a read model was made from.

use guildhall_core::{Checkpoint, Chronicle, Position, ReadLimit};

use crate::error::RuntimeError;

/// Looks whether the log has, at a checkpoint, the entry that was applied there, and answers where it
/// ends.
pub(crate) async fn check(
    chronicle: &dyn Chronicle,
    checkpoint: &Checkpoint,
) -> Result<Position, RuntimeError> {
    let head = chronicle.head().await?.position;
    let origin = chronicle.origin().await?;
    let at = checkpoint.position;
    let mut found = None;
    if at > Position::ZERO && head >= at {
        let entries = chronicle.read(at.previous(), ReadLimit::entries(1)).await?;
        found = entries.first().filter(|entry| entry.position == at).map(|entry| entry.leaf_hash);
    }
    checkpoint.check_log(origin.as_ref(), head, found)?;
    Ok(head)
}
