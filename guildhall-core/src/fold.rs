//! The fold: what entries change in the Ops DB (DESIGN section 7).
//!
//! Pure: no I/O, no clock, no randomness. A store loads the [`Heads`] that a batch
//! [touches](Fold::missing), hands over the batch, and writes the [`Changes`]; so two stores cannot
//! disagree about meaning.

mod changes;
mod heads;
mod violation;

pub use changes::{ArtifactUpdate, Changes, ContentUpdate, CustodyUpdate, RowVisitor};
pub use heads::{Heads, Keys, TargetHead};
pub use violation::{FoldError, OnViolation};

use crate::chronicle::DecodedEntry;
use crate::custody::{CustodyPolicy, CustodyState};
use crate::event::{
    AccordBound, ArtifactRegistered, ArtifactRevised, CustodyTransitioned, Decoded,
    DeploymentObserved, Event, VerificationRecorded,
};
use crate::ids::{ArtifactId, EventId, Position, Revision};
use crate::invariant::{ArtifactHead, Violation, check};
use crate::ops::{
    AccordBinding, ArtifactRevision, CountedRows, CustodyTransition, DeploymentChange,
    DeploymentState, GovernedArtifact, Health, QuarantinedEntry, VerificationResult,
};
use crate::time::Timestamp;

/// The entry that a fold halted before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// The entry.
    pub position: Position,
    /// What it breaks.
    pub violation: Violation,
}

/// Turns entries into changes, keeping the heads that it has met.
///
/// The heads double as a bounded cache: after a commit they are what the tables hold, so the next
/// batch loads only what is not yet known. After a failed transaction, or when something else
/// wrote the tables, start a new fold.
///
/// ```
/// use guildhall_core::{CustodyPolicy, OnViolation, fold::Fold};
/// # use guildhall_core::*;
/// # let entries: Vec<DecodedEntry> = Vec::new();
///
/// let mut fold = Fold::over_empty_tables(CustodyPolicy::standard(), OnViolation::Quarantine);
/// fold.apply(entries)?;
/// let changes = fold.take_changes(); // what a store writes, in one transaction
/// assert!(changes.is_empty());
/// # Ok::<(), guildhall_core::fold::FoldError>(())
/// ```
#[derive(Debug)]
pub struct Fold {
    policy: CustodyPolicy,
    on_violation: OnViolation,
    heads: Heads,
    changes: Changes,
}

impl Fold {
    /// A fold that knows nothing of the tables yet.
    pub fn new(policy: CustodyPolicy, on_violation: OnViolation) -> Self {
        Self { policy, on_violation, heads: Heads::default(), changes: Changes::default() }
    }

    /// A fold over tables that are empty: nothing has to be loaded until heads are
    /// [forgotten](Self::forget_heads).
    pub fn over_empty_tables(policy: CustodyPolicy, on_violation: OnViolation) -> Self {
        Self { heads: Heads::complete(), ..Self::new(policy, on_violation) }
    }

    /// What these entries touch and the fold does not know yet.
    pub fn missing(&self, entries: &[DecodedEntry]) -> Keys {
        self.heads.missing(entries)
    }

    /// Where a store puts the heads that it loads.
    pub fn heads_mut(&mut self) -> &mut Heads {
        &mut self.heads
    }

    /// Forgets every head, so that memory stays bounded. Changes that were not taken must be
    /// taken and written before.
    pub fn forget_heads(&mut self) {
        self.heads = Heads::default();
    }

    /// The fold, without its heads if it holds more than so many bytes.
    pub(crate) fn within(mut self, memory_bytes: usize) -> Self {
        if self.weight_bytes() > memory_bytes {
            self.forget_heads();
        }
        self
    }

    /// What is known of an artifact, if it exists.
    pub fn artifact(&self, id: ArtifactId) -> Option<&ArtifactHead> {
        self.heads.artifact(id)
    }

    /// Judges an event against the heads, and changes nothing.
    ///
    /// # Errors
    /// The first invariant that it breaks.
    pub fn judge(&self, event: &Event) -> Result<(), Violation> {
        check(event, self.heads.context(event, &self.policy))
    }

    /// About how many bytes the heads hold, and the changes that go on coalescing.
    pub fn weight_bytes(&self) -> usize {
        self.heads.weight_bytes() + self.changes.held_bytes
    }

    /// Whether the heads hold more than `memory_bytes`, or the changes more than `transaction_bytes`.
    pub(crate) fn is_full(&self, memory_bytes: usize, transaction_bytes: usize) -> bool {
        let Changes { held_bytes, final_bytes, .. } = &self.changes;
        self.heads.weight_bytes() > memory_bytes || held_bytes + final_bytes > transaction_bytes
    }

    /// The changes so far, leaving none.
    pub fn take_changes(&mut self) -> Changes {
        self.heads.start_anew();
        std::mem::take(&mut self.changes)
    }

