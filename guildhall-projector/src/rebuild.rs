//! Building a new generation of a read model beside the live one.

use std::sync::Arc;

use guildhall_core::{Chronicle, Generation, Position, Rebuild, StoreError};
use tokio::time::sleep;

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

/// Fills a new generation from the whole log, puts it in the live one's place and answers how that
/// went. The live one can be read, and projected into, all the while. Where the log was restored
/// from an older copy, the new generation goes back to what it holds now. `progress` hears of every
/// batch.
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
    let mut generation = target.begin_rebuild().await?;
    let mut status = Status { state: State::CatchingUp, ..Status::starting() };
    fill(&chronicle, generation.as_mut(), settings, &mut status, &mut progress).await?;
    // Indexes and constraints take a while; what comes meanwhile is caught up with afterwards.
    generation.seal().await?;
    for _ in 0..MAX_ROUNDS {
        let live = target.checkpoint().await?.position;
        fill(&chronicle, generation.as_mut(), settings, &mut status, &mut progress).await?;
        // The log only grows, so a live one that stands beyond its end stands there for good.
        let beyond = (live > status.head).then_some(live);
        if swap(generation.as_mut(), beyond, settings).await? {
            status.state = State::Stopped;
            progress(&status);
            return Ok(status);
        }
    }
    Err(RuntimeError::Outrun { rounds: MAX_ROUNDS })
}

/// Swaps, again where that fails in a way that may pass and leaves the generation whole.
async fn swap(
    generation: &mut dyn Generation,
    beyond: Option<Position>,
    settings: &Settings,
) -> Result<bool, StoreError> {
    let mut outcome = generation.swap(beyond).await;
    for _ in 0..MAX_RETRIES {
        if !outcome.as_ref().is_err_and(StoreError::is_transient) {
            break;
        }
        sleep(settings.backoff_first).await;
        match generation.swap(beyond).await {
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
    let settings = Settings { batch_reads: settings.batch_reads.min(2), ..settings.clone() };
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
