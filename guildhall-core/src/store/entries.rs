//! Rows of the log as stores read them: what each has to hold, and what becomes of it. Somebody else may
//! have written them, so nothing about them is certain.

use crate::chronicle::{DecodedEntry, Entry, LeafRecord, Metadata};
use crate::cid::LeafHash;
use crate::event::{self, EventType};
use crate::ids::Position;
use crate::origin::Origin;

/// A stored row that does not hold what its column is for: the tables were damaged, or something
/// other than Guildhall wrote them. It is the source of a permanent [`StoreError`](crate::StoreError).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRow {
    /// A column of an entry holds something else.
    #[error("the entry at position {position} holds no {column}")]
    Column {
        /// The entry's position, as stored.
        position: i64,
        /// The column.
        column: &'static str,
    },
    /// A column of a row of the proof holds something else.
    #[error("a row of {table} holds no {column}")]
    Proof {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// An entry is missing.
    #[error("no entry stands at position {expected}; the next is at {found}")]
    Gap {
        /// The position without an entry.
        expected: Position,
        /// The position of the entry after it.
        found: Position,
    },
    /// The stored origin is none.
    #[error("the stored origin {found:?} cannot name a Chronicle")]
    Origin {
        /// What is stored.
        found: String,
    },
}

impl BadRow {
    /// The position that a row holds.
    ///
    /// # Errors
    /// [`BadRow::Column`]: no entry stands there.
    pub fn check_position(stored: i64) -> Result<Position, Self> {
        Position::from_i64(stored).ok_or(Self::Column { position: stored, column: "position" })
    }

    /// Checks that an entry is the one that follows `after`: positions are dense.
    ///
    /// # Errors
    /// [`BadRow::Gap`].
    pub fn check_follows(after: Position, found: Position) -> Result<(), Self> {
        match after.next() {
            Some(expected) if found == expected => Ok(()),
            expected => Err(Self::Gap { expected: expected.unwrap_or(Position::MAX), found }),
        }
    }

    /// The origin that a row holds.
    ///
    /// # Errors
    /// [`BadRow::Origin`].
    pub fn check_origin(found: String) -> Result<Origin, Self> {
        found.parse().map_err(|_| Self::Origin { found })
    }

    /// The metadata that the row of the entry at this position holds, a JSON object.
    ///
    /// # Errors
    /// [`BadRow::Column`].
    pub fn check_metadata(position: Position, text: &str) -> Result<Metadata, Self> {
        // Most have none.
        if text == "{}" {
            return Ok(Metadata::default());
        }
        let bad = |_| Self::Column { position: position.as_i64(), column: "metadata" };
        serde_json::from_str(text).map_err(bad)
    }
}

impl LeafRecord<'_> {
    /// The entry, decoded. Its payload is not copied.
    pub fn to_decoded(&self, leaf_hash: LeafHash) -> DecodedEntry {
        let event_type = EventType::new(self.event_type);
        DecodedEntry {
            position: self.position,
            event_id: self.event_id,
            stream_id: self.stream_id,
            recorded_at: self.recorded_at,
            leaf_hash,
            decoded: event::decode(&event_type, self.stream_id, self.payload),
            event_type,
        }
    }

    /// The whole entry.
    pub fn to_entry(&self, metadata: Metadata, leaf_hash: LeafHash) -> Entry {
        Entry {
            position: self.position,
            event_id: self.event_id,
            stream_id: self.stream_id,
            version: self.version,
            event_type: EventType::new(self.event_type),
            payload: self.payload.into(),
            metadata,
            recorded_at: self.recorded_at,
            leaf_hash,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn positions_are_dense_to_the_last_there_is() {
        let [one, two, four] = [1, 2, 4].map(|at| Position::try_from(at).unwrap());
        assert_eq!(BadRow::check_follows(one, two), Ok(()));
        assert_eq!(BadRow::check_follows(Position::ZERO, one), Ok(()));
        let three = two.next().unwrap();
        let gap = BadRow::Gap { expected: three, found: four };
        assert_eq!(BadRow::check_follows(two, four), Err(gap));
        for (after, found) in [(two, two), (two, one), (Position::MAX, Position::MAX)] {
            assert!(BadRow::check_follows(after, found).is_err(), "{after} {found}");
        }
    }

    #[test]
    fn what_a_column_is_not_for_is_named() {
        let bad = BadRow::check_position(-1).unwrap_err();
        assert_eq!(bad.to_string(), "the entry at position -1 holds no position");
        let at = Position::try_from(7).unwrap();
        for text in ["", "{\"correlationid\":1}", "null"] {
            let bad = BadRow::check_metadata(at, text).unwrap_err();
            assert_eq!(bad.to_string(), "the entry at position 7 holds no metadata", "{text}");
        }
        assert_eq!(BadRow::check_metadata(at, "{}"), Ok(Metadata::default()));
        assert!(BadRow::check_origin("\n".to_owned()).is_err());
    }
}
