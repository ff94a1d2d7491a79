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
//! | `guildhall_sealer_size` | gauge | entries | how many the last seal covers |
//! | `guildhall_sealer_unsealed` | gauge | entries | how many no seal covers, as far as it is known |
//! | `guildhall_sealer_healthy` | gauge | 0 or 1 | whether seals are made and every sink took the last one (`SealerStatus::is_healthy`) |
//! | `guildhall_sealer_seals_total` | counter | seals | made |
//! | `guildhall_sealer_restarts_total` | counter | restarts | after a failure that may pass |
//! | `guildhall_sealer_seal_seconds` | histogram | seconds | from looking at what is new to the seal that is kept |
//! | `guildhall_sealer_sink_size` | gauge | entries | how many the newest seal covers that a sink (`sink`) took |
//! | `guildhall_sealer_sink_failures_total` | counter | failures | of a sink (`sink`) to take a seal |
//! | `guildhall_orchestrator_notices_total` | counter | notices | delivered while somebody listened |
//! | `guildhall_orchestrator_missed_total` | counter | notices | that did not fit a subscriber's queue |
//! | `guildhall_feed_steps_total` | counter | steps | received by a feed (`feed`), by what became of them (`taken`: `recorded`, `known`, or `refused`, once for as long as it is) |
//! | `guildhall_feed_restarts_total` | counter | restarts | of a feed (`feed`) after a failure |
//!
//! The sealer's are there with the feature `proof`.
//!
//! `tracing` has a span `projector` around a runtime's whole life, and `sealer` around a sealer's; in it, a batch and a standby are
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

#[cfg(feature = "proof")]
mod sealer {
    use std::time::Duration;

    use crate::proof::SealerStatus;

    /// How many entries the last seal covers.
    pub const SIZE: &str = "guildhall_sealer_size";
    /// How many entries no seal covers.
    pub const UNSEALED: &str = "guildhall_sealer_unsealed";
    /// 1 while seals are made and every sink took the last one, else 0.
    pub const HEALTHY: &str = "guildhall_sealer_healthy";
    /// Seals made.
    pub const SEALS: &str = "guildhall_sealer_seals_total";
    /// Restarts after a failure that may pass.
    pub const RESTARTS: &str = "guildhall_sealer_restarts_total";
    /// Seconds from looking at what is new to the seal that is kept.
    pub const SEAL_SECONDS: &str = "guildhall_sealer_seal_seconds";
    /// How many entries the newest seal covers that a sink took.
    pub const SINK_SIZE: &str = "guildhall_sealer_sink_size";
    /// Failures of a sink to take a seal.
    pub const SINK_FAILURES: &str = "guildhall_sealer_sink_failures_total";

    pub(crate) fn sealed(size: u64, took: Duration) {
        metrics::counter!(SEALS).increment(1);
        metrics::histogram!(SEAL_SECONDS).record(took.as_secs_f64());
        tracing::debug!(size, ?took, "sealed");
    }

    pub(crate) fn sealer_restarted() {
        metrics::counter!(RESTARTS).increment(1);
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floats; sizes stay below 2^53")]
    pub(crate) fn sealer_changed(status: &SealerStatus) {
        metrics::gauge!(SIZE).set(status.size as f64);
        metrics::gauge!(UNSEALED).set(status.unsealed() as f64);
        metrics::gauge!(HEALTHY).set(f64::from(u8::from(status.is_healthy())));
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floats; sizes stay below 2^53")]
    pub(crate) fn sink_told(sink: &str, size: u64) {
        metrics::gauge!(SINK_SIZE, "sink" => sink.to_owned()).set(size as f64);
    }

    pub(crate) fn sink_failed(sink: &str) {
        metrics::counter!(SINK_FAILURES, "sink" => sink.to_owned()).increment(1);
    }
}
#[cfg(feature = "proof")]
pub use sealer::{
    HEALTHY as SEALER_HEALTHY, RESTARTS as SEALER_RESTARTS, SEAL_SECONDS as SEALER_SEAL_SECONDS,
    SEALS as SEALER_SEALS, SINK_FAILURES as SEALER_SINK_FAILURES, SINK_SIZE as SEALER_SINK_SIZE,
    SIZE as SEALER_SIZE, UNSEALED as SEALER_UNSEALED,
};
#[cfg(feature = "proof")]
pub(crate) use sealer::{sealed, sealer_changed, sealer_restarted, sink_failed, sink_told};
