//! What was handed over, so that an object seen again asks nothing of the Chronicle; and which
//! ceremonies are open, so that one whose object is gone is missed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use guildhall_core::{ArtifactId, CeremonyId};
use guildhall_projector::ceremony::CeremonyOutcome;
use tokio::sync::Notify;

use crate::reading::Happened;

/// How many ceremonies are remembered. What is forgotten is handed over again, and known there.
const MOST_REMEMBERED: usize = 100_000;

/// How far a ceremony was handed over.
#[derive(Debug, Clone)]
pub(crate) enum HandedOver {
    /// Its opening.
    Open(Open),
    /// Its opening and its closing.
    Closed(CeremonyOutcome),
}

/// A ceremony that is open, as far as is known.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    /// What names its object, the namespace first.
    pub(crate) identity: String,
    /// Its artifact.
    pub(crate) artifact_id: ArtifactId,
    /// The last list that had begun when it was seen.
    list: u64,
}

/// Remembers while the process lives.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    state: Mutex<State>,
    /// Something was refused that may be taken later.
    refused: Notify,
}

#[derive(Debug, Default)]
struct State {
    handed_over: HashMap<CeremonyId, HandedOver>,
    /// Open ceremonies whose objects are gone.
    missed: HashMap<CeremonyId, Open>,
    list: u64,
    has_refused: bool,
}

impl Seen {
    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole between any two of its operations.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far a ceremony was handed over.
    pub(crate) fn handed_over(&self, ceremony_id: CeremonyId) -> Option<HandedOver> {
        self.state().handed_over.get(&ceremony_id).cloned()
    }

    /// A ceremony's opening was handed over.
    pub(crate) fn opened(&self, happened: &Happened) {
        let mut state = self.state();
        let Happened { identity, artifact_id, .. } = happened;
        let open = Open { identity: identity.clone(), artifact_id: *artifact_id, list: state.list };
        state.remember(happened.ceremony_id, HandedOver::Open(open));
    }

    /// And its closing.
    pub(crate) fn closed(&self, ceremony_id: CeremonyId, outcome: CeremonyOutcome) {
        self.state().remember(ceremony_id, HandedOver::Closed(outcome));
    }

    /// Its object is gone. Returns how far it was handed over.
    pub(crate) fn gone(&self, ceremony_id: CeremonyId) -> Option<HandedOver> {
        self.state().handed_over.remove(&ceremony_id)
    }

    /// Its object is gone, and it is open: that is looked at again.
    pub(crate) fn missed(
        &self,
        ceremony_id: CeremonyId,
        identity: String,
        artifact_id: ArtifactId,
    ) {
        let mut state = self.state();
        let list = state.list;
        state.missed.insert(ceremony_id, Open { identity, artifact_id, list });
        drop(state);
        self.refused();
    }

    /// It is missed no more.
    pub(crate) fn found(&self, ceremony_id: CeremonyId) {
        self.state().missed.remove(&ceremony_id);
    }

    /// All that are missed.
    pub(crate) fn all_missed(&self) -> Vec<(CeremonyId, Open)> {
        self.state().missed.iter().map(|(id, open)| (*id, open.clone())).collect()
    }

    /// A list begins: this is its number. Until its end, what it holds is [`listed`](Self::listed).
    pub(crate) fn begin_list(&self) -> u64 {
        let mut state = self.state();
        state.list += 1;
        state.list
    }

    /// A ceremony's object is still there.
    pub(crate) fn listed(&self, ceremony_id: CeremonyId) {
        let mut state = self.state();
        let current = state.list;
        state.missed.remove(&ceremony_id);
        if let Some(HandedOver::Open(open)) = state.handed_over.get_mut(&ceremony_id) {
            open.list = current;
        }
    }

    /// A list ends: forgets, and returns, the ceremonies that were open and whose objects,
    /// of the namespaces that were listed, it did not hold.
    pub(crate) fn end_list(
        &self,
        list: u64,
        was_listed: impl Fn(&str) -> bool,
    ) -> Vec<(CeremonyId, Open)> {
        let mut state = self.state();
        let mut gone = Vec::new();
        state.handed_over.retain(|ceremony_id, handed_over| match handed_over {
            HandedOver::Open(open) if open.list < list => {
                let namespace = open.identity.split('/').next().unwrap_or_default();
                let is_gone = was_listed(namespace);
                if is_gone {
                    gone.push((*ceremony_id, open.clone()));
                }
                !is_gone
            }
            HandedOver::Open(_) | HandedOver::Closed(_) => true,
        });
        gone
    }

    /// The Chronicle refused something; it may take it later.
    pub(crate) fn refused(&self) {
        self.state().has_refused = true;
        self.refused.notify_one();
    }

    /// What was refused is tried again.
    pub(crate) fn retries(&self) {
        self.state().has_refused = false;
    }

    /// Waits until something was refused.
    ///
    /// # Cancel safety
    /// A refusal that it has seen is seen again after [`remind`](Self::remind).
    pub(crate) async fn refusal(&self) {
        self.refused.notified().await;
    }

    /// Makes a refusal of an earlier run be waited for again.
    pub(crate) fn remind(&self) {
        if self.state().has_refused {
            self.refused.notify_one();
        }
    }
}

impl State {
    fn remember(&mut self, ceremony_id: CeremonyId, handed_over: HandedOver) {
        if self.handed_over.len() >= MOST_REMEMBERED && !self.handed_over.contains_key(&ceremony_id)
        {
            self.handed_over.retain(|_, handed_over| matches!(handed_over, HandedOver::Open(_)));
            if self.handed_over.len() >= MOST_REMEMBERED {
                self.handed_over.clear();
            }
        }
        self.handed_over.insert(ceremony_id, handed_over);
    }
}
