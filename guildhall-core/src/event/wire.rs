//! Entries as CloudEvents 1.0 JSON, one a line (DESIGN section 3; CloudEvents JSON format 1.0.2).

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{EventType, decode};
use crate::chronicle::{Entry, Metadata, NewEntry, Origin};
use crate::ids::{EventId, Position, StreamId, Version};
use crate::invariant::Violation;
use crate::json::{self, JsonError, MAX_DEPTH};
use crate::time::Timestamp;

/// A line that was read: what it asks to append, and the Chronicle that it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The `source` attribute.
    pub source: String,
    /// The rest. Its `recorded_at` is the line's `time`.
    pub entry: NewEntry,
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
    /// The data of a known type does not decode, or names another stream than `subject`.
    #[error("{0}")]
    Data(Violation),
}

/// Reads one line.
///
/// Attributes that Guildhall does not know are ignored, `position` and `version` among them: an
/// import assigns its own. Fields of `data` that it does not know are kept.
///
/// # Errors
/// [`LineError`], the first thing that is wrong.
pub fn parse(text: &str) -> Result<Line, LineError> {
    if text.starts_with('\u{feff}') {
        return Err(LineError::ByteOrderMark);
    }
    // `data` may nest as deep as a payload may, and stands one level down.
    let Value::Object(mut line) = json::parse_value(text, MAX_DEPTH + 1)? else {
        return Err(LineError::NotAnObject);
    };
    exactly(&mut line, "specversion", "1.0")?;
    let event_id: EventId = parsed(&mut line, "id")?;
    let source = string(&mut line, "source")?.ok_or(LineError::Missing { name: "source" })?;
    let event_type = string(&mut line, "type")?.ok_or(LineError::Missing { name: "type" })?;
    let stream_id: StreamId = parsed(&mut line, "subject")?;
    let time = string(&mut line, "time")?.ok_or(LineError::Missing { name: "time" })?;
    let recorded_at = Timestamp::from_rfc3339(&time).map_err(|error| wrong("time", error))?;
    if line.contains_key("datacontenttype") {
        exactly(&mut line, "datacontenttype", "application/json")?;
    }
    let metadata = Metadata {
        causation_id: string(&mut line, "causationid")?,
        correlation_id: string(&mut line, "correlationid")?,
        traceparent: string(&mut line, "traceparent")?,
    };
    let data = line.remove("data").ok_or(LineError::Missing { name: "data" })?;
    let payload = json::from_strict_value(&data, MAX_DEPTH)?;
    let event_type = EventType::new(&event_type);
    decode(&event_type, stream_id, payload.as_str()).map_err(LineError::Data)?;
    let entry = NewEntry {
        event_id,
        stream_id,
        event_type,
        payload,
        metadata,
        recorded_at: Some(recorded_at),
    };
    Ok(Line { source, entry })
}

fn wrong(name: &'static str, reason: impl ToString) -> LineError {
    LineError::Wrong { name, reason: reason.to_string() }
}

/// A text attribute; none where it is not there or null, which CloudEvents holds to be the same.
fn string(line: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, LineError> {
    match line.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Err(wrong(name, "it is empty")),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name, "it is not a string")),
    }
}

fn exactly(
    line: &mut Map<String, Value>,
    name: &'static str,
    expected: &'static str,
) -> Result<(), LineError> {
    let found = string(line, name)?.ok_or(LineError::Missing { name })?;
    if found == expected {
        Ok(())
    } else {
        Err(wrong(name, format!("{found:?} is not {expected:?}")))
    }
}

fn parsed<T: std::str::FromStr>(
    line: &mut Map<String, Value>,
    name: &'static str,
) -> Result<T, LineError>
where
    T::Err: std::fmt::Display,
{
    let text = string(line, name)?.ok_or(LineError::Missing { name })?;
    text.parse().map_err(|error| wrong(name, error))
}

/// Writes one entry as a line, without the line feed. `position` and `version` are added for
/// people to read.
///
/// # Errors
/// [`JsonError::Syntax`]: the stored payload is not JSON.
pub fn to_line(entry: &Entry, origin: &Origin) -> Result<String, JsonError> {
    #[derive(Serialize)]
    struct CloudEvent<'a> {
        specversion: &'static str,
        id: EventId,
        source: &'a Origin,
        r#type: &'a str,
        subject: StreamId,
        time: Timestamp,
        datacontenttype: &'static str,
        #[serde(flatten)]
        metadata: &'a Metadata,
        position: Position,
        version: Version,
        data: &'a RawValue,
    }
    let mut deserializer = serde_json::Deserializer::from_str(&entry.payload);
    deserializer.disable_recursion_limit();
    let line = CloudEvent {
        specversion: "1.0",
        id: entry.event_id,
        source: origin,
        r#type: entry.event_type.as_str(),
        subject: entry.stream_id,
        time: entry.recorded_at,
        datacontenttype: "application/json",
        metadata: &entry.metadata,
        position: entry.position,
        version: entry.version,
        data: serde::Deserialize::deserialize(&mut deserializer).map_err(json::syntax)?,
    };
    serde_json::to_string(&line).map_err(json::syntax)
}