    /// The rows so far that no later entry can change: accords, revisions, links, changes of targets,
    /// verifications and quarantine. What is left goes on coalescing.
    pub fn take_final_rows(&mut self) -> Changes {
        self.changes.final_bytes = 0;
        Changes {
            accords: std::mem::take(&mut self.changes.accords),
            revisions: std::mem::take(&mut self.changes.revisions),
            transitions: std::mem::take(&mut self.changes.transitions),
            deployment_changes: std::mem::take(&mut self.changes.deployment_changes),
            verifications: std::mem::take(&mut self.changes.verifications),
            quarantined: std::mem::take(&mut self.changes.quarantined),
            skipped: std::mem::take(&mut self.changes.skipped),
            ..Changes::default()
        }
    }

    /// Folds entries, in order, each against the state that those before it left. Answers the
    /// entry that it halted before, if it is to halt.
    ///
    /// # Errors
    /// [`FoldError`]: start a new fold.
    pub fn apply(
        &mut self,
        entries: impl IntoIterator<Item = DecodedEntry>,
    ) -> Result<Option<Halt>, FoldError> {
        for (nth, entry) in entries.into_iter().enumerate() {
            if nth == 0 {
                self.heads.require_older(entry.position)?;
            }
            let violation = match entry.decoded {
                Ok(Decoded::Indexed(_)) => continue,
                Ok(Decoded::Unknown) => {
                    self.changes.skipped += 1;
                    continue;
                }
                Ok(Decoded::Event(event)) => {
                    self.heads.require(&event, entry.position)?;
                    match self.judge(&event) {
                        Ok(()) => {
                            let at = At {
                                position: entry.position,
                                event_id: entry.event_id,
                                recorded_at: entry.recorded_at,
                            };
                            self.record(event, at);
                            continue;
                        }
                        Err(violation) => violation,
                    }
                }
                Err(violation) => violation,
            };
            if self.on_violation == OnViolation::Halt {
                return Ok(Some(Halt { position: entry.position, violation }));
            }
            self.changes.count_final(0);
            self.changes.count(CountedRows::Quarantined, 1, entry.position);
            self.changes.quarantined.push(QuarantinedEntry {
                position: entry.position,
                event_id: entry.event_id,
                stream_id: entry.stream_id,
                event_type: entry.event_type,
                code: violation.code(),
                reason: violation.to_string(),
            });
        }
        Ok(None)
    }

    /// Writes down what a sound event changes.
    fn record(&mut self, event: Event, at: At) {
        match event {
            Event::AccordBound(event) => self.accord_bound(event, at),
            Event::ArtifactRegistered(event) => self.artifact_registered(event, at),
            Event::ArtifactRevised(event) => self.artifact_revised(event, at),
            Event::CustodyTransitioned(link) => self.custody_transitioned(link, at),
            Event::DeploymentObserved(event) => self.deployment_observed(event, at),
            Event::VerificationRecorded(event) => self.verification_recorded(event, at),
        }
    }

    fn accord_bound(&mut self, event: AccordBound, at: At) {
        self.heads.insert_accord(event.accord_id);
        self.changes.count_final(event.accord_terms.as_str().len());
        self.changes.count(CountedRows::Accords, 1, at.position);
        self.changes.accords.push(AccordBinding {
            id: event.accord_id,
            name: event.name,
            accord_terms: event.accord_terms,
            bound_by: event.bound_by,
            effective_at: event.effective_at,
            position: at.position,
        });
    }

    fn artifact_registered(&mut self, event: ArtifactRegistered, at: At) {
        let head = ArtifactHead { cid: event.cid, chain: None, ratified: Vec::new() };
        self.heads.insert_artifact(event.artifact_id, head, self.changes.artifacts.len());
        self.changes.count(CountedRows::of_tier(event.tier), 1, at.position);
        self.changes.count_final(event.content.as_str().len());
        self.changes.revisions.push(ArtifactRevision {
            artifact_id: event.artifact_id,
            revision: Revision::FIRST,
            cid: event.cid,
            content: event.content.clone(),
            content_schema: event.content_schema.clone(),
            recorded_at: at.recorded_at,
            position: at.position,
        });
        self.changes.push_artifact(&GovernedArtifact {
            id: event.artifact_id,
            accord_binding_id: event.accord_id,
            name: event.name,
            artifact_type: event.artifact_type,
            tier: event.tier,
            cid: event.cid,
            content: event.content,
            content_schema: event.content_schema,
            custody_state: None,
            custody_seq: None,
            registered_at: at.recorded_at,
            revised_at: None,
            position: at.position,
        });
    }

