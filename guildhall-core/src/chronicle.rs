//! The Chronicle: the append-only, totally ordered log of entries (DESIGN section 5).

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::cid::LeafHash;
use crate::error::StoreError;
use crate::ids::{EventId, Position, StreamId, Version};
use crate::json::JsonError;
use crate::time::Timestamp;

mod entry;
mod leaf;

pub use self::entry::{DecodedEntry, Entry, Metadata, NewEntry, Unchecked};
pub use self::leaf::LeafRecord;
pub use crate::origin::{Origin, OriginError};

/// What a stream must look like for an append to go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Anything.
    Any,
    /// No entry yet.
    NoStream,
    /// Exactly this many entries.
    Version(Version),
}

impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("any version"),
            Self::NoStream => formatter.write_str("no entry"),
            Self::Version(version) => write!(formatter, "version {version}"),
        }
    }
}

/// Where an entry stands: in the Chronicle and in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its position.
    pub position: Position,
    /// Its version in its stream.
    pub version: Version,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "position {}, version {} of its stream", self.position, self.version)
    }
}

/// Entries to record together: all of them or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "nothing is recorded until a `Chronicle` appends it"]
pub struct Append {
    /// The entries, in order.
    pub entries: Vec<NewEntry>,
    /// What streams must look like before; a stream that is not named may look any way.
    pub expected: Vec<(StreamId, Expected)>,
    /// Where entries must come to stand, or stand already; one that is not named may stand anywhere.
    pub places: Vec<(EventId, Place)>,
}

impl Append {
    /// These entries, whatever the streams look like.
    pub fn of(entries: impl IntoIterator<Item = NewEntry>) -> Self {
        Self { entries: entries.into_iter().collect(), ..Self::default() }
    }

    /// The same, only if `stream` looks as expected.
    pub fn expecting(mut self, stream: impl Into<StreamId>, expected: Expected) -> Self {
        self.expected.push((stream.into(), expected));
        self
    }

    /// The same, only if the entry of this id gets this place, or has it.
    pub fn placing(mut self, event_id: EventId, place: Place) -> Self {
        self.places.push((event_id, place));
        self
    }
}

/// Where an appended entry stands, from now on or since it was first appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its position.
    pub position: Position,
    /// Its version in its stream.
    pub version: Version,
    /// Whether it was recorded before, so that this append took no new position for it.
    pub was_recorded: bool,
    /// What the entry recorded before has other than this one, of what does not make it another
    /// event: "time", where the append gave one, or "metadata". What was recorded stays.
    pub differs: Option<&'static str>,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The stream does not look as expected: read it again and decide anew.
    #[error("stream {stream} is at version {found}, expected {expected}")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// What the append expected.
        expected: Expected,
        /// The stream's version.
        found: Version,
    },
    /// The event id is taken by another event: give the new one an id of its own.
    #[error("event id {event_id} was recorded at position {position} with another {differs}")]
    IdReused {
        /// The id.
        event_id: EventId,
        /// Where the event that has it stands; where it will stand, if it is in the same append.
        position: Position,
        /// What differs: "type", "stream" or "data".
        differs: &'static str,
    },
    /// An entry would not stand where it must, or does not stand there.
    #[error("event {event_id} belongs at {expected}, and its place here is {found}")]
    Misplaced {
        /// Its event id.
        event_id: EventId,
        /// The place that it would get, or has.
        found: Place,
        /// The place that it must have.
        expected: Place,
    },
    /// A payload is too long.
    #[error("the payload of event {event_id} has {found_bytes} bytes, the limit is {limit_bytes}")]
    PayloadTooLong {
        /// Its event id.
        event_id: EventId,
        /// How long it is.
        found_bytes: usize,
        /// How long it may be.
        limit_bytes: usize,
    },
    /// A payload holds what cannot be kept, such as U+0000 in a text.
    #[error("the payload of event {event_id} cannot be kept: {reason}")]
    BadPayload {
        /// Its event id.
        event_id: EventId,
        /// What is wrong with it.
        reason: JsonError,
    },
    /// A metadata attribute is empty, too long or holds U+0000.
    #[error(
        "the {attribute} of event {event_id} is empty, longer than 1,024 bytes or holds U+0000"
    )]
    BadMetadata {
        /// Its event id.
        event_id: EventId,
        /// Which attribute.
        attribute: &'static str,
    },
    /// The event type is empty, longer than 255 bytes or holds a control character.
    #[error(
        "the type of event {event_id} is empty, longer than 255 bytes or holds a control character"
    )]
    BadType {
        /// Its event id.
        event_id: EventId,
    },
    /// The Chronicle, or the stream, has as many entries as it can, or nearly: 2^53 - 1. Go on in a
    /// new one.
    #[error(
        "the Chronicle is at position {head} and stream {stream} at version {version}: the entries \
         do not fit below 2^53"
    )]
    Full {
        /// The last position.
        head: Position,
        /// The stream of the entry that is refused.
        stream: StreamId,
        /// Its last version.
        version: Version,
    },
    /// The store failed. Whether the entries are recorded is unknown; the same append, with the
    /// same event ids, tells.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where the Chronicle ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The last position; [`Position::ZERO`] where there is no entry.
    pub position: Position,
    /// The leaf hash of the last entry; none where there is none.
    pub leaf_hash: Option<LeafHash>,
}

