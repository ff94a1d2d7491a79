//! Queries about the past, and what is computed from the rows that a store loads for them (DESIGN section 10).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::cursor::{Cursor, MomentKey, PositionKey, TargetKey};
use super::page::{Page, Paging};
use super::{ArtifactRevision, CustodyTransition, DeploymentChange, DeploymentState, Health};
use crate::cid::Cid;
use crate::custody::CustodyState;
use crate::event::Tier;
use crate::ids::{ArtifactId, Position, Revision};
use crate::time::Timestamp;
use crate::words::words;

/// What people call an artifact, and what never changes about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its type.
    pub artifact_type: String,
    /// Its tier.
    pub tier: Tier,
}

/// Something that an entry changed about an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The entry.
    pub position: Position,
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// Its name, type and tier.
    #[serde(flatten)]
    pub artifact: Named,
    /// What became of it.
    #[serde(flatten)]
    pub what: What,
}

/// What became of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// It was registered.
    Registered {
        /// Its first content.
        cid: Cid,
        /// When.
        recorded_at: Timestamp,
    },
    /// Its content was revised.
    Revised {
        /// Which content it has since.
        revision: Revision,
        /// The content's CID.
        cid: Cid,
        /// When.
        recorded_at: Timestamp,
    },
    /// A ceremony was opened.
    CeremonyOpened {
        /// By this link of its chain.
        transition: CustodyTransition,
    },
    /// A ceremony was closed.
    CeremonyClosed {
        /// By this link of its chain.
        transition: CustodyTransition,
    },
    /// Custody moved otherwise.
    Moved {
        /// By this link of its chain.
        transition: CustodyTransition,
    },
    /// The health of a target changed.
    Health {
        /// What was seen.
        change: DeploymentChange,
    },
}

impl What {
    /// The change that a link of a chain records.
    pub fn of_link(transition: CustodyTransition) -> Self {
        let open = CustodyState::CeremonyOpen;
        if transition.from_state == Some(open) {
            Self::CeremonyClosed { transition }
        } else if transition.to_state == open {
            Self::CeremonyOpened { transition }
        } else {
            Self::Moved { transition }
        }
    }

    /// The change that a revision records.
    pub fn of_content(revision: Revision, cid: Cid, recorded_at: Timestamp) -> Self {
        if revision == Revision::FIRST {
            Self::Registered { cid, recorded_at }
        } else {
            Self::Revised { revision, cid, recorded_at }
        }
    }
}

/// A change of a target, and the one that it follows: from what to what it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetChange {
    /// How the target has been since.
    pub change: DeploymentChange,
    /// How it was until then; none at the first observation, and where the tables' history begins.
    pub before: Option<DeploymentChange>,
}

/// The changes by the entries after `from`, up to `to`, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeQuery {
    /// After this position.
    pub from: Position,
    /// Up to this one.
    pub to: Position,
    /// Of this artifact.
    pub artifact_id: Option<ArtifactId>,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// How many rows, at most [`MAX_PAGE_ROWS`](super::MAX_PAGE_ROWS).
    pub limit: u32,
}

crate::setters!(ChangeQuery {
    artifact_id: impl Into<Option<ArtifactId>>,
    after: impl Into<Option<Cursor>>,
    limit: u32,
});

impl ChangeQuery {
    /// Its words wherever it is asked without Rust, as those of an
    /// [`ArtifactQuery`](super::ArtifactQuery::WORDS).
    pub const WORDS: [&'static str; 5] = ["from", "to", "artifact", "after", "limit"];

    /// All of them, a hundred a page.
    pub fn between(from: Position, to: Position) -> Self {
        Self { from, to, artifact_id: None, after: None, limit: 100 }
    }

    /// Which page it asks for.
    pub fn paging(&self) -> Paging<PositionKey> {
        Paging::of(self.after.as_ref(), self.limit)
    }

    /// After which position the rows of the page are, and up to which.
    pub fn positions(&self) -> (Position, Position) {
        match self.paging() {
            Paging { key: Some((key,)), is_turned: false, .. } => (key.max(self.from), self.to),
            Paging { key: Some((key,)), .. } => (self.from, key.previous().min(self.to)),
            Paging { key: None, .. } => (self.from, self.to),
        }
    }

    /// The page of what the tables have, each as many rows as it [wants](Paging::wanted) in its order.
    pub fn page(&self, parts: [Vec<Change>; 3]) -> Page<Change> {
        let paging = self.paging();
        let mut rows: Vec<_> = parts.into_iter().flatten().collect();
        rows.sort_by_key(|change| change.position);
        if paging.is_turned {
            rows.reverse();
        }
        paging.page(rows, |change| (change.position,))
    }
}

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

words!(
    /// How the estate is divided.
    PostureBy, "division" {
        /// Not at all.
        Estate = "estate",
        /// By tier.
        Tier = "tier",
        /// By type.
        ArtifactType = "artifact_type",
        /// By accord.
        Accord = "accord",
    }
);

/// Upper bound on the days of a [`PostureQuery`].
pub const MAX_POSTURE_DAYS: u32 = 400;

/// How much of the estate was healthy, day by day.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PostureQuery {
    /// How it is divided.
    pub by: PostureBy,
    /// The last day: the one, in UTC, that this time is in.
    pub until: Timestamp,
    /// How many days, that one among them; 1 to [`MAX_POSTURE_DAYS`].
    pub days: u32,
}

