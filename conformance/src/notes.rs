//! Entries of a type that nobody knows, for scenarios about the log alone.

use guildhall_core::{
    Chronicle, Entry, EventId, EventType, Json, Metadata, NewEntry, Position, ReadLimit, StreamId,
};

pub(crate) const ALL: ReadLimit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };

pub(crate) fn note(stream: StreamId, text: &str) -> NewEntry {
    NewEntry {
        event_id: EventId::new(),
        stream_id: stream,
        event_type: EventType::new("com.example.note.v1"),
        payload: Json::parse(&format!(r#"{{"text":"{text}"}}"#)).unwrap(),
        metadata: Metadata::default(),
        recorded_at: None,
    }
}

/// An entry whose payload, a JSON string, has so many bytes.
pub(crate) fn long_note(stream: StreamId, bytes: usize) -> NewEntry {
    let payload = Json::parse(&format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
    NewEntry { payload, ..note(stream, "") }
}

pub(crate) async fn all(chronicle: &dyn Chronicle) -> Vec<Entry> {
    chronicle.read(Position::ZERO, ALL).await.unwrap()
}

pub(crate) fn positions(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.position.get()).collect()
}
