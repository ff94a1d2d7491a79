//! Whether what runs is what should: on one target, and over all of an artifact's.

#[cfg(doc)]
use super::ArtifactSort;
use crate::cid::Cid;
use crate::time::Timestamp;
use crate::words::words;

words!(
    /// Whether what runs on one target is what should.
    Health, "health" {
        /// Nothing was seen there.
        Unknown = "unknown",
        /// It is.
        Healthy = "healthy",
        /// It is not.
        Drifted = "drifted",
    }
);

impl Health {
    /// What an observation says: `unknown` where nothing was seen, `healthy` where it is the
    /// desired content, else `drifted`.
    pub fn of(desired: Cid, observed: Option<Cid>) -> Self {
        match observed {
            None => Self::Unknown,
            Some(observed) if observed == desired => Self::Healthy,
            Some(_) => Self::Drifted,
        }
    }
}

words!(
    /// An artifact's health over all its targets: the worst that is known.
    Drift, "drift" {
        /// No target at all.
        Undeployed = "undeployed",
        /// Some target is drifted.
        Drifted = "drifted",
        /// None is drifted, and some target is unknown.
        Unknown = "unknown",
        /// Every target is healthy.
        Healthy = "healthy",
    }
);

impl Drift {
    /// Every value, the worst first: the order of [`ArtifactSort::Drift`].
    pub const WORST_FIRST: [Self; 4] =
        [Self::Drifted, Self::Unknown, Self::Healthy, Self::Undeployed];

    /// Its place in [`WORST_FIRST`](Self::WORST_FIRST).
    pub(crate) const fn rank(self) -> i64 {
        3 - self.severity() as i64
    }

    /// The drift over targets of these healths, and since when; none where there is no target.
    ///
    /// It is drifted, or unknown, since the earliest of the targets that make it so, and healthy
    /// since the latest: before that, some target was not. So each health's earliest and latest
    /// target say as much as all of them do.
    pub fn of(targets: impl IntoIterator<Item = (Health, Timestamp)>) -> (Self, Option<Timestamp>) {
        let (mut worst, mut since) = (Self::Undeployed, None);
        for (health, at) in targets {
            let drift = match health {
                Health::Drifted => Self::Drifted,
                Health::Unknown => Self::Unknown,
                Health::Healthy => Self::Healthy,
            };
            if drift.severity() > worst.severity() {
                (worst, since) = (drift, Some(at));
            } else if drift == worst {
                since = since.map(|since: Timestamp| match health {
                    Health::Drifted | Health::Unknown => since.min(at),
                    Health::Healthy => since.max(at),
                });
            }
        }
        (worst, since)
    }

    /// The higher one decides what an artifact is.
    const fn severity(self) -> u8 {
        match self {
            Self::Undeployed => 0,
            Self::Healthy => 1,
            Self::Unknown => 2,
            Self::Drifted => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_artifact_is_healthy_since_its_last_target_recovered_and_worse_since_the_first_one_was() {
        use Health::{Drifted, Healthy, Unknown};
        let at = |second: i64| Timestamp::from_micros(second).unwrap();
        for (targets, drift, since) in [
            (&[][..], Drift::Undeployed, None),
            (&[(Healthy, 1), (Healthy, 9), (Healthy, 5)], Drift::Healthy, Some(9)),
            (&[(Unknown, 7), (Healthy, 9), (Unknown, 3), (Healthy, 1)], Drift::Unknown, Some(3)),
            (&[(Drifted, 7), (Unknown, 1), (Drifted, 5), (Healthy, 9)], Drift::Drifted, Some(5)),
        ] {
            let mut targets: Vec<_> =
                targets.iter().map(|(health, second)| (*health, at(*second))).collect();
            let expected = (drift, since.map(at));
            assert_eq!(Drift::of(targets.clone()), expected, "{targets:?}");
            targets.reverse();
            assert_eq!(Drift::of(targets.clone()), expected, "{targets:?} in any order");
            // What a store may hand over instead: the first and the last of each health.
            let ends = Health::ALL.iter().flat_map(|health| {
                let of_it = targets.iter().filter(|(found, _)| found == health);
                let of_it: Vec<_> = of_it.map(|(_, at)| *at).collect();
                [of_it.iter().min().copied(), of_it.iter().max().copied()]
                    .into_iter()
                    .flatten()
                    .map(|at| (*health, at))
                    .collect::<Vec<_>>()
            });
            assert_eq!(Drift::of(ends), expected, "{targets:?} by their ends");
        }
    }
}