/// Upper bound on one read. It returns at least one entry where there is one, however long that
/// is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// How many entries.
    pub entries: usize,
    /// How many bytes of payload.
    pub bytes: usize,
}

impl ReadLimit {
    /// So many entries, and 16 MiB.
    pub const fn entries(entries: usize) -> Self {
        Self { entries, bytes: 16 << 20 }
    }

    /// Whether a read that has this much must stop before an entry of `next_bytes`.
    pub const fn is_reached(&self, entries: usize, bytes: usize, next_bytes: usize) -> bool {
        entries > 0 && (entries >= self.entries || bytes.saturating_add(next_bytes) > self.bytes)
    }
}

/// The append-only, totally ordered log.
///
/// Order is dense: positions are 1, 2, 3 … with no gap, and a reader that has seen position *n*
/// has seen everything up to *n*, also under concurrent writers.
///
/// In a store that others can write to, whatever returns entries checks the leaf hash of each, and what
/// a handle has acknowledged or read must still be there: otherwise the error carries a [`LogFault`](crate::LogFault).
///
/// # Cancel safety
/// Dropping a read or a wait changes nothing. Dropping an append leaves open whether it was
/// recorded; the same append again, with the same event ids, tells.
#[async_trait]
pub trait Chronicle: Send + Sync {
    /// The Chronicle's origin; none while it has no entry and none was fixed.
    ///
    /// # Errors
    /// The store's own.
    async fn origin(&self) -> Result<Option<Origin>, StoreError>;

    /// Fixes the origin if none is fixed yet, and returns the one that holds.
    ///
    /// # Errors
    /// The store's own.
    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError>;

    /// Records all of the entries or none. Returned means durable: the entries survive a power
    /// cut. An event id seen before with the same type, stream and data is answered with its first
    /// position; an append of which every event was seen before does not check what it expects.
    /// Where no origin is fixed yet, [`Origin::unique`] becomes it.
    ///
    /// # Errors
    /// [`AppendError`]; nothing is recorded then.
    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError>;

    /// The entries after a position, in order, without a gap.
    ///
    /// # Errors
    /// The store's own.
    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError>;

    /// The same entries, decoded, as a projector takes them. Decoding costs about a microsecond an
    /// entry; by default the caller's thread does it, so a store whose reads take place elsewhere
    /// decodes there, from what it reads and without a copy.
    ///
    /// # Errors
    /// The store's own.
    async fn read_decoded(
        &self,
        after: Position,
        limit: ReadLimit,
    ) -> Result<Vec<DecodedEntry>, StoreError> {
        Ok(self.read(after, limit).await?.into_iter().map(DecodedEntry::from).collect())
    }

    /// What stands after a position, in order and unchecked, so that whoever looks for what was changed
    /// can go on behind it. Positions may be left out. By default it is what [`read`](Self::read) returns,
    /// which will do where nobody else can write.
    ///
    /// # Errors
    /// The store's own.
    async fn read_unchecked(
        &self,
        after: Position,
        limit: ReadLimit,
    ) -> Result<Vec<Unchecked>, StoreError> {
        Ok(self.read(after, limit).await?.into_iter().map(Unchecked::Entry).collect())
    }

    /// The entries of one stream after a version, in order.
    ///
    /// # Errors
    /// The store's own.
    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Where the log ends.
    ///
    /// # Errors
    /// The store's own.
    async fn head(&self) -> Result<Head, StoreError>;

    /// Waits until the log reaches beyond `position`, woken by a commit of this process or another,
    /// and returns how far it reaches; after `patience` it returns all the same.
    ///
    /// # Errors
    /// The store's own.
    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError>;

    /// When the entry at a position was recorded, which is the time of a moment that a position is;
    /// before the first entry, when that one was. Nothing where the log has no entry there.
    ///
    /// # Errors
    /// The store's own.
    async fn time_at(&self, position: Position) -> Result<Option<Timestamp>, StoreError> {
        let read = self.read(position.previous(), ReadLimit::entries(1)).await?;
        Ok(read.first().map(|entry| entry.recorded_at))
    }

    /// How far the log went at a time: the last entry that had been recorded by then. It is found by
    /// halving, a read of one entry for each doubling of the log. Where the recorded times do not
    /// always grow (a clock was set back, a log was imported), it is an entry that was recorded by
    /// then and is not followed by another such one.
    ///
    /// # Errors
    /// The store's own.
    async fn position_at(&self, at: Timestamp) -> Result<Position, StoreError> {
        let (mut by_then, mut end) = (Position::ZERO, self.head().await?.position);
        while by_then < end {
            // The entry after `middle` is the one that is looked at.
            let middle = end.saturating_sub((end.get() - by_then.get()).div_ceil(2));
            let read = self.read(middle, ReadLimit::entries(1)).await?;
            match read.first() {
                Some(entry) if entry.recorded_at <= at => by_then = entry.position,
                Some(_) | None => end = middle,
            }
        }
        Ok(by_then)
    }
}
