//! Targets over a period: how long they were in each health, their drifts, and how long recoveries
//! took (DESIGN section 10).

use std::time::Duration;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::cursor::{Cursor, MomentKey, TargetKey};
use super::page::{Page, Paging};
use super::posture::DAY_MICROS;
use super::{DeploymentChange, Health};
use crate::cid::Cid;
use crate::ids::{ArtifactId, Position};
use crate::time::Timestamp;

/// Which targets, and over which period.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeriodQuery {
    /// Of this artifact.
    pub artifact_id: Option<ArtifactId>,
    /// This target.
    pub target: Option<String>,
    /// From this time on.
    pub since: Timestamp,
    /// Up to this time, and not at it.
    pub before: Timestamp,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// How many rows, at most [`MAX_PAGE_ROWS`](super::MAX_PAGE_ROWS).
    pub limit: u32,
}

crate::setters!(PeriodQuery {
    artifact_id: impl Into<Option<ArtifactId>>,
    target: impl Into<Option<String>>,
    after: impl Into<Option<Cursor>>,
    limit: u32,
});

impl PeriodQuery {
    /// Its words wherever it is asked without Rust, as those of an
    /// [`ArtifactQuery`](super::ArtifactQuery::WORDS).
    pub const WORDS: [&'static str; 6] =
        ["artifact", "target", "since", "before", "after", "limit"];

    /// Every target, in this period.
    pub fn between(since: Timestamp, before: Timestamp) -> Self {
        Self { artifact_id: None, target: None, since, before, after: None, limit: 100 }
    }

    /// Where a period begins that ends so and has no beginning of its own: thirty days earlier.
    ///
    /// ```
    /// use guildhall_core::{PeriodQuery, Timestamp};
    ///
    /// let before: Timestamp = "2026-11-30T12:00:00.000000Z".parse()?;
    /// assert_eq!(PeriodQuery::beginning(before), "2026-10-31T12:00:00.000000Z".parse()?);
    /// assert_eq!(PeriodQuery::beginning(Timestamp::MIN), Timestamp::MIN);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn beginning(before: Timestamp) -> Timestamp {
        Timestamp::from_micros(before.as_micros() - 30 * DAY_MICROS).unwrap_or(Timestamp::MIN)
    }

    /// Which page of drifts it asks for.
    pub fn paging(&self) -> Paging<MomentKey> {
        Paging::of(self.after.as_ref(), self.limit)
    }

    /// Which page of targets it asks for.
    pub fn target_paging(&self) -> Paging<TargetKey> {
        Paging::of(self.after.as_ref(), self.limit)
    }

    /// The page of targets whose changes these are, as [`HealthTimes::of`] takes them.
    pub fn page_of_targets(
        &self,
        changes: impl IntoIterator<Item = DeploymentChange>,
    ) -> Page<HealthTimes> {
        let paging = self.target_paging();
        let mut rows = HealthTimes::of(changes, self.since, self.before);
        if paging.is_turned {
            rows.reverse();
        }
        paging.page(rows, |row| (row.artifact_id, row.target.clone()))
    }
}

/// A drift of a target: from the observation that found it drifted to the one that found it otherwise.
///
/// JSON has its fields, and its length as `length_micros`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftSpan {
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// Where.
    pub target: String,
    /// When it began.
    pub drifted_at: Timestamp,
    /// What should have run there.
    pub desired_cid: Cid,
    /// What did.
    pub observed_cid: Option<Cid>,
    /// When it ended; none where it has not.
    pub ended_at: Option<Timestamp>,
    /// The health that ended it.
    pub ended_as: Option<Health>,
    /// When the target was first found healthy again; none where it was not.
    pub healthy_at: Option<Timestamp>,
    /// The entry that began it.
    pub position: Position,
}

impl DriftSpan {
    /// How long it lasted; none where it has not ended.
    pub fn length(&self) -> Option<Duration> {
        self.ended_at.map(|ended| between(self.drifted_at, ended))
    }
}

