//! What an append means, for every store: idempotence, expected versions, positions, leaf hashes.
//!
//! A store loads what [`AppendState`] has to know, asks it to [`admit`](AppendState::admit) each
//! append of a group, writes the admitted entries and commits. It decides nothing itself.

use std::collections::HashMap;

use crate::chronicle::{
    Append, AppendError, Appended, Entry, Expected, Metadata, NewEntry, Origin, Place,
};
use crate::cid::LeafHash;
use crate::event::EventType;
use crate::ids::{EventId, Position, StreamId, Version};
use crate::json::check_canonical;
use crate::time::Timestamp;

/// An event id that is taken: by what, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Where the entry stands.
    pub position: Position,
    /// Where it stands in its stream.
    pub version: Version,
    /// Its type.
    pub event_type: EventType,
    /// Its stream.
    pub stream_id: StreamId,
    /// Its payload.
    pub payload: Box<str>,
    /// What caused it.
    pub metadata: Metadata,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

impl From<&Entry> for Recorded {
    fn from(entry: &Entry) -> Self {
        Self {
            position: entry.position,
            version: entry.version,
            event_type: entry.event_type.clone(),
            stream_id: entry.stream_id,
            payload: entry.payload.clone(),
            metadata: entry.metadata.clone(),
            recorded_at: entry.recorded_at,
        }
    }
}

/// What a group of appends is judged against: the end of the log, the versions of the streams that
/// the group names, and the entries that have its event ids already.
#[derive(Debug, Clone)]
pub struct AppendState {
    origin: Origin,
    head: Position,
    payload_limit_bytes: usize,
    versions: HashMap<StreamId, Version>,
    recorded: HashMap<EventId, Recorded>,
}

/// The outcome of one append: what to write and what to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The new entries, complete, in order of position.
    pub entries: Vec<Entry>,
    /// The answer for each entry of the append, in its order.
    pub answers: Vec<Appended>,
}

impl AppendState {
    /// The state of a log that ends at `head`.
    pub fn new(origin: Origin, head: Position, payload_limit_bytes: usize) -> Self {
        Self {
            origin,
            head,
            payload_limit_bytes,
            versions: HashMap::new(),
            recorded: HashMap::new(),
        }
    }

    /// The streams that an append names.
    pub fn streams(append: &Append) -> impl Iterator<Item = StreamId> {
        let named = append.expected.iter().map(|(stream, _)| *stream);
        named.chain(append.entries.iter().map(|entry| entry.stream_id))
    }

    /// States the version of a stream. One that is not stated is taken to be empty.
    pub fn know_version(&mut self, stream: StreamId, version: Version) {
        self.versions.insert(stream, version);
    }

    /// States the entry that has an event id. An id that is not stated is taken to be free.
    pub fn know_recorded(&mut self, event_id: EventId, recorded: Recorded) {
        self.recorded.insert(event_id, recorded);
    }

    /// Whether the version of a stream was stated.
    pub fn knows_version(&self, stream: StreamId) -> bool {
        self.versions.contains_key(&stream)
    }

    /// Where the log ends, with everything admitted so far.
    pub fn head(&self) -> Position {
        self.head
    }

    /// Judges one append, after those admitted before it. An append that is refused leaves the
    /// state as it was.
    ///
    /// # Errors
    /// Any [`AppendError`] but [`AppendError::Store`].
    pub fn admit(&mut self, append: Append, now: Timestamp) -> Result<Admitted, AppendError> {
        let mut fresh = Vec::new();
        let mut within: HashMap<EventId, usize> = HashMap::new();
        // Where each entry of the append stands: recorded before, or the n-th fresh one.
        let mut places = Vec::with_capacity(append.entries.len());
        for entry in append.entries {
            self.check_form(&entry)?;
            if let Some(recorded) = self.recorded.get(&entry.event_id) {
                let known = (&recorded.event_type, recorded.stream_id, &*recorded.payload);
                refuse_reuse(&entry, known, recorded.position)?;
                places.push(Err(Appended {
                    position: recorded.position,
                    version: recorded.version,
                    was_recorded: true,
                    differs: differs(&entry, Some(recorded.recorded_at), &recorded.metadata),
                }));
            } else if let Some(&nth) = within.get(&entry.event_id) {
                let first: &NewEntry = &fresh[nth];
                let known = (&first.event_type, first.stream_id, first.payload.as_str());
                // Beyond the last position there is, none of them is appended.
                let position = self.head.checked_add(nth as u64 + 1).unwrap_or(Position::MAX);
                refuse_reuse(&entry, known, position)?;
                let differs = differs(&entry, first.recorded_at, &first.metadata);
                places.push(Ok((nth, true, differs)));
            } else {
                within.insert(entry.event_id, fresh.len());
                places.push(Ok((fresh.len(), false, None)));
                fresh.push(entry);
            }
        }
        if !fresh.is_empty() || places.is_empty() {
            self.check_expected(&append.expected)?;
        }
        let coming = self.places_of(&fresh)?;
        self.check_places(&append.places, &fresh, &coming)?;
        let entries = fresh.into_iter().zip(coming);
        let entries = entries.map(|(entry, place)| self.record(entry, place, now));
        let entries: Vec<Entry> = entries.collect();
        let answers = places.into_iter().map(|place| match place {
            Err(recorded) => recorded,
            Ok((nth, was_recorded, differs)) => Appended {
                position: entries[nth].position,
                version: entries[nth].version,
                was_recorded,
                differs,
            },
        });
        Ok(Admitted { answers: answers.collect(), entries })
    }

