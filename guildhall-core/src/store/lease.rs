//! Who may write to a read model, and when a rebuilt one may take its place: the decisions about
//! the row that every store keeps for a projector.

use std::time::Duration;

use crate::checkpoint::Checkpoint;
use crate::ids::{HolderId, Position};
use crate::ops::ProjectorCheckpoint;
use crate::projector::Lease;
use crate::time::Timestamp;

/// A row of `projector_checkpoints`: how far a read model has got, and who may write to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    /// How far it has got.
    pub checkpoint: Checkpoint,
    /// How many rebuilds were swapped in.
    pub generation: i64,
    /// From which position on the tables have the history of what they show: [`Position::ZERO`] where
    /// they have all of it.
    pub history_from: Position,
    /// Who may write.
    pub lease: LeaseState,
}

impl CheckpointRow {
    /// That of a projector that never ran.
    pub const NONE: Self = Self {
        checkpoint: Checkpoint::ZERO,
        generation: 0,
        history_from: Position::ZERO,
        lease: LeaseState { holder: None, fence: 0, renewed_at: None },
    };

    /// The row as [`OpsDb::checkpoints`](crate::OpsDb::checkpoints) lists it.
    pub fn into_listed(self, projector: impl Into<String>) -> ProjectorCheckpoint {
        let LeaseState { holder, renewed_at, .. } = self.lease;
        ProjectorCheckpoint::new(projector, self.checkpoint, renewed_at, self.history_from, holder)
    }

    /// The row once a generation that was built up to `next` has taken the live one's place; none
    /// where it must not: the live one has gone further, and does not stand at `rewind_from`,
    /// where the log does not reach any more.
    pub fn swapped(&self, next: &Checkpoint, rewind_from: Option<Position>) -> Option<Self> {
        let live = self.checkpoint.position;
        let may_swap = live <= next.position || rewind_from == Some(live);
        may_swap.then(|| Self {
            checkpoint: next.clone(),
            generation: self.generation + 1,
            history_from: Position::ZERO,
            lease: self.lease,
        })
    }
}

/// The lease of a projector, as a store keeps it beside the checkpoint.
///
/// A store loads it, lets it decide, and writes it back, all in the transaction that writes rows:
/// that is what keeps a deposed projector from writing.
///
/// ```
/// use std::time::Duration;
/// use guildhall_core::store::LeaseState;
/// use guildhall_core::{HolderId, Lease, Timestamp};
///
/// let (one, other) = (HolderId::new(), HolderId::new());
/// let now: Timestamp = "2026-11-23T10:05:00Z".parse()?;
/// let mut state = LeaseState::default();
/// assert_eq!(state.take(one, None, Duration::from_secs(15), now), Lease::Held);
/// assert!(matches!(
///     state.take(other, None, Duration::from_secs(15), now),
///     Lease::Standby { holder, .. } if holder == one
/// ));
/// # Ok::<(), guildhall_core::TimestampError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaseState {
    /// Who may write, and until when by the database's clock; none where nobody does.
    pub holder: Option<(HolderId, Timestamp)>,
    /// How often the lease changed hands.
    pub fence: i64,
    /// When the lease was last taken or renewed, by the database's clock.
    pub renewed_at: Option<Timestamp>,
}

impl LeaseState {
    /// Takes the lease for `holder` if it is free or lapsed at `now`, renews it if it is held under
    /// `fence`, the one under which `holder` last had it.
    ///
    /// A lease that was renewed more than `lease_time` after `now` was so under a clock that has gone
    /// back since: it has lapsed, or it would lock everybody out until the clock is there again. Should
    /// its holder live, the fence keeps it from writing.
    pub fn take(
        &mut self,
        holder: HolderId,
        fence: Option<i64>,
        lease_time: Duration,
        now: Timestamp,
    ) -> Lease {
        let micros = i64::try_from(lease_time.as_micros()).unwrap_or(i64::MAX);
        let until = Timestamp::from_micros(now.as_micros().saturating_add(micros));
        let until_mine = until.unwrap_or(Timestamp::MAX);
        let clock_went_back = self.renewed_at.is_some_and(|at| at > until_mine);
        match self.holder {
            Some((found, until)) if found != holder && until > now && !clock_went_back => {
                return Lease::Standby { holder: found, until };
            }
            Some((found, _)) if found == holder && fence == Some(self.fence) => {}
            _ => self.fence += 1,
        }
        self.holder = Some((holder, until_mine));
        self.renewed_at = Some(now);
        Lease::Held
    }

    /// Gives the lease up if it is `holder`'s; returns whether it was.
    pub fn release(&mut self, holder: HolderId) -> bool {
        self.holder.take_if(|(found, _)| *found == holder).is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000).unwrap()
    }

    #[test]
    fn a_generation_goes_back_only_where_the_log_does() {
        let standing =
            |position| Checkpoint { position: Position::new(position), ..Checkpoint::ZERO };
        let live = CheckpointRow { checkpoint: standing(7), generation: 3, ..CheckpointRow::NONE };
        for (next, rewind_from, expected) in [
            (6, None, None),
            (6, Some(8), None),
            (6, Some(7), Some(4)),
            (7, None, Some(4)),
            (8, None, Some(4)),
        ] {
            let swapped = live.swapped(&standing(next), rewind_from.map(Position::new));
            assert_eq!(
                swapped.as_ref().map(|row| row.generation),
                expected,
                "{next} {rewind_from:?}"
            );
            assert!(swapped.is_none_or(|row| row.checkpoint == standing(next)));
        }
    }

    #[test]
    fn a_lapsed_lease_changes_hands_and_the_fence_moves() {
        let (one, other) = (HolderId::new(), HolderId::new());
        let mut state = LeaseState::default();
        assert_eq!(state.take(one, None, LEASE, at(0)), Lease::Held);
        let first = state.fence;
        let standby = Lease::Standby { holder: one, until: at(10) };
        assert_eq!(state.take(other, None, LEASE, at(9)), standby);
        assert_eq!(state.take(other, None, LEASE, at(10)), Lease::Held);
        assert!(state.fence > first);
        assert!(!state.release(one));
        assert!(state.release(other));
        assert_eq!(state.holder, None);
    }

    #[test]
    fn a_lease_from_a_clock_that_went_back_has_lapsed() {
        let (one, other) = (HolderId::new(), HolderId::new());
        let mut state = LeaseState::default();
        state.take(one, None, LEASE, at(3600));
        let fence = state.fence;
        // A clock that was put right by less than a lease is waited for.
        assert!(matches!(state.clone().take(other, None, LEASE, at(3590)), Lease::Standby { .. }));
        assert_eq!(state.take(other, None, LEASE, at(3589)), Lease::Held);
        // The one who was deposed so finds another fence than its own.
        assert!(state.fence > fence);
        assert!(matches!(state.take(one, Some(fence), LEASE, at(3590)), Lease::Standby { .. }));
    }

    #[test]
    fn a_renewal_keeps_the_fence_and_one_after_another_holder_does_not() {
        let (one, other) = (HolderId::new(), HolderId::new());
        let mut state = LeaseState::default();
        state.take(one, None, LEASE, at(0));
        let first = state.fence;
        state.take(one, Some(first), LEASE, at(5));
        assert_eq!((state.fence, state.holder), (first, Some((one, at(15)))));
        state.take(other, None, LEASE, at(20));
        state.take(one, Some(first), LEASE, at(40));
        assert!(state.fence > first + 1);
    }
}
