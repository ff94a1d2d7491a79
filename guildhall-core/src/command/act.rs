//! An act: who does something, and when it counts as done.

use std::time::Duration;

use crate::custody::ChainHead;
use crate::json::Json;
use crate::time::Timestamp;

/// Who does something, why, on what grounds and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// On what grounds; `null` where there are none to show.
    pub evidence: Json,
    /// When.
    pub occurred_at: Timestamp,
    /// The unit that the clock behind `occurred_at` counts in; zero, unless said otherwise, where
    /// `occurred_at` is exact.
    pub clock_resolution: Duration,
    /// When it had happened at the latest, where `occurred_at` is only the earliest that it can
    /// have.
    pub latest: Option<Timestamp>,
}

impl Act {
    /// An act without evidence.
    pub fn new(
        actor: impl Into<String>,
        reason: impl Into<String>,
        occurred_at: Timestamp,
    ) -> Self {
        Self {
            actor: actor.into(),
            reason: reason.into(),
            evidence: Json::null(),
            occurred_at,
            clock_resolution: Duration::ZERO,
            latest: None,
        }
    }

    /// The same act, on these grounds.
    #[must_use]
    pub fn with_evidence(self, evidence: Json) -> Self {
        Self { evidence, ..self }
    }

    /// The same act, by a clock that counts in this unit: where the chain's head is later by less
    /// than that, the act is taken to have happened together with it, and is not refused (`CC07`)
    /// for what the clock leaves out.
    #[must_use]
    pub fn clock_resolution(self, unit: Duration) -> Self {
        Self { clock_resolution: unit, ..self }
    }

    /// The same act, of which nobody says when between `occurred_at` and this it happened. Where
    /// the chain's head is later than `occurred_at`, the act is dated by this, and refused (`CC07`)
    /// if the head is later still: the head says when something else happened.
    #[must_use]
    pub fn at_the_latest(self, latest: Timestamp) -> Self {
        Self { latest: Some(latest), ..self }
    }
}

/// When an act happened of which so much is known, given the chain's head.
pub(super) fn dated(
    occurred_at: Timestamp,
    clock_resolution: Duration,
    latest: Option<Timestamp>,
    head: Option<&ChainHead>,
) -> Timestamp {
    let Some(head) = head else { return occurred_at };
    let is_within = |told: Timestamp| {
        let behind = head.occurred_at.as_micros() - told.as_micros();
        u128::try_from(behind).is_ok_and(|behind| behind < clock_resolution.as_micros())
    };
    if head.occurred_at <= occurred_at {
        return occurred_at;
    }
    match latest {
        _ if is_within(occurred_at) => head.occurred_at,
        Some(latest) if is_within(latest) => head.occurred_at,
        Some(latest) => latest.max(occurred_at),
        None => occurred_at,
    }
}
