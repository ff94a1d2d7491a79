//! The steps of a run, each with its progress and, at the end, one line that says what it did.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use guildhall_core::jsonl::{self, ImportError, ImportOptions, Imported, Noted, Work};
use guildhall_core::{Chronicle, Position, Projector, Rebuild};
use guildhall_projector::{RuntimeError, Settings, Status};
use tokio::io::AsyncBufRead;

use crate::progress::{Progress, say};
use crate::target::Target;

/// Does the work of lines where it stops nothing else.
fn on_a_thread(work: Work) {
    drop(tokio::task::spawn_blocking(work));
}

/// Appends the entries of a JSONL log that the Chronicle does not have.
///
/// # Errors
/// [`ImportError`]; the lines before the one that it names are recorded.
pub async fn import(
    chronicle: &dyn Chronicle,
    reader: impl AsyncBufRead + Unpin + Send,
    mut progress: Progress,
) -> Result<Imported, ImportError> {
    let counted = |imported: &Imported| progress.set(imported.lines);
    let options = ImportOptions::default();
    let imported = jsonl::import_on(chronicle, reader, &options, on_a_thread, counted).await?;
    let Imported { appended, recorded_before, foreign, differing, left_out, .. } = imported;
    let noted = |Noted { lines, first_line }, are: &str| match (lines, first_line) {
        (_, None) => String::new(),
        (1, Some(line)) => format!("; 1 line {are}: line {line}"),
        (_, Some(line)) => format!("; {lines} lines {are}: the first is line {line}"),
    };
    progress.finish(&format!(
        "imported {appended} entries, {recorded_before} were there before{}{}{}",
        noted(foreign, "of another Chronicle"),
        noted(differing, "recorded before with another time or metadata, which is kept"),
        noted(left_out, "left out, which index streams elsewhere"),
    ));
    Ok(imported)
}

/// Projects what the log holds by now.
///
/// # Errors
/// [`RuntimeError`].
pub async fn catch_up(
    chronicle: Arc<dyn Chronicle>,
    projector: Arc<dyn Projector>,
    settings: &Settings,
    mut progress: Progress,
) -> Result<Status, RuntimeError> {
    let begun = Instant::now();
    let counted = |status: &Status| progress.set(status.position.get());
    let done = guildhall_projector::catch_up(chronicle, projector, settings, counted).await?;
    progress.finish(&what_it_did(&done, begun));
    Ok(done)
}

/// Rebuilds the tables from the log and swaps them in; reports how they differ from what they replace.
///
/// # Errors
/// [`RuntimeError`]; the live tables are unchanged.
pub async fn rebuild(
    chronicle: Arc<dyn Chronicle>,
    projector: &dyn Rebuild,
    settings: &Settings,
    mut progress: Progress,
) -> Result<Status, RuntimeError> {
    let begun = Instant::now();
    let counted = |status: &Status| progress.set(status.position.get());
    let done = guildhall_projector::rebuild(chronicle, projector, settings, counted).await?;
    progress.finish(&what_it_did(&done, begun));
    for difference in &done.differences {
        say(&format!("differs from what it replaced: {difference}"));
    }
    Ok(done)
}

fn what_it_did(done: &Status, begun: Instant) -> String {
    let Status { entries, position, quarantined, skipped, .. } = done;
    match entries {
        0 => format!("up to date at position {position}"),
        _ => format!(
            "projected {entries} entries in {:.2} s: {quarantined} quarantined, {skipped} of an \
             unknown type skipped",
            begun.elapsed().as_secs_f64()
        ),
    }
}

/// Writes the whole file or leaves the old one alone; a pipe or a device is written directly. Returns
/// how many entries it wrote.
///
/// # Errors
/// The store's or the system's.
pub async fn export(
    chronicle: &dyn Chronicle,
    target: &Target,
    mut progress: Progress,
) -> Result<u64> {
    let counted = |position: Position| progress.set(position.get());
    let opened = target.open()?;
    let is_lost = opened.is_null_device();
    let exported = jsonl::export_on(chronicle, opened.writer()?, on_a_thread, counted)
        .await
        .context("exporting")?;
    opened.finish()?;
    let where_to = if is_lost { " to the null device, which keeps nothing" } else { "" };
    progress.finish(&format!("exported {exported} entries{where_to}"));
    Ok(exported)
}
