//! What queries of the Ops DB return.

use serde::Serialize;

use super::{AccordBinding, CustodyTransition, Drift, GovernedArtifact};
use crate::cid::Cid;
use crate::custody::CustodyState;
use crate::event::Tier;
use crate::ids::{AccordId, ArtifactId, CeremonyId, Position};
use crate::time::Timestamp;

/// The counts that a dashboard opens with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Overview {
    /// Accords.
    pub accords: u64,
    /// Artifacts, by tier 0 to 3.
    pub artifacts_by_tier: [u64; 4],
    /// Deployments whose health is `healthy`.
    pub healthy_deployments: u64,
    /// Deployments whose health is `drifted`.
    pub drifted_deployments: u64,
    /// Deployments whose health is `unknown`.
    pub unknown_deployments: u64,
    /// Links of all chains.
    pub custody_transitions: u64,
    /// Verifications.
    pub verifications: u64,
    /// Open ceremonies.
    pub open_ceremonies: u64,
    /// When the one that is open longest was opened.
    pub oldest_ceremony_opened_at: Option<Timestamp>,
    /// Entries in quarantine.
    pub quarantined: u64,
}

impl Overview {
    /// Artifacts of every tier.
    pub fn artifacts(&self) -> u64 {
        self.artifacts_by_tier.iter().sum()
    }
}

/// An artifact as a list shows it: everything but its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactSummary {
    /// The artifact.
    pub id: ArtifactId,
    /// The accord that governs it.
    pub accord_binding_id: AccordId,
    /// What people call it.
    pub name: String,
    /// What kind of thing it is.
    pub artifact_type: String,
    /// How critical it is.
    pub tier: Tier,
    /// The CID of its current content.
    pub cid: Cid,
    /// Where it stands; none before genesis.
    pub custody_state: Option<CustodyState>,
    /// Its health over all targets.
    pub drift: Drift,
    /// Since when, as [`Drift::of`] has it; none where it is undeployed.
    pub drift_since: Option<Timestamp>,
    /// The entry that last wrote the artifact.
    pub position: Position,
}

/// One artifact, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactDetail {
    /// Its row.
    pub artifact: GovernedArtifact,
    /// The accord that governs it.
    pub accord: AccordBinding,
    /// Its health over all targets.
    pub drift: Drift,
    /// Since when; as in [`ArtifactSummary`].
    pub drift_since: Option<Timestamp>,
}

/// A ceremony over one artifact: the transition that opened it, and the one that closed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ceremony {
    /// The ceremony.
    pub ceremony_id: Option<CeremonyId>,
    /// The artifact's name.
    pub name: String,
    /// The artifact's type.
    pub artifact_type: String,
    /// The artifact's tier.
    pub tier: Tier,
    /// The accord's name.
    pub accord: String,
    /// The transition that opened it: artifact, who, why and when.
    pub opened: CustodyTransition,
    /// The transition that closed it: outcome (its `to_state`), who, why and when; none while it is
    /// open.
    pub closed: Option<CustodyTransition>,
}

/// A ceremony that has not closed: an artifact whose latest transition entered `ceremony_open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenCeremony {
    /// The ceremony.
    pub ceremony_id: Option<CeremonyId>,
    /// The artifact's name.
    pub name: String,
    /// The artifact's type.
    pub artifact_type: String,
    /// The artifact's tier.
    pub tier: Tier,
    /// The accord's name.
    pub accord: String,
    /// The transition that opened it: artifact, who, why and when.
    pub opened: CustodyTransition,
}

/// A ceremony that has closed: two links of a chain, the one that opened it and the one that
/// follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClosedCeremony {
    /// The ceremony.
    pub ceremony_id: Option<CeremonyId>,
    /// The artifact's name.
    pub name: String,
    /// The artifact's type.
    pub artifact_type: String,
    /// The artifact's tier.
    pub tier: Tier,
    /// The accord's name.
    pub accord: String,
    /// Who opened it.
    pub opened_by: String,
    /// When.
    pub opened_at: Timestamp,
    /// The transition that closed it: artifact, outcome (its `to_state`), who, why and when.
    pub closed: CustodyTransition,
}
