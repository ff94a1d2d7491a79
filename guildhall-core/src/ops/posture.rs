//! How much of the estate had which health, day by day (DESIGN section 10).

use std::collections::BTreeMap;

use serde::Serialize;

use super::Health;
use crate::time::Timestamp;
use crate::words::words;

pub(super) const DAY_MICROS: i64 = 86_400_000_000;

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
