//! Entries as CloudEvents 1.0 JSON, one a line (DESIGN section 3; CloudEvents JSON format 1.0.2).
//!
//! Three attributes of an exported line are Guildhall's own: `position`, `version` and `leafhash`
//! (64 hex digits), the entry's place and leaf hash in the Chronicle that `source` names. An import
//! holds a line of its own Chronicle to them ([`jsonl`](crate::jsonl)); of any other it ignores
//! them. A line may lack all three, or `leafhash` alone.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::decode::decode_canonical;
use super::kind::EventType;
use crate::chronicle::LeafRecord;
use crate::chronicle::{Entry, Metadata, NewEntry, Origin, Place};
use crate::cid::LeafHash;
use crate::ids::{EventId, Position, StreamId, Version};
use crate::invariant::Violation;
use crate::json::{self, Json, JsonError, Key, MAX_DEPTH, Reader, Scalar};
use crate::time::Timestamp;

/// A line that was read: what it asks to append, and the Chronicle that it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The `source` attribute.
    pub source: String,
    /// The rest. Its `recorded_at` is the line's `time`.
    pub entry: NewEntry,
    /// What it says of its place in that Chronicle; what is wrong with that matters only to this
    /// Chronicle itself.
    pub stated: Result<Option<Stated>, LineError>,
}

/// What an exported line says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// The `position` and `version` attributes.
    pub place: Place,
    /// The `leafhash` attribute.
    pub leaf_hash: Option<LeafHash>,
}

impl Line {
    /// The place that the line states in the Chronicle `origin`, if it states one and comes from
    /// there.
    ///
    /// # Errors
    /// What the line says of itself is not so ([`LineError::Altered`]) or not of its form.
    pub fn check(&self, origin: &Origin) -> Result<Option<Place>, LineError> {
        if self.source != origin.as_str() {
            return Ok(None);
        }
        let Some(Stated { place, leaf_hash }) = self.stated.clone()? else { return Ok(None) };
        if let (Some(found), Some(recorded_at)) = (leaf_hash, self.entry.recorded_at) {
            let record = LeafRecord {
                position: place.position,
                event_id: self.entry.event_id,
                stream_id: self.entry.stream_id,
                version: place.version,
                event_type: self.entry.event_type.as_str(),
                payload: self.entry.payload.as_str(),
                recorded_at,
            };
            let expected = record.hash(origin);
            if found != expected {
                return Err(LineError::Altered { found, expected });
            }
        }
        Ok(Some(place))
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// It is longer than the limit.
    #[error("longer than {limit_bytes} bytes")]
    TooLong {
        /// How long a line may be.
        limit_bytes: usize,
    },
    /// It is not UTF-8.
    #[error("not UTF-8 after byte {valid_bytes}")]
    NotUtf8 {
        /// How many bytes are.
        valid_bytes: usize,
    },
    /// It begins with U+FEFF, which JSON has no place for.
    #[error("begins with a byte order mark; save the file as UTF-8 without one")]
    ByteOrderMark,
    /// It is not I-JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It is JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// An attribute that every line has is not there.
    #[error("the attribute {name:?} is missing")]
    Missing {
        /// The attribute.
        name: &'static str,
    },
    /// An attribute has a value that it cannot have.
    #[error("the attribute {name:?} is wrong: {reason}")]
    Wrong {
        /// The attribute.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The line is not what was exported: one of its fields was changed, or its `leafhash`.
    #[error(
        "the attribute \"leafhash\" is {found}, and the line's fields hash to {expected}: it is \
         not as it was exported"
    )]
    Altered {
        /// What the line says.
        found: LeafHash,
        /// What its fields hash to.
        expected: LeafHash,
    },
    /// The line does not follow the one before it: lines are missing, doubled or exchanged.
    #[error(
        "the attribute \"position\" is {found}, and {expected} follows here: lines are missing, \
         doubled or exchanged"
    )]
    OutOfOrder {
        /// What the line says.
        found: Position,
        /// The position after that of the line before, from the same Chronicle.
        expected: Position,
    },
    /// The data of a known type does not decode, or names another stream than `subject`.
    #[error("{0}")]
    Data(Violation),
}

