//! All rows of the Ops DB, as a store holds them and as they must be.

use std::collections::BTreeMap;
use std::fmt::Debug;

use guildhall_core::{
    AccordBinding, Checkpoint, CustodyTransition, DeploymentState, GovernedArtifact,
    QuarantinedEntry, VerificationResult,
};
use serde::Serialize;

/// The rows of the seven tables, each table in the order of its key; of
/// `projector_checkpoints` what a checkpoint is, without `updated_at` and the lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tables {
    /// By `id`.
    pub accord_bindings: Vec<AccordBinding>,
    /// By `id`.
    pub governed_artifacts: Vec<GovernedArtifact>,
    /// By `artifact_id` and `seq`.
    pub custody_transitions: Vec<CustodyTransition>,
    /// By `artifact_id` and `target`.
    pub deployment_states: Vec<DeploymentState>,
    /// By `id`.
    pub verification_results: Vec<VerificationResult>,
    /// By `position`.
    pub quarantined_entries: Vec<QuarantinedEntry>,
    /// By `projector`.
    pub projector_checkpoints: BTreeMap<String, Checkpoint>,
}

impl Tables {
    /// The same without the reasons of quarantine, which are for people to read: the reference
    /// model has the codes alone.
    #[must_use]
    pub fn without_reasons(mut self) -> Self {
        self.quarantined_entries.iter_mut().for_each(|row| row.reason.clear());
        self
    }

    /// The same without the checkpoints.
    #[must_use]
    pub fn without_checkpoints(mut self) -> Self {
        self.projector_checkpoints.clear();
        self
    }

    /// The first row that differs, shown; nothing where all are the same.
    pub fn difference(&self, expected: &Self) -> Option<String> {
        let Self {
            accord_bindings,
            governed_artifacts,
            custody_transitions,
            deployment_states,
            verification_results,
            quarantined_entries,
            projector_checkpoints,
        } = self;
        differs("accord_bindings", accord_bindings, &expected.accord_bindings)
            .or_else(|| {
                differs("governed_artifacts", governed_artifacts, &expected.governed_artifacts)
            })
            .or_else(|| {
                differs("custody_transitions", custody_transitions, &expected.custody_transitions)
            })
            .or_else(|| {
                differs("deployment_states", deployment_states, &expected.deployment_states)
            })
            .or_else(|| {
                let wanted = &expected.verification_results;
                differs("verification_results", verification_results, wanted)
            })
            .or_else(|| {
                differs("quarantined_entries", quarantined_entries, &expected.quarantined_entries)
            })
            .or_else(|| {
                let found: Vec<_> = projector_checkpoints.iter().collect();
                let wanted: Vec<_> = expected.projector_checkpoints.iter().collect();
                differs("projector_checkpoints", &found, &wanted)
            })
    }

    /// Fails with the first row that differs.
    ///
    /// # Panics
    /// Where a row differs.
    #[track_caller]
    pub fn assert_are(&self, expected: &Self) {
        if let Some(difference) = self.difference(expected) {
            std::panic::panic_any(difference);
        }
    }
}

fn differs<T: Debug + PartialEq>(table: &str, found: &[T], expected: &[T]) -> Option<String> {
    let at = (0..found.len().max(expected.len())).find(|at| found.get(*at) != expected.get(*at))?;
    Some(format!(
        "{table}, row {at} of {} (expected {}):\n   found {:?}\nexpected {:?}",
        found.len(),
        expected.len(),
        found.get(at),
        expected.get(at),
    ))
}