impl Serialize for DriftSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut span = serializer.serialize_struct("DriftSpan", 10)?;
        span.serialize_field("artifact_id", &self.artifact_id)?;
        span.serialize_field("target", &self.target)?;
        span.serialize_field("drifted_at", &self.drifted_at)?;
        span.serialize_field("desired_cid", &self.desired_cid)?;
        span.serialize_field("observed_cid", &self.observed_cid)?;
        span.serialize_field("ended_at", &self.ended_at)?;
        span.serialize_field("ended_as", &self.ended_as)?;
        span.serialize_field("healthy_at", &self.healthy_at)?;
        let length_micros = self.ended_at.map(|ended| micros(self.drifted_at, ended));
        span.serialize_field("length_micros", &length_micros)?;
        span.serialize_field("position", &self.position)?;
        span.end()
    }
}

/// How long it took from drift to healthy.
///
/// JSON has its fields, and the [mean](Self::mean) as `mean_micros`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many drifts began.
    pub drifts: u64,
    /// After how many of them the target was healthy again.
    pub recovered: u64,
    /// How long those took together, in microseconds.
    pub total_micros: u64,
}

impl Recovery {
    /// Counts a drift that began, and when the target was healthy again.
    pub fn count(&mut self, drifted_at: Timestamp, healthy_at: Option<Timestamp>) {
        self.drifts += 1;
        if let Some(healthy_at) = healthy_at {
            self.recovered += 1;
            self.total_micros += micros(drifted_at, healthy_at);
        }
    }

    /// How long a recovery took on average; none where there was none.
    pub fn mean(&self) -> Option<Duration> {
        self.mean_micros().map(Duration::from_micros)
    }

    const fn mean_micros(&self) -> Option<u64> {
        self.total_micros.checked_div(self.recovered)
    }
}

impl Serialize for Recovery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut recovery = serializer.serialize_struct("Recovery", 4)?;
        recovery.serialize_field("drifts", &self.drifts)?;
        recovery.serialize_field("recovered", &self.recovered)?;
        recovery.serialize_field("total_micros", &self.total_micros)?;
        recovery.serialize_field("mean_micros", &self.mean_micros())?;
        recovery.end()
    }
}

/// How long a target was in each health over a period, in microseconds. What is left of the period is
/// before it was first observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthTimes {
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// Where.
    pub target: String,
    /// Healthy.
    pub healthy_micros: u64,
    /// Drifted.
    pub drifted_micros: u64,
    /// Unknown.
    pub unknown_micros: u64,
}

impl HealthTimes {
    /// Of the changes of targets, in the order of their key: for each target the last one at or before
    /// `since`, and those up to `before`.
    pub fn of(
        changes: impl IntoIterator<Item = DeploymentChange>,
        since: Timestamp,
        before: Timestamp,
    ) -> Vec<Self> {
        let mut times: Vec<Self> = Vec::new();
        let mut last: Option<DeploymentChange> = None;
        let mut spent = |last: &DeploymentChange, until: Timestamp| {
            let known = times
                .last()
                .is_some_and(|it| (it.artifact_id, &it.target) == (last.artifact_id, &last.target));
            if !known {
                times.push(Self {
                    artifact_id: last.artifact_id,
                    target: last.target.clone(),
                    healthy_micros: 0,
                    drifted_micros: 0,
                    unknown_micros: 0,
                });
            }
            if let Some(times) = times.last_mut() {
                *match last.health {
                    Health::Healthy => &mut times.healthy_micros,
                    Health::Drifted => &mut times.drifted_micros,
                    Health::Unknown => &mut times.unknown_micros,
                } += micros(last.observed_at.max(since), until.min(before));
            }
        };
        for change in changes {
            if let Some(last) = &last {
                let is_same =
                    (last.artifact_id, &last.target) == (change.artifact_id, &change.target);
                spent(last, if is_same { change.observed_at } else { before });
            }
            last = Some(change);
        }
        if let Some(last) = &last {
            spent(last, before);
        }
        times
    }
}

fn micros(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_micros() - from.as_micros()).unwrap_or(0)
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_micros(micros(from, to))
}
