//! Building a new generation of a read model beside the live one.

use std::sync::Arc;

use guildhall_core::{
    ApplyError, Checkpoint, Chronicle, Generation, Position, Rebuild, StoreError,
};
use tokio::time::sleep;

use crate::continuity;
use crate::error::RuntimeError;
use crate::pipeline::ReadAhead;
use crate::settings::Settings;
use crate::status::{State, Status};
use crate::telemetry;

/// How often the last entries are caught up with before the swap is given up.
const MAX_ROUNDS: u32 = 100;

/// How often a swap that others hold up is tried again. A store waits on its own, too: PostgreSQL's
/// for half a minute each time, so that a report which reads for minutes costs no rebuild.
const MAX_RETRIES: u32 = 20;

/// Fills a new generation from the whole log, puts it in the live one's place and returns how that
/// went. The live one can be read, and projected into, all the while. `progress` is called for every batch.
///
/// Before it takes its place, the new generation is compared with the live one in all that the entries
/// up to the live checkpoint wrote. Where it differs, or where the log does not go on from that
/// checkpoint (it was restored from an older copy, say), it takes its place only if
/// [that is accepted](Settings::accept_rewritten); [`Status::differences`] and the error say how.
///
/// # Errors
/// [`RuntimeError`]; the live generation is as it was. Only a swap that fails in a way that may
/// pass, because others hold it up, is tried again, twenty times; after anything else, begin anew.
///
/// # Cancel safety
/// Dropped, the unfinished generation is thrown away.
pub async fn rebuild<P>(
    chronicle: Arc<dyn Chronicle>,
    target: &P,
    settings: &Settings,
    mut progress: impl FnMut(&Status) + Send,
) -> Result<Status, RuntimeError>
where
    P: Rebuild + ?Sized,
{
    let replaced = live_checkpoint(target).await?;
    let continuity = match continuity::check(&*chronicle, &replaced).await {
        Ok(_) => None,
        Err(RuntimeError::Apply(ApplyError::Continuity(found))) => Some(found),
        Err(error) => return Err(error),
    };
    let mut generation = target.begin_rebuild().await?;
    let mut status = Status { state: State::CatchingUp, ..Status::starting() };
    fill(&chronicle, generation.as_mut(), settings, &mut status, &mut progress).await?;
    // Indexes and constraints take a while; what comes meanwhile is caught up with afterwards.
    generation.seal().await?;
    status.differences = generation.differences(replaced.position).await?;
    if !settings.accept_rewritten && (continuity.is_some() || !status.differences.is_empty()) {
        return Err(RuntimeError::Rewritten { differences: status.differences, continuity });
    }
    for _ in 0..MAX_ROUNDS {
        let live = live_checkpoint(target).await?.position;
        fill(&chronicle, generation.as_mut(), settings, &mut status, &mut progress).await?;
        // The log only grows, so a live one that stands beyond its end stands there for good.
        let rewind_from = (live > status.head).then_some(live);
        if swap(generation.as_mut(), rewind_from, settings).await? {
            status.state = State::Stopped;
            progress(&status);
            return Ok(status);
        }
    }
    Err(RuntimeError::Outrun { rounds: MAX_ROUNDS })
}

/// Where the tables stand that are rebuilt; an embedder's read models stay as they are.
async fn live_checkpoint<P: Rebuild + ?Sized>(target: &P) -> Result<Checkpoint, StoreError> {
    let first = target.checkpoints().await?.into_iter().next();
    Ok(first.map_or(Checkpoint::ZERO, |(_, checkpoint)| checkpoint))
}

/// Swaps, again where that fails in a way that may pass and leaves the generation whole.
async fn swap(
    generation: &mut dyn Generation,
    rewind_from: Option<Position>,
    settings: &Settings,
) -> Result<bool, StoreError> {
    let mut outcome = generation.swap(rewind_from).await;
    for _ in 0..MAX_RETRIES {
        if !outcome.as_ref().is_err_and(StoreError::is_transient) {
            break;
        }
        sleep(settings.backoff_first).await;
        match generation.swap(rewind_from).await {
            // It was lost with the failure before, which says why.
            Err(error) if !error.is_transient() => break,
            next => outcome = next,
        }
    }
    outcome
}

async fn fill(
    chronicle: &Arc<dyn Chronicle>,
    generation: &mut dyn Generation,
    settings: &Settings,
    status: &mut Status,
    progress: &mut (impl FnMut(&Status) + Send),
) -> Result<(), RuntimeError> {
    status.head = chronicle.head().await?.position;
    let (chronicle, checkpoint) = (Arc::clone(chronicle), generation.checkpoint());
    // Tables without indexes gain nothing by larger transactions; the memory is needed for what is
    // held back.
    let settings = settings.clone().batch_reads(settings.batch_reads.min(2));
    let mut ahead = ReadAhead::spawn(chronicle, checkpoint, Some(status.head), settings);
    while let Some(read) = ahead.next().await? {
        let began = std::time::Instant::now();
        let applied = generation.apply(read.batch).await?;
        telemetry::batch_applied(&applied, began.elapsed());
        status.count(&applied, read.head);
        progress(status);
    }
    Ok(())
}