const DAY_MICROS: i64 = 86_400_000_000;

impl PostureQuery {
    /// Its words wherever it is asked without Rust, as those of an
    /// [`ArtifactQuery`](super::ArtifactQuery::WORDS).
    pub const WORDS: [&'static str; 3] = ["by", "until", "days"];

    /// This many days, the last of them the one that this time is in.
    pub fn last_days(days: u32, until: Timestamp) -> Self {
        Self { by: PostureBy::Estate, until, days: days.clamp(1, MAX_POSTURE_DAYS) }
    }

    /// The same, divided so.
    #[must_use]
    pub const fn by(mut self, by: PostureBy) -> Self {
        self.by = by;
        self
    }

    /// Where the days begin; after each, its end follows, which is the next one's beginning.
    pub fn days(&self) -> Vec<Timestamp> {
        let last = self.until.as_micros().div_euclid(DAY_MICROS);
        let first = last - i64::from(self.days) + 1;
        let days = (first..=last).map(|day| Timestamp::from_micros(day * DAY_MICROS));
        days.filter_map(Result::ok).collect()
    }

    /// The days, from what the estate is now and what it has gone through since: how many targets of each
    /// group have which health, and how many went, on which day since the first, from which health to which.
    pub fn answer(
        &self,
        now: impl IntoIterator<Item = (String, Health, u64)>,
        moves: impl IntoIterator<Item = PostureMoves>,
    ) -> Vec<PostureDay> {
        let mut counts = BTreeMap::<String, BTreeMap<Health, i64>>::new();
        let mut add = |group: String, health: Health, by: i64| {
            *counts.entry(group).or_default().entry(health).or_default() += by;
        };
        for (group, health, targets) in now {
            add(group, health, targets.cast_signed());
        }
        let mut moves: Vec<_> = moves.into_iter().collect();
        moves.sort_by_key(|it| it.day);
        let mut answer = Vec::new();
        for day in self.days().into_iter().rev() {
            // Whatever happened after the day is taken back.
            while let Some(later) = moves.pop_if(|it| it.day > day) {
                let targets = later.targets.cast_signed();
                let counts = counts.entry(later.group).or_default();
                *counts.entry(later.to).or_default() -= targets;
                if let Some(from) = later.from {
                    *counts.entry(from).or_default() += targets;
                }
            }
            for (group, counts) in counts.iter().rev() {
                let of =
                    |health| counts.get(&health).map_or(0, |count| (*count).max(0).cast_unsigned());
                let counted = PostureDay {
                    day,
                    group: group.clone(),
                    healthy: of(Health::Healthy),
                    drifted: of(Health::Drifted),
                    unknown: of(Health::Unknown),
                };
                if counted.targets() > 0 {
                    answer.push(counted);
                }
            }
        }
        answer.reverse();
        answer
    }
}

/// How many targets of a group went from one health to another in a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostureMoves {
    /// The group.
    pub group: String,
    /// Where the day begins.
    pub day: Timestamp,
    /// The health before; none where they were observed for the first time.
    pub from: Option<Health>,
    /// The health since.
    pub to: Health,
    /// How many.
    pub targets: u64,
}

/// How many targets of a group had each health at the end of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostureDay {
    /// Where the day begins, in UTC.
    pub day: Timestamp,
    /// The tier, the type or the accord; empty for the whole estate.
    pub group: String,
    /// Healthy ones.
    pub healthy: u64,
    /// Drifted ones.
    pub drifted: u64,
    /// Unknown ones.
    pub unknown: u64,
}

impl PostureDay {
    /// All of them.
    pub const fn targets(&self) -> u64 {
        self.healthy + self.drifted + self.unknown
    }

    /// How many of a thousand targets are healthy, rounded down: 1,000 only where all of them are.
    /// None where there is no target.
    pub const fn healthy_permille(&self) -> Option<u64> {
        (1_000 * self.healthy).checked_div(self.targets())
    }
}

/// Who decided what runs on a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// What runs there.
    pub state: DeploymentState,
    /// The latest content of the artifact with the CID that was observed there; none where nothing was
    /// seen, or something that the artifact never had.
    pub revision: Option<ArtifactRevision>,
    /// The latest link that ratified it; none where none did.
    pub ratified: Option<CustodyTransition>,
    /// The link that opened that ceremony.
    pub opened: Option<CustodyTransition>,
}

fn micros(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_micros() - from.as_micros()).unwrap_or(0)
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_micros(micros(from, to))
}
