//! What became of an entry in the Ops DB, for the read models beside it.

use crate::chronicle::DecodedEntry;
use crate::event::{Decoded, Event};
use crate::ops::QuarantinedEntry;

/// What became of an entry in the Ops DB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'b> {
    /// It breaks no invariant, and the tables show what it changes.
    Applied,
    /// It breaks an invariant, which its row of `quarantined_entries` names, and changed nothing.
    Quarantined(&'b QuarantinedEntry),
}

/// An entry, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judged<'b> {
    /// The entry.
    pub entry: &'b DecodedEntry,
    /// What became of it.
    pub verdict: Verdict<'b>,
}

impl<'b> Judged<'b> {
    /// The event, if it was applied: of a type that this version knows, and not in quarantine.
    pub fn event(&self) -> Option<&'b Event> {
        match (self.verdict, &self.entry.decoded) {
            (Verdict::Applied, Ok(Decoded::Event(event))) => Some(event),
            _ => None,
        }
    }
}
