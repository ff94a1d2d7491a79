//! Whether the log still is the one that read models were made from.

use guildhall_core::{ApplyError, Checkpoint, Chronicle, Fault, Position, ReadLimit};

use crate::error::RuntimeError;

/// Looks whether the log has, at a checkpoint, the entry that was applied there, and returns where it
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

/// The same for each read model of a projector, the Ops DB first; one that differs is named.
pub(crate) async fn check_all(
    chronicle: &dyn Chronicle,
    checkpoints: &[(String, Checkpoint)],
) -> Result<Position, RuntimeError> {
    let Some(((_, first), others)) = checkpoints.split_first() else {
        return check(chronicle, &Checkpoint::ZERO).await;
    };
    let head = check(chronicle, first).await?;
    // Most stand where the first does.
    for (name, checkpoint) in others.iter().filter(|(_, checkpoint)| checkpoint != first) {
        match check(chronicle, checkpoint).await {
            Err(RuntimeError::Apply(ApplyError::Continuity(found))) => {
                let (name, fault) = (name.clone(), Fault::Permanent);
                return Err(ApplyError::ReadModel { name, fault, source: found.into() }.into());
            }
            checked => checked?,
        };
    }
    Ok(head)
}
