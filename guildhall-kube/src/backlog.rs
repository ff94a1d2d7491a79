//! Putting a list into the order in which things happened, in bounded memory.
//!
//! An API server lists by name. What was missed has to be recorded as it happened: of two
//! ceremonies on one artifact, the later cannot be opened before the earlier is closed. So a list's
//! ceremonies are held back, the earliest first, and handed over once it ends. What finds no room
//! is left for another pass over the same list, which takes up where this one ended.
//!
//! The earliest is the one that was closed first. Of ceremonies that do not overlap, that is the one
//! that was opened first as well; and when it was closed is told, when it was opened not always.

use std::collections::BTreeMap;

use guildhall_core::{CeremonyId, Timestamp};

use crate::reading::Happened;

/// Where a ceremony stands in the order: by closing, the open ones last, then by opening.
type Place = (Timestamp, Timestamp, CeremonyId);

fn place(happened: &Happened) -> Place {
    let closed = happened.closed.as_ref().map_or(Timestamp::MAX, |(_, act)| act.occurred_at);
    (closed, happened.opened.occurred_at, happened.ceremony_id)
}

/// The earliest of what a list holds, as many as there is room for.
#[derive(Debug)]
pub(crate) struct Backlog {
    held: BTreeMap<Place, Happened>,
    bytes: usize,
    most_bytes: usize,
    /// Earlier passes ended here.
    after: Option<Place>,
    /// The earliest that found no room.
    before: Option<Place>,
}

impl Backlog {
    /// An empty one that holds about so many bytes, and at least one ceremony.
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { held: BTreeMap::new(), bytes: 0, most_bytes, after: None, before: None }
    }

    /// Takes a ceremony in, if it is among the earliest.
    pub(crate) fn offer(&mut self, happened: Happened) {
        let place = place(&happened);
        let was_before = self.after.is_some_and(|after| place <= after);
        let finds_no_room = self.before.is_some_and(|before| place >= before);
        if was_before || finds_no_room {
            return;
        }
        self.bytes += happened.bytes();
        if let Some(other) = self.held.insert(place, happened) {
            self.bytes -= other.bytes();
        }
        while self.bytes > self.most_bytes && self.held.len() > 1 {
            if let Some((latest, happened)) = self.held.pop_last() {
                self.bytes -= happened.bytes();
                self.before = Some(latest);
            }
        }
    }

    /// Lets go of what is not wanted any more.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&Happened) -> bool) {
        self.held.retain(|_, happened| is_wanted(happened));
        self.bytes = self.held.values().map(Happened::bytes).sum();
    }

    /// What it holds, the earliest first, and whether another pass is wanted. It is empty then, and
    /// takes what comes later.
    pub(crate) fn take(&mut self) -> (Vec<Happened>, bool) {
        let held = std::mem::take(&mut self.held);
        self.bytes = 0;
        self.after = held.keys().next_back().copied().or(self.after);
        (held.into_values().collect(), self.before.take().is_some())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use guildhall_core::command::Act;
    use guildhall_core::{ArtifactId, Cid};
    use guildhall_projector::ceremony::CeremonyOutcome;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000).unwrap()
    }

    fn happened(opened: i64, closed: Option<i64>, reason: &str) -> Happened {
        let act = |second| Act::new("ada", reason, at(second));
        Happened {
            identity: String::new(),
            ceremony_id: CeremonyId::new(),
            artifact_id: ArtifactId::new(),
            cid: Cid::from_digest([1; 32]),
            opened: act(opened),
            closed: closed.map(|second| (CeremonyOutcome::Rejected, act(second))),
        }
    }

    fn opened(held: &[Happened]) -> Vec<i64> {
        held.iter().map(|it| it.opened.occurred_at.as_micros() / 1_000_000).collect()
    }

    #[test]
    fn what_was_closed_first_comes_first_and_what_is_open_last() {
        let mut backlog = Backlog::new(usize::MAX);
        for (opened, closed) in [(8, None), (1, None), (3, Some(9)), (7, Some(8)), (2, Some(8))] {
            backlog.offer(happened(opened, closed, ""));
        }
        let (held, is_more) = backlog.take();
        assert_eq!((opened(&held), is_more), (vec![2, 7, 3, 1, 8], false));
    }

    #[test]
    fn passes_over_a_list_hand_over_all_of_it_in_order_however_little_fits() {
        let large = "x".repeat(2000);
        let sizes = ["", &large, "", "", &large, "", ""];
        for fits in [1, 1, 2, 5, 7] {
            let most_bytes = happened(0, None, "").bytes() * fits;
            let mut backlog = Backlog::new(most_bytes);
            let (mut told, mut passes) = (Vec::new(), 0);
            loop {
                // The same objects, in another order each time; seven and six are coprime.
                for step in 0..7 {
                    let index = (step * 6 + passes) % 7;
                    let second = i64::try_from(index).unwrap();
                    let mut again = happened(second, None, sizes[index]);
                    let id = uuid::Uuid::from_u128(u128::try_from(index).unwrap());
                    again.ceremony_id = CeremonyId::from_uuid(id);
                    backlog.offer(again);
                    assert!(backlog.bytes <= most_bytes || backlog.held.len() == 1);
                }
                let (held, is_more) = backlog.take();
                told.extend(opened(&held));
                passes += 1;
                if !is_more {
                    break;
                }
            }
            assert_eq!(told, [0, 1, 2, 3, 4, 5, 6], "with room for {fits}");
        }
    }
}
