//! What a stored payload means: an older version brought up, the fields decoded, the stream checked.

use super::indexed::ChronicleIndexed;
use super::kind::{Event, EventType};
use super::upcast;
use crate::ids::StreamId;
use crate::invariant::Violation;

/// What a stored type and payload mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// One of the six, brought to its newest version.
    Event(Event),
    /// The index of the log's streams, which is about none of them: skipped, and not counted.
    Indexed(ChronicleIndexed),
    /// A type that this version does not know: kept, skipped, counted.
    Unknown,
}

/// Reads a stored payload: upcasts an older version, decodes the fields and checks that the stream
/// is the one that they name. (Those of the index name none: [`Origin::index_stream`] does.)
///
/// [`Origin::index_stream`]: crate::Origin::index_stream
///
/// # Errors
/// [`Violation::Undecodable`] and [`Violation::WrongStream`], both `CC00`.
pub fn decode(
    event_type: &EventType,
    stream: StreamId,
    payload: &str,
) -> Result<Decoded, Violation> {
    decode_through(upcast::STEPS, event_type, stream, payload)
}

/// The same of a payload that was made canonical just now.
pub(super) fn decode_canonical(
    event_type: &EventType,
    stream: StreamId,
    payload: &str,
) -> Result<Decoded, Violation> {
    decode_checked(upcast::STEPS, event_type, stream, payload)
}

pub(super) fn decode_through(
    steps: &[upcast::Step],
    event_type: &EventType,
    stream: StreamId,
    payload: &str,
) -> Result<Decoded, Violation> {
    if event_type.kind().is_some() || event_type.is_index() {
        crate::json::check_canonical(payload)
            .map_err(|error| Violation::Undecodable { reason: error.to_string() })?;
    }
    decode_checked(steps, event_type, stream, payload)
}

fn decode_checked(
    steps: &[upcast::Step],
    event_type: &EventType,
    stream: StreamId,
    payload: &str,
) -> Result<Decoded, Violation> {
    let undecodable = |reason: String| Violation::Undecodable { reason };
    let event = match event_type.kind() {
        Some(kind) => {
            Event::from_payload(kind, payload).map_err(|error| undecodable(error.to_string()))?
        }
        None if event_type.is_index() => {
            return serde_json::from_str(payload)
                .map(Decoded::Indexed)
                .map_err(|error| undecodable(error.to_string()));
        }
        None => match upcast::upcast(steps, event_type.as_str(), payload) {
            None => return Ok(Decoded::Unknown),
            Some(upcast) => {
                let (kind, payload) = upcast.map_err(undecodable)?;
                Event::from_payload(kind, payload.as_str())
                    .map_err(|error| undecodable(error.to_string()))?
            }
        },
    };
    match event.stream() {
        named if named == stream => Ok(Decoded::Event(event)),
        named => Err(Violation::WrongStream { found: stream, expected: named }),
    }
}