    fn artifact_revised(&mut self, event: ArtifactRevised, at: At) {
        let Some(known) = self.heads.artifact_mut(event.artifact_id) else { return };
        known.head.cid = event.cid;
        // No artifact comes near the last number.
        *known.revision = known.revision.next().unwrap_or(Revision::MAX);
        self.changes.count_final(event.content.as_str().len());
        self.changes.revisions.push(ArtifactRevision {
            artifact_id: event.artifact_id,
            revision: *known.revision,
            cid: event.cid,
            content: event.content.clone(),
            content_schema: event.content_schema.clone(),
            recorded_at: at.recorded_at,
            position: at.position,
        });
        let content = ContentUpdate {
            cid: event.cid,
            content: event.content,
            content_schema: event.content_schema,
            revised_at: at.recorded_at,
        };
        self.changes.update_artifact(event.artifact_id, known.slot, at.position, |artifact| {
            artifact.set_content(content);
        });
    }

    fn custody_transitioned(&mut self, link: CustodyTransitioned, at: At) {
        let Some(known) = self.heads.artifact_mut(link.artifact_id) else { return };
        known.head.advance(&link);
        let custody = CustodyUpdate { state: link.to_state, seq: link.seq };
        self.changes.update_artifact(link.artifact_id, known.slot, at.position, |artifact| {
            artifact.set_custody(custody);
        });
        self.count_link(&link, at.position);
        self.changes.count_final(link.evidence.as_str().len());
        self.changes.transitions.push(CustodyTransition {
            artifact_id: link.artifact_id,
            seq: link.seq,
            from_state: link.from_state,
            to_state: link.to_state,
            cid: link.cid,
            actor: link.actor,
            reason: link.reason,
            ceremony_id: link.ceremony_id,
            evidence: link.evidence,
            occurred_at: link.occurred_at,
            prev_hash: link.prev_hash,
            hash: link.hash,
            position: at.position,
        });
    }

    fn count_link(&mut self, link: &CustodyTransitioned, position: Position) {
        self.changes.count(CountedRows::CustodyTransitions, 1, position);
        let left_open = link.from_state == Some(CustodyState::CeremonyOpen);
        let is_open = link.to_state == CustodyState::CeremonyOpen;
        if left_open {
            self.changes.count(CountedRows::ClosedCeremonies, 1, position);
        }
        if left_open != is_open {
            let opened = if is_open { 1 } else { -1 };
            self.changes.count(CountedRows::OpenCeremonies, opened, position);
        }
    }

    fn deployment_observed(&mut self, event: DeploymentObserved, at: At) {
        let health = Health::of(event.desired_cid, event.observed_cid);
        let Some(known) = self.heads.target_mut(event.artifact_id, &event.target) else { return };
        let before = known.head.take();
        let health_since = match &before {
            // An observation that comes late changes nothing.
            Some(later) if event.observed_at < later.observed_at => {
                *known.head = before;
                return;
            }
            Some(before) if before.health == health => before.health_since,
            _ => event.observed_at,
        };
        let head = TargetHead {
            desired_cid: event.desired_cid,
            observed_cid: event.observed_cid,
            health,
            health_since,
            observed_at: event.observed_at,
        };
        *known.head = Some(head);
        let health_before = before.map(|before| before.health);
        if health_before != Some(health) {
            if let Some(before) = health_before {
                self.changes.count(CountedRows::of_health(before), -1, at.position);
            }
            self.changes.count(CountedRows::of_health(health), 1, at.position);
        }
        if before.is_none_or(|before| !before.shows_what(head)) {
            self.changes.count_final(0);
            self.changes.deployment_changes.push(DeploymentChange {
                artifact_id: event.artifact_id,
                target: event.target.clone(),
                observed_at: event.observed_at,
                desired_cid: event.desired_cid,
                observed_cid: event.observed_cid,
                previous_health: health_before,
                health,
                health_since,
                position: at.position,
            });
        }
        let state = DeploymentState {
            artifact_id: event.artifact_id,
            target: event.target,
            desired_cid: event.desired_cid,
            observed_cid: event.observed_cid,
            health,
            health_since,
            detail: event.detail,
            observed_at: event.observed_at,
            position: at.position,
        };
        self.changes.put_deployment(known.slot, state);
    }

    fn verification_recorded(&mut self, event: VerificationRecorded, at: At) {
        self.changes.count_final(event.evidence.as_str().len());
        self.changes.count(CountedRows::Verifications, 1, at.position);
        self.changes.verifications.push(VerificationResult {
            id: at.event_id,
            artifact_id: event.artifact_id,
            target: event.target,
            verifier: event.verifier,
            outcome: event.outcome,
            evidence: event.evidence,
            verified_at: event.verified_at,
            position: at.position,
        });
    }
}

/// What an entry says of itself beside its event.
struct At {
    position: Position,
    event_id: EventId,
    recorded_at: Timestamp,
}

#[cfg(test)]
mod tests;
