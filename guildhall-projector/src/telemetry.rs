//! What the runtime measures, through the `metrics` facade.
//!
//! | name | kind | unit | what it says |
//! | --- | --- | --- | --- |
//! | `guildhall_projector_position` | gauge | position | the last position whose effects are durable |
//! | `guildhall_projector_head` | gauge | position | the end of the log, as far as it is known |
//! | `guildhall_projector_lag` | gauge | entries | the difference of the two |
//! | `guildhall_projector_healthy` | gauge | 0 or 1 | whether the work is done ([`Status::is_healthy`](crate::Status::is_healthy)) |
//! | `guildhall_projector_entries_total` | counter | entries | applied |
//! | `guildhall_projector_quarantined_total` | counter | entries | of them, put in quarantine |
//! | `guildhall_projector_skipped_total` | counter | entries | of them, of an unknown type |
//! | `guildhall_projector_restarts_total` | counter | restarts | after a failure that may pass |
//! | `guildhall_projector_apply_seconds` | histogram | seconds | from handing a batch over to its commit |
//! | `guildhall_orchestrator_notices_total` | counter | notices | delivered while somebody listened |
//! | `guildhall_orchestrator_missed_total` | counter | notices | that did not fit a subscriber's queue |
//! | `guildhall_feed_steps_total` | counter | steps | received by a feed (`feed`), by what became of them (`taken`: `recorded`, `known`, or `refused`, once for as long as it is) |
//! | `guildhall_feed_restarts_total` | counter | restarts | of a feed (`feed`) after a failure |
//!
//! `tracing` has a span `projector` around a runtime's whole life; in it, a batch and a standby are
//! logged at `debug`, a start at `info`, a restart and quarantined entries at `warn`, a failure
//! at `error`.

use std::time::Duration;

use guildhall_core::Applied;

use crate::status::Status;

/// The last position whose effects are durable.
pub const POSITION: &str = "guildhall_projector_position";
/// The end of the log, as far as it is known.
pub const HEAD: &str = "guildhall_projector_head";
/// Entries between the two.
pub const LAG: &str = "guildhall_projector_lag";
/// 1 while the work is done, else 0.
pub const HEALTHY: &str = "guildhall_projector_healthy";
/// Entries applied.
pub const ENTRIES: &str = "guildhall_projector_entries_total";
/// Entries put in quarantine.
pub const QUARANTINED: &str = "guildhall_projector_quarantined_total";
/// Entries of an unknown type.
pub const SKIPPED: &str = "guildhall_projector_skipped_total";
/// Restarts after a failure that may pass.
pub const RESTARTS: &str = "guildhall_projector_restarts_total";
/// Seconds from handing a batch over to its commit.
pub const APPLY_SECONDS: &str = "guildhall_projector_apply_seconds";

/// Notices delivered while somebody listened.
pub const NOTICES: &str = "guildhall_orchestrator_notices_total";
/// Notices that did not fit a subscriber's queue.
pub const MISSED: &str = "guildhall_orchestrator_missed_total";
/// Steps of ceremonies that feeds received.
pub const STEPS: &str = "guildhall_feed_steps_total";
/// Restarts of feeds after a failure.
pub const FEED_RESTARTS: &str = "guildhall_feed_restarts_total";

/// Every name of the projector's.
pub const NAMES: [&str; 9] =
    [POSITION, HEAD, LAG, HEALTHY, ENTRIES, QUARANTINED, SKIPPED, RESTARTS, APPLY_SECONDS];

pub(crate) fn batch_applied(applied: &Applied, took: Duration) {
    metrics::counter!(ENTRIES).increment(applied.entries);
    metrics::counter!(QUARANTINED).increment(applied.quarantined);
    metrics::counter!(SKIPPED).increment(applied.skipped);
    metrics::histogram!(APPLY_SECONDS).record(took.as_secs_f64());
    if applied.quarantined > 0 {
        tracing::warn!(
            quarantined = applied.quarantined,
            position = applied.position.get(),
            "entries were put in quarantine"
        );
    }
    tracing::debug!(position = applied.position.get(), entries = applied.entries, ?took, "applied");
}

pub(crate) fn restarted() {
    metrics::counter!(RESTARTS).increment(1);
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; positions stay below 2^53")]
pub(crate) fn status_changed(status: &Status) {
    metrics::gauge!(POSITION).set(status.position.get() as f64);
    metrics::gauge!(HEAD).set(status.head.get() as f64);
    metrics::gauge!(LAG).set(status.lag() as f64);
    metrics::gauge!(HEALTHY).set(f64::from(u8::from(status.is_healthy())));
}

pub(crate) fn notices_told(notices: u64, missed: u64) {
    metrics::counter!(NOTICES).increment(notices);
    metrics::counter!(MISSED).increment(missed);
}

pub(crate) fn step_heard(feed: &str, taken: &'static str) {
    metrics::counter!(STEPS, "feed" => feed.to_owned(), "taken" => taken).increment(1);
}

pub(crate) fn feed_restarted(feed: &str) {
    metrics::counter!(FEED_RESTARTS, "feed" => feed.to_owned()).increment(1);
}
