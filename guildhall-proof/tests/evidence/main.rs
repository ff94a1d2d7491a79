//! Evidence: what is true holds, whatever the log; what was changed does not, wherever it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../log/mod.rs"]
mod log;

mod changed;
mod entries;
mod entry;
mod index;
mod sealed;

use guildhall_proof::evidence::{Aspect, Evidence, Failure, Report, check};
use log::{ARTIFACT, Log, story, trust};

fn failure(report: &Report) -> (Aspect, Failure) {
    report.failure.clone().unwrap()
}

/// What is found once a part of the evidence was exchanged.
fn found(change: impl FnOnce(&mut Evidence)) -> (Aspect, Failure) {
    let mut evidence = Log::of(story()).evidence(ARTIFACT);
    change(&mut evidence);
    failure(&check(&evidence, &trust()))
}
