//! What a handle has acknowledged or read, so that a log that went back is noticed.

use std::sync::{Mutex, PoisonError};

use crate::cid::LeafHash;
use crate::error::LogFault;
use crate::ids::Position;
use crate::origin::Origin;

/// An entry that was acknowledged or read: a log that no longer has it is not the same log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Where it stands.
    pub position: Position,
    /// Its leaf hash.
    pub leaf_hash: LeafHash,
}

impl Mark {
    /// Compares with what the log, which now ends at `head`, has at the mark's position.
    ///
    /// # Errors
    /// [`LogFault::WentBack`] where it has nothing there, [`LogFault::Rewritten`] where it has
    /// another entry.
    pub fn check(&self, found: Option<LeafHash>, head: Position) -> Result<(), LogFault> {
        let Self { position, leaf_hash: expected } = *self;
        match found {
            None => Err(LogFault::WentBack { seen: position, head }),
            Some(found) if found != expected => {
                Err(LogFault::Rewritten { position, found, expected })
            }
            Some(_) => Ok(()),
        }
    }
}

/// The furthest entry that the handles of one store have acknowledged or read, and the Chronicle's
/// name. A store takes the mark *before* it asks the database, and compares what it finds.
#[derive(Debug, Default)]
pub struct Seen(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    mark: Option<Mark>,
    origin: Option<Origin>,
}

impl Seen {
    /// Takes in an entry that was acknowledged or read.
    pub fn note(&self, position: Position, leaf_hash: LeafHash) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.mark.is_none_or(|mark| mark.position < position) {
            known.mark = Some(Mark { position, leaf_hash });
        }
    }

    /// The furthest entry; none where none was seen yet.
    pub fn mark(&self) -> Option<Mark> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).mark
    }

    /// Takes in the Chronicle's name, which never changes.
    ///
    /// # Errors
    /// [`LogFault::OriginChanged`].
    pub fn check_origin(&self, found: &Origin) -> Result<(), LogFault> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &known.origin {
            Some(expected) if expected != found => {
                Err(LogFault::OriginChanged { found: found.clone(), expected: expected.clone() })
            }
            Some(_) => Ok(()),
            None => {
                known.origin = Some(found.clone());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(byte: u8) -> LeafHash {
        LeafHash::from_bytes([byte; 32])
    }

    #[test]
    fn the_furthest_entry_is_what_counts() {
        let seen = Seen::default();
        assert_eq!(seen.mark(), None);
        seen.note(Position::new(7), leaf(7));
        seen.note(Position::new(3), leaf(3));
        assert_eq!(seen.mark(), Some(Mark { position: Position::new(7), leaf_hash: leaf(7) }));
    }

    #[test]
    fn a_log_without_what_was_seen_went_back_and_one_with_another_entry_was_rewritten() {
        let mark = Mark { position: Position::new(7), leaf_hash: leaf(7) };
        assert_eq!(mark.check(Some(leaf(7)), Position::new(9)), Ok(()));
        let head = Position::new(5);
        let went_back = LogFault::WentBack { seen: Position::new(7), head };
        assert_eq!(mark.check(None, head), Err(went_back));
        let (found, expected) = (leaf(8), leaf(7));
        let rewritten = LogFault::Rewritten { position: Position::new(7), found, expected };
        assert_eq!(mark.check(Some(found), Position::new(9)), Err(rewritten));
    }

    #[test]
    fn another_name_is_another_chronicle() {
        let seen = Seen::default();
        let (one, other) = (Origin::unique(), Origin::unique());
        assert_eq!(seen.check_origin(&one), Ok(()));
        assert_eq!(seen.check_origin(&one), Ok(()));
        let changed = LogFault::OriginChanged { found: other.clone(), expected: one };
        assert_eq!(seen.check_origin(&other), Err(changed));
    }
}