/// Reads one line.
///
/// Attributes that Guildhall does not know are ignored. Fields of `data` that it does not know are kept.
///
/// # Errors
/// [`LineError`], the first thing that is wrong.
pub fn parse(text: &str) -> Result<Line, LineError> {
    if text.starts_with('\u{feff}') {
        return Err(LineError::ByteOrderMark);
    }
    // `data` may nest as deep as a payload may, and stands one level down.
    let mut reader = Reader::new(text, MAX_DEPTH + 1);
    if !reader.is_object() {
        reader.skip_all()?;
        return Err(LineError::NotAnObject);
    }
    let mut line = Attributes::read(reader)?;
    line.exactly("specversion", "1.0")?;
    let event_id: EventId = line.parsed("id")?;
    let source = line.required("source")?;
    let event_type = line.required("type")?;
    let stream_id: StreamId = line.parsed("subject")?;
    let time = line.required("time")?;
    let recorded_at = Timestamp::from_rfc3339(&time).map_err(|error| wrong("time", error))?;
    if line.has("datacontenttype") {
        line.exactly("datacontenttype", "application/json")?;
    }
    let metadata = Metadata {
        causation_id: line.text("causationid")?.map(Cow::into_owned),
        correlation_id: line.text("correlationid")?.map(Cow::into_owned),
        traceparent: line.text("traceparent")?.map(Cow::into_owned),
    };
    let payload = line.data.take().ok_or(LineError::Missing { name: "data" })?;
    let event_type = EventType::new(&event_type);
    decode_canonical(&event_type, stream_id, payload.as_str()).map_err(LineError::Data)?;
    let entry = NewEntry {
        event_id,
        stream_id,
        event_type,
        payload,
        metadata,
        recorded_at: Some(recorded_at),
    };
    let stated = line.stated();
    Ok(Line { source: source.into_owned(), entry, stated })
}

/// The attributes that are looked at, but for `data`.
const NAMES: [&str; 13] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "causationid",
    "correlationid",
    "traceparent",
    "position",
    "version",
    "leafhash",
];

/// The members of a line, by their places in [`NAMES`].
#[derive(Default)]
struct Attributes<'t> {
    values: [Option<Scalar<'t>>; NAMES.len()],
    data: Option<Json>,
}

impl<'t> Attributes<'t> {
    fn read(reader: Reader<'t>) -> Result<Self, JsonError> {
        let mut line = Self::default();
        reader.each_member(|reader, name| {
            let once = |is_first: bool| {
                let twice = JsonError::DuplicateKey { key: name.to_owned() };
                if is_first { Ok(Key::Known) } else { Err(twice) }
            };
            if name == "data" {
                return once(line.data.replace(reader.json()?).is_none());
            }
            match NAMES.iter().position(|known| *known == name) {
                Some(place) => once(line.values[place].replace(reader.scalar()?).is_none()),
                None => reader.skip().map(|()| Key::Unknown),
            }
        })?;
        Ok(line)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<Scalar<'t>>> {
        NAMES.iter().position(|known| *known == name).map(|place| &mut self.values[place])
    }

    fn has(&mut self, name: &str) -> bool {
        self.slot(name).is_some_and(|slot| slot.is_some())
    }

