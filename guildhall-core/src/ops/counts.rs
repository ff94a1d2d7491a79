//! How many rows there are of a kind, kept by the fold: what an overview shows without counting.

use serde::Serialize;

use super::{Counted, Health, Overview};
use crate::event::Tier;
use crate::ids::Position;
use crate::time::Timestamp;
use crate::words::words;

// In the order of their texts, which is that of the key.
words!(
    /// Rows that are counted.
    CountedRows, "kind of counted rows" {
        /// Accords.
        Accords = "accords",
        /// Artifacts of tier 0.
        ArtifactsOfTier0 = "artifacts_of_tier_0",
        /// Artifacts of tier 1.
        ArtifactsOfTier1 = "artifacts_of_tier_1",
        /// Artifacts of tier 2.
        ArtifactsOfTier2 = "artifacts_of_tier_2",
        /// Artifacts of tier 3.
        ArtifactsOfTier3 = "artifacts_of_tier_3",
        /// Links that closed a ceremony.
        ClosedCeremonies = "closed_ceremonies",
        /// Links of all chains.
        CustodyTransitions = "custody_transitions",
        /// Targets whose health is `drifted`.
        DriftedDeployments = "drifted_deployments",
        /// Targets whose health is `healthy`.
        HealthyDeployments = "healthy_deployments",
        /// Artifacts whose latest link entered `ceremony_open`.
        OpenCeremonies = "open_ceremonies",
        /// Entries in quarantine.
        Quarantined = "quarantined",
        /// Targets whose health is `unknown`.
        UnknownDeployments = "unknown_deployments",
        /// Verifications.
        Verifications = "verifications",
    }
);

impl CountedRows {
    /// Artifacts of a tier.
    pub(crate) fn of_tier(tier: Tier) -> Self {
        const OF_TIERS: [CountedRows; 4] = [
            CountedRows::ArtifactsOfTier0,
            CountedRows::ArtifactsOfTier1,
            CountedRows::ArtifactsOfTier2,
            CountedRows::ArtifactsOfTier3,
        ];
        OF_TIERS[usize::from(tier.get())]
    }

    /// Targets of a health.
    pub(crate) const fn of_health(health: Health) -> Self {
        match health {
            Health::Drifted => Self::DriftedDeployments,
            Health::Healthy => Self::HealthyDeployments,
            Health::Unknown => Self::UnknownDeployments,
        }
    }
}

/// A row of `row_counts`: how many rows of a kind there are. One is there from the first on that was
/// counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RowCount {
    /// Which rows.
    pub counted: CountedRows,
    /// How many. In the [changes](crate::fold::Changes::counts) of a fold, how many more: fewer where it is
    /// negative.
    pub rows: i64,
    /// The entry by which one of them last came or went.
    pub position: Position,
}

impl Counted {
    /// The rows that are kept count of for this, where nothing has to be counted: ceremonies and the quarantine.
    pub const fn kept(&self) -> Option<CountedRows> {
        match self {
            Self::OpenCeremonies => Some(CountedRows::OpenCeremonies),
            Self::ClosedCeremonies => Some(CountedRows::ClosedCeremonies),
            Self::Quarantined => Some(CountedRows::Quarantined),
            Self::Artifacts(_)
            | Self::Accords(_)
            | Self::Deployments(_)
            | Self::Verifications(_) => None,
        }
    }
}

impl Overview {
    /// What these counts say, and when the ceremony was opened that is open longest.
    pub fn of_counts(
        counts: impl IntoIterator<Item = RowCount>,
        oldest_ceremony_opened_at: Option<Timestamp>,
    ) -> Self {
        let mut overview = Self { oldest_ceremony_opened_at, ..Self::default() };
        let [tier0, tier1, tier2, tier3] = &mut overview.artifacts_by_tier;
        for RowCount { counted, rows, .. } in counts {
            let shown = match counted {
                CountedRows::Accords => &mut overview.accords,
                CountedRows::ArtifactsOfTier0 => &mut *tier0,
                CountedRows::ArtifactsOfTier1 => &mut *tier1,
                CountedRows::ArtifactsOfTier2 => &mut *tier2,
                CountedRows::ArtifactsOfTier3 => &mut *tier3,
                CountedRows::CustodyTransitions => &mut overview.custody_transitions,
                CountedRows::DriftedDeployments => &mut overview.drifted_deployments,
                CountedRows::HealthyDeployments => &mut overview.healthy_deployments,
                CountedRows::OpenCeremonies => &mut overview.open_ceremonies,
                CountedRows::Quarantined => &mut overview.quarantined,
                CountedRows::UnknownDeployments => &mut overview.unknown_deployments,
                CountedRows::Verifications => &mut overview.verifications,
                CountedRows::ClosedCeremonies => continue,
            };
            // Somebody else may have written the row; an audit finds that.
            *shown = u64::try_from(rows).unwrap_or(0);
        }
        overview
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_stand_in_the_order_of_their_texts() {
        assert!(CountedRows::ALL.is_sorted_by_key(|counted| counted.as_str()));
    }

    #[test]
    fn each_count_is_shown_where_it_belongs() {
        let counts = CountedRows::ALL.iter().zip(1..).map(|(counted, rows)| RowCount {
            counted: *counted,
            rows,
            position: Position::FIRST,
        });
        let oldest = Some(Timestamp::MIN);
        let expected = Overview {
            accords: 1,
            artifacts_by_tier: [2, 3, 4, 5],
            custody_transitions: 7,
            drifted_deployments: 8,
            healthy_deployments: 9,
            open_ceremonies: 10,
            quarantined: 11,
            unknown_deployments: 12,
            verifications: 13,
            oldest_ceremony_opened_at: oldest,
        };
        assert_eq!(Overview::of_counts(counts, oldest), expected);
    }

    #[test]
    fn a_count_is_of_its_tier_and_of_its_health() {
        let tiers = Tier::ALL.map(CountedRows::of_tier);
        assert_eq!(tiers.as_slice(), &CountedRows::ALL[1..5]);
        for health in Health::ALL {
            let counted = CountedRows::of_health(*health);
            assert_eq!(counted.as_str(), format!("{health}_deployments"));
        }
    }
}
