//! Comparing what a store's tables hold with what they must hold.

use std::fmt::Debug;

use guildhall_core::Tables;

/// What tests ask of [`Tables`].
pub trait Compare: Sized {
    /// The same without the reasons of quarantine, which are for people to read: the reference
    /// model has the codes alone.
    #[must_use]
    fn without_reasons(self) -> Self;

    /// The same without the checkpoints.
    #[must_use]
    fn without_checkpoints(self) -> Self;

    /// The first row that differs, shown; nothing where all are the same.
    fn difference(&self, expected: &Self) -> Option<String>;

    /// Fails with the first row that differs.
    ///
    /// # Panics
    /// Where a row differs.
    #[track_caller]
    fn assert_are(&self, expected: &Self) {
        if let Some(difference) = self.difference(expected) {
            std::panic::panic_any(difference);
        }
    }
}

impl Compare for Tables {
    fn without_reasons(mut self) -> Self {
        self.quarantined_entries.iter_mut().for_each(|row| row.reason.clear());
        self
    }

    fn without_checkpoints(mut self) -> Self {
        self.projector_checkpoints.clear();
        self
    }

    fn difference(&self, expected: &Self) -> Option<String> {
        let Self {
            accord_bindings,
            governed_artifacts,
            artifact_revisions,
            custody_transitions,
            deployment_states,
            deployment_changes,
            verification_results,
            quarantined_entries,
            row_counts,
            projector_checkpoints,
        } = self;
        differs("accord_bindings", accord_bindings, &expected.accord_bindings)
            .or_else(|| {
                differs("governed_artifacts", governed_artifacts, &expected.governed_artifacts)
            })
            .or_else(|| {
                differs("artifact_revisions", artifact_revisions, &expected.artifact_revisions)
            })
            .or_else(|| {
                differs("custody_transitions", custody_transitions, &expected.custody_transitions)
            })
            .or_else(|| {
                differs("deployment_states", deployment_states, &expected.deployment_states)
            })
            .or_else(|| {
                differs("deployment_changes", deployment_changes, &expected.deployment_changes)
            })
            .or_else(|| {
                let wanted = &expected.verification_results;
                differs("verification_results", verification_results, wanted)
            })
            .or_else(|| {
                differs("quarantined_entries", quarantined_entries, &expected.quarantined_entries)
            })
            .or_else(|| differs("row_counts", row_counts, &expected.row_counts))
            .or_else(|| {
                let found: Vec<_> = projector_checkpoints.iter().collect();
                let wanted: Vec<_> = expected.projector_checkpoints.iter().collect();
                differs("projector_checkpoints", &found, &wanted)
            })
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
