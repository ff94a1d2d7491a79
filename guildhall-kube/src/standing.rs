//! How the scopes of a watcher are doing, so that its feed says how all of them are.

use std::sync::{Mutex, MutexGuard, PoisonError};

use guildhall_projector::ceremony::Intake;

use crate::error::WatchError;

/// How one scope is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Connects,
    Listens,
    Fails,
}

/// All of them. The feed listens once each does, and says what fails as soon as one does.
#[derive(Debug)]
pub(crate) struct Standing<'i> {
    scopes: Mutex<Vec<Scope>>,
    intake: &'i Intake,
}

impl<'i> Standing<'i> {
    /// So many, of which none listens yet.
    pub(crate) fn new(scopes: usize, intake: &'i Intake) -> Self {
        Self { scopes: Mutex::new(vec![Scope::Connects; scopes]), intake }
    }

    /// One of them tries to.
    pub(crate) fn connects(&self, nth: usize) {
        let scopes = self.set(nth, Scope::Connects);
        if !scopes.contains(&Scope::Fails) {
            self.intake.connecting();
        }
    }

    /// One of them does.
    pub(crate) fn listens(&self, nth: usize) {
        let scopes = self.set(nth, Scope::Listens);
        if scopes.iter().all(|scope| *scope == Scope::Listens) {
            self.intake.listening();
        }
    }

    /// One of them fails. Answers whether all of them do.
    pub(crate) fn fails(&self, nth: usize, error: &WatchError) -> bool {
        let scopes = self.set(nth, Scope::Fails);
        let do_all = scopes.iter().all(|scope| *scope == Scope::Fails);
        if !do_all {
            self.intake.failing(error);
        }
        do_all
    }

    fn set(&self, nth: usize, is: Scope) -> MutexGuard<'_, Vec<Scope>> {
        // It is whole between any two operations.
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scope) = scopes.get_mut(nth) {
            *scope = is;
        }
        scopes
    }
}
