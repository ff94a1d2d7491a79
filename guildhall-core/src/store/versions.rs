//! The versions of streams, which an appender keeps from one group to the next.

use std::collections::HashMap;

use super::append::AppendState;
use crate::chronicle::{Append, Entry};
use crate::ids::{Position, StreamId, Version};

/// What is known of the versions of streams: valid for as long as the log ends at [`head`](Self::head),
/// which the appender checks in the same transaction. It spares a look-up for each stream that has
/// entries again and again.
#[derive(Debug, Clone)]
pub struct Versions {
    head: Position,
    known: HashMap<StreamId, Version>,
}

impl Versions {
    /// How many are kept; some 4 MiB.
    const MAX_STREAMS: usize = 1 << 16;

    /// None yet, of a log that ends at `head`.
    pub fn at(head: Position) -> Self {
        Self { head, known: HashMap::new() }
    }

    /// These, if the log ends at `head` still; none where somebody else appended.
    #[must_use]
    pub fn still_at(self, head: Position) -> Self {
        if self.head == head { self } else { Self::at(head) }
    }

    /// Where the log ends.
    pub fn head(&self) -> Position {
        self.head
    }

    /// The version of a stream, if it is known.
    pub fn get(&self, stream: StreamId) -> Option<Version> {
        self.known.get(&stream).copied()
    }

    /// Whether those of every stream that an append names are known.
    pub fn covers(&self, append: &Append) -> bool {
        AppendState::streams(append).all(|stream| self.known.contains_key(&stream))
    }

    /// Takes in what was looked up. Where that would be too many, all the others are forgotten.
    pub fn learn(&mut self, versions: impl ExactSizeIterator<Item = (StreamId, Version)>) {
        self.make_room(versions.len());
        self.known.extend(versions);
    }

    /// Takes in what was appended.
    pub fn extend(&mut self, entries: &[Entry]) {
        self.make_room(entries.len());
        for entry in entries {
            self.head = entry.position;
            self.known.insert(entry.stream_id, entry.version);
        }
    }

    fn make_room(&mut self, streams: usize) {
        if self.known.len() + streams > Self::MAX_STREAMS {
            self.known.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::ids::ArtifactId;

    #[test]
    fn what_is_known_holds_until_somebody_else_appends() {
        let stream = StreamId::from(ArtifactId::new());
        let mut versions = Versions::at(Position::new(7));
        versions.learn([(stream, Version::new(3))].into_iter());
        let versions = versions.still_at(Position::new(7));
        assert_eq!(versions.get(stream), Some(Version::new(3)));
        assert_eq!(versions.still_at(Position::new(8)).get(stream), None);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let some = |count: usize| {
            let streams = (0..count).map(|_| (StreamId::from(ArtifactId::new()), Version::new(1)));
            streams.collect::<Vec<_>>()
        };
        let mut versions = Versions::at(Position::ZERO);
        versions.learn(some(Versions::MAX_STREAMS).into_iter());
        assert_eq!(versions.known.len(), Versions::MAX_STREAMS);
        let last = some(1);
        versions.learn(last.clone().into_iter());
        assert_eq!(versions.known.len(), 1);
        assert!(versions.get(last[0].0).is_some());
    }
}