    fn check_form(&self, entry: &NewEntry) -> Result<(), AppendError> {
        let event_id = entry.event_id;
        let (found_bytes, limit_bytes) = (entry.payload.as_str().len(), self.payload_limit_bytes);
        if found_bytes > limit_bytes {
            return Err(AppendError::PayloadTooLong { event_id, found_bytes, limit_bytes });
        }
        check_canonical(entry.payload.as_str())
            .map_err(|reason| AppendError::BadPayload { event_id, reason })?;
        let name = entry.event_type.as_str();
        if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
            return Err(AppendError::BadType { event_id });
        }
        for (attribute, value) in entry.metadata.attributes() {
            // A CloudEvents attribute is never empty.
            let is_bad = |text: &String| {
                text.is_empty() || text.len() > Metadata::MAX_ATTRIBUTE_BYTES || text.contains('\0')
            };
            if value.is_some_and(is_bad) {
                return Err(AppendError::BadMetadata { event_id, attribute });
            }
        }
        Ok(())
    }

    fn version(&self, stream: StreamId) -> Version {
        self.versions.get(&stream).copied().unwrap_or(Version::ZERO)
    }

    fn check_expected(&self, expected: &[(StreamId, Expected)]) -> Result<(), AppendError> {
        for &(stream, expected) in expected {
            let found = self.version(stream);
            let holds = match expected {
                Expected::Any => true,
                Expected::NoStream => found == Version::ZERO,
                Expected::Version(version) => found == version,
            };
            if !holds {
                return Err(AppendError::Conflict { stream, expected, found });
            }
        }
        Ok(())
    }

    /// Where the fresh entries are to stand. Positions and versions end at 2^53 - 1, and an append that
    /// does not fit as a whole is refused as a whole.
    fn places_of(&self, fresh: &[NewEntry]) -> Result<Vec<Place>, AppendError> {
        let mut versions = HashMap::new();
        let mut position = self.head;
        let place = |NewEntry { stream_id, .. }: &NewEntry| {
            let full = || self.full(*stream_id);
            position = position.next().ok_or_else(full)?;
            let version = versions.entry(*stream_id).or_insert_with(|| self.version(*stream_id));
            *version = version.next().ok_or_else(full)?;
            Ok(Place { position, version: *version })
        };
        fresh.iter().map(place).collect()
    }

    fn full(&self, stream: StreamId) -> AppendError {
        AppendError::Full { head: self.head, stream, version: self.version(stream) }
    }

    fn check_places(
        &self,
        places: &[(EventId, Place)],
        fresh: &[NewEntry],
        coming: &[Place],
    ) -> Result<(), AppendError> {
        if places.is_empty() {
            return Ok(());
        }
        let ids = fresh.iter().map(|entry| entry.event_id);
        let coming: HashMap<EventId, Place> = ids.zip(coming.iter().copied()).collect();
        for &(event_id, expected) in places {
            let here =
                |known: &Recorded| Place { position: known.position, version: known.version };
            let coming = coming.get(&event_id).copied();
            match coming.or_else(|| self.recorded.get(&event_id).map(here)) {
                Some(found) if found != expected => {
                    return Err(AppendError::Misplaced { event_id, found, expected });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn record(&mut self, new: NewEntry, place: Place, now: Timestamp) -> Entry {
        let Place { position, version } = place;
        self.head = position;
        self.versions.insert(new.stream_id, version);
        let mut entry = Entry {
            position,
            event_id: new.event_id,
            stream_id: new.stream_id,
            version,
            event_type: new.event_type,
            payload: new.payload.into_string().into(),
            metadata: new.metadata,
            recorded_at: new.recorded_at.unwrap_or(now),
            leaf_hash: LeafHash::from_bytes([0; 32]),
        };
        entry.leaf_hash = entry.compute_leaf_hash(&self.origin);
        self.recorded.insert(entry.event_id, Recorded::from(&entry));
        entry
    }
}

/// What an event recorded before has other than `entry`, of what does not make it another event. An
/// entry that leaves its time to the store has no other one.
fn differs(
    entry: &NewEntry,
    recorded_at: Option<Timestamp>,
    metadata: &Metadata,
) -> Option<&'static str> {
    if entry.recorded_at.is_some() && entry.recorded_at != recorded_at {
        Some("time")
    } else if entry.metadata != *metadata {
        Some("metadata")
    } else {
        None
    }
}

fn refuse_reuse(
    entry: &NewEntry,
    (event_type, stream_id, payload): (&EventType, StreamId, &str),
    position: Position,
) -> Result<(), AppendError> {
    let differs = if *event_type != entry.event_type {
        "type"
    } else if stream_id != entry.stream_id {
        "stream"
    } else if payload != entry.payload.as_str() {
        "data"
    } else {
        return Ok(());
    };
    Err(AppendError::IdReused { event_id: entry.event_id, position, differs })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::event::{AccordBound, Event};
    use crate::ids::AccordId;
    use crate::json::{Json, MAX_DEPTH, MAX_PAYLOAD_BYTES};

    fn accord(bound_by: &str, accord_terms: &str) -> NewEntry {
        let accord_terms = Json::parse(accord_terms).unwrap();
        let (accord_id, bound_by) = (AccordId::new(), bound_by.to_owned());
        let (effective_at, name) = (Timestamp::MIN, "terms".to_owned());
        let event = AccordBound { accord_id, accord_terms, bound_by, effective_at, name };
        NewEntry::new(&Event::from(event))
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        let mut state = AppendState::new(Origin::unique(), Position::ZERO, MAX_PAYLOAD_BYTES);
        let too_deep = "{\"a\":".repeat(MAX_DEPTH) + "1" + &"}".repeat(MAX_DEPTH);
        for entry in [accord("a\0b", "{}"), accord("\u{ffff}", "{}"), accord("ada", &too_deep)] {
            let refused = state.admit(Append::of([entry]), Timestamp::MIN).unwrap_err();
            assert!(matches!(refused, AppendError::BadPayload { .. }), "{refused}");
        }
        assert_eq!(state.head(), Position::ZERO);
        assert!(state.admit(Append::of([accord("ada", "{}")]), Timestamp::MIN).is_ok());
    }

    #[test]
    fn no_position_and_no_version_goes_beyond_the_last_there_is() {
        let last_but_one = Position::MAX.previous();
        let mut state = AppendState::new(Origin::unique(), last_but_one, MAX_PAYLOAD_BYTES);
        let (first, second) = (accord("ada", "{}"), accord("ada", "{}"));
        let both = Append::of([first.clone(), second.clone()]);
        let refused = state.admit(both, Timestamp::MIN).unwrap_err();
        assert!(matches!(refused, AppendError::Full { .. }), "{refused}");
        let admitted = state.admit(Append::of([first]), Timestamp::MIN).unwrap();
        assert_eq!(admitted.entries[0].position, Position::MAX);
        let refused = state.admit(Append::of([second.clone()]), Timestamp::MIN).unwrap_err();
        assert!(matches!(refused, AppendError::Full { head: Position::MAX, .. }), "{refused}");

        let mut state = AppendState::new(Origin::unique(), Position::ZERO, MAX_PAYLOAD_BYTES);
        state.know_version(second.stream_id, Version::MAX);
        let refused = state.admit(Append::of([second]), Timestamp::MIN).unwrap_err();
        assert!(matches!(refused, AppendError::Full { version: Version::MAX, .. }), "{refused}");
        assert_eq!(state.head(), Position::ZERO);
    }
}
