//! Projects from a Chronicle with core's traits alone: to the end of the log once, or anew.

use std::time::Duration;

use anyhow::Result;
use guildhall_core::{
    Applied, ApplyError, Batch, Checkpoint, Chronicle, ContinuityError, Generation, Position,
    Projector, ReadLimit, Rebuild,
};

/// How many entries a batch holds at most. Large ones are what makes a catch-up fast.
const BATCH_ENTRIES: usize = 10_000;

/// How soon a projector that stands by looks again.
const STANDBY_INTERVAL: Duration = Duration::from_millis(20);

/// What a step towards the end of the log came to.
#[derive(Debug)]
pub enum Step {
    /// There is nothing more to project.
    UpToDate(Position),
    /// A batch was applied.
    Applied(Applied),
    /// Another process projects; this one looks again later.
    StoodBy(Position),
}

/// The entries that come next, and the one at the checkpoint before them, which shows whether the
/// log is still the one that was projected; none where the log ends there.
async fn next_batch(chronicle: &dyn Chronicle, at: &Checkpoint) -> Result<Option<Batch>> {
    let head = chronicle.head().await?.position;
    if head < at.position {
        let checkpoint = at.position;
        return Err(ContinuityError::EndsBefore { head, checkpoint }.into());
    }
    let Some(origin) = chronicle.origin().await? else { return Ok(None) };
    let limit = ReadLimit::entries(BATCH_ENTRIES);
    let entries = chronicle.read(at.position.previous(), limit).await?;
    let batch = Batch::decode(origin.clone(), entries)?;
    if !batch.after(at)?.is_empty() {
        return Ok(Some(batch));
    }
    // An entry as large as the limit leaves no room for the next.
    let batch = Batch::decode(origin, chronicle.read(at.position, limit).await?)?;
    Ok((!batch.entries().is_empty()).then_some(batch))
}

/// Applies the next batch, if there is one.
///
/// # Errors
/// The Chronicle's, the projector's, and a log that is no longer the one that was projected.
pub async fn step(chronicle: &dyn Chronicle, projector: &dyn Projector) -> Result<Step> {
    let at = projector.checkpoint().await?;
    let Some(batch) = next_batch(chronicle, &at).await? else {
        return Ok(Step::UpToDate(at.position));
    };
    match projector.apply(batch).await {
        Ok(applied) => Ok(Step::Applied(applied)),
        Err(ApplyError::Standby { .. }) => {
            tokio::time::sleep(STANDBY_INTERVAL).await;
            Ok(Step::StoodBy(at.position))
        }
        Err(error) => Err(error.into()),
    }
}

/// Projects to where the log ends, or waits until another process has; answers what was done here.
///
/// # Errors
/// As [`step`].
pub async fn catch_up(
    chronicle: &dyn Chronicle,
    projector: &dyn Projector,
    mut progress: impl FnMut(Position),
) -> Result<Applied> {
    let mut total = Applied::default();
    loop {
        match step(chronicle, projector).await? {
            Step::UpToDate(position) => {
                total.position = position;
                return Ok(total);
            }
            Step::StoodBy(position) => progress(position),
            Step::Applied(applied) => {
                progress(applied.position);
                add(&mut total, &applied);
            }
        }
    }
}

/// Builds the read model anew beside the live one and puts it in its place.
///
/// # Errors
/// As [`step`]; the live one stays then.
pub async fn rebuild(
    chronicle: &dyn Chronicle,
    projector: &dyn Rebuild,
    mut progress: impl FnMut(Position),
) -> Result<Applied> {
    let mut generation = projector.begin_rebuild().await?;
    let mut total = Applied::default();
    fill(chronicle, generation.as_mut(), &mut total, &mut progress).await?;
    generation.seal().await?;
    loop {
        // Appends did not stop meanwhile.
        fill(chronicle, generation.as_mut(), &mut total, &mut progress).await?;
        if generation.swap().await? {
            return Ok(total);
        }
    }
}

async fn fill(
    chronicle: &dyn Chronicle,
    generation: &mut dyn Generation,
    total: &mut Applied,
    progress: &mut impl FnMut(Position),
) -> Result<()> {
    while let Some(batch) = next_batch(chronicle, &generation.checkpoint()).await? {
        let applied = generation.apply(batch).await?;
        progress(applied.position);
        add(total, &applied);
    }
    Ok(())
}

fn add(total: &mut Applied, applied: &Applied) {
    total.position = applied.position;
    total.entries += applied.entries;
    total.quarantined += applied.quarantined;
    total.skipped += applied.skipped;
}