    fn take(&mut self, name: &str) -> Option<Scalar<'t>> {
        self.slot(name).and_then(Option::take)
    }

    /// A text attribute; none where it is not there or null, which CloudEvents holds to be the
    /// same.
    fn text(&mut self, name: &'static str) -> Result<Option<Cow<'t, str>>, LineError> {
        match self.take(name) {
            None | Some(Scalar::Null) => Ok(None),
            Some(Scalar::Text(text)) if text.is_empty() => Err(wrong(name, "it is empty")),
            Some(Scalar::Text(text)) => Ok(Some(text)),
            Some(Scalar::Number(_) | Scalar::Other) => Err(wrong(name, "it is not a string")),
        }
    }

    fn required(&mut self, name: &'static str) -> Result<Cow<'t, str>, LineError> {
        self.text(name)?.ok_or(LineError::Missing { name })
    }

    fn exactly(&mut self, name: &'static str, expected: &'static str) -> Result<(), LineError> {
        let found = self.required(name)?;
        if found == expected {
            Ok(())
        } else {
            Err(wrong(name, format!("{found:?} is not {expected:?}")))
        }
    }

    fn parsed<T: std::str::FromStr>(&mut self, name: &'static str) -> Result<T, LineError>
    where
        T::Err: std::fmt::Display,
    {
        self.required(name)?.parse().map_err(|error| wrong(name, error))
    }
}

impl Attributes<'_> {
    /// What the line says of its place: both numbers, or nothing at all.
    fn stated(&mut self) -> Result<Option<Stated>, LineError> {
        let (position, version) = (self.counter("position")?, self.counter("version")?);
        let leaf_hash = match self.text("leafhash")? {
            None => None,
            Some(text) => Some(text.parse().map_err(|error| wrong("leafhash", error))?),
        };
        match (position, version) {
            (None, None) if leaf_hash.is_none() => Ok(None),
            (None, _) => Err(LineError::Missing { name: "position" }),
            (_, None) => Err(LineError::Missing { name: "version" }),
            (Some(position), Some(version)) => {
                Ok(Some(Stated { place: Place { position, version }, leaf_hash }))
            }
        }
    }

    fn counter<T: TryFrom<u64>>(&mut self, name: &'static str) -> Result<Option<T>, LineError> {
        let number = match self.take(name) {
            None | Some(Scalar::Null) => return Ok(None),
            Some(Scalar::Number(literal)) => literal.parse::<u64>().ok(),
            Some(Scalar::Text(_) | Scalar::Other) => None,
        };
        // A reader of JSON sees whole numbers exactly up to there.
        let number = number.filter(|number| *number > 0).and_then(|number| number.try_into().ok());
        number.map(Some).ok_or_else(|| wrong(name, "it is not a whole number from 1 to 2^53 - 1"))
    }
}

fn wrong(name: &'static str, reason: impl ToString) -> LineError {
    LineError::Wrong { name, reason: reason.to_string() }
}

/// Writes one entry as a line, without the line feed. `position`, `version` and `leafhash` say where
/// it stands, for people and for an import that brings it back.
///
/// # Errors
/// [`JsonError::Syntax`]: the stored payload is not JSON.
pub fn to_line(entry: &Entry, origin: &Origin) -> Result<String, JsonError> {
    let mut line = Vec::new();
    write_line(&mut line, entry, origin)?;
    String::from_utf8(line).map_err(json::syntax)
}

/// The same, at the end of a buffer.
pub(crate) fn write_line(
    line: &mut Vec<u8>,
    entry: &Entry,
    origin: &Origin,
) -> Result<(), JsonError> {
    #[derive(Serialize)]
    struct Attributes<'a> {
        specversion: &'static str,
        id: EventId,
        source: &'a Origin,
        r#type: &'a str,
        subject: StreamId,
        time: Timestamp,
        datacontenttype: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        causationid: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        correlationid: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        traceparent: Option<&'a str>,
        position: Position,
        version: Version,
        leafhash: LeafHash,
    }
    // What Guildhall wrote is canonical, which is seen faster than that something is JSON.
    let data = match json::check_canonical(&entry.payload) {
        Ok(()) => &*entry.payload,
        Err(_) => {
            let mut deserializer = serde_json::Deserializer::from_str(&entry.payload);
            deserializer.disable_recursion_limit();
            <&RawValue>::deserialize(&mut deserializer).map_err(json::syntax)?.get()
        }
    };
    let Metadata { causation_id, correlation_id, traceparent } = &entry.metadata;
    let attributes = Attributes {
        specversion: "1.0",
        id: entry.event_id,
        source: origin,
        r#type: entry.event_type.as_str(),
        subject: entry.stream_id,
        time: entry.recorded_at,
        datacontenttype: "application/json",
        causationid: causation_id.as_deref(),
        correlationid: correlation_id.as_deref(),
        traceparent: traceparent.as_deref(),
        position: entry.position,
        version: entry.version,
        leafhash: entry.leaf_hash,
    };
    serde_json::to_writer(&mut *line, &attributes).map_err(json::syntax)?;
    // Its closing brace: the payload goes in as it stands.
    line.pop();
    line.extend_from_slice(b",\"data\":");
    line.extend_from_slice(data.as_bytes());
    line.push(b'}');
    Ok(())
}
