//! Entries of the log as they are shown, each with its fate in the tables.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use anyhow::Result;
use guildhall_core::event::{Decoded, TYPE_PREFIX};
use guildhall_core::ops::Cursor;
use guildhall_core::text::escape_for_terminal;
use guildhall_core::{
    Code, Entry, EventId, Json, LeafHash, Metadata, OPS_DB, OpsDb, Position, QuarantinedEntry,
    StreamId, Timestamp, Version,
};
use serde::Serialize;

use crate::output::{Row, Style};

/// What became of an entry, as far as the tables have got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The tables show what it changes.
    Applied,
    /// It breaks an invariant, and changed nothing.
    Quarantined,
    /// It is of a type that this version does not know, or the log's own index.
    Skipped,
    /// The tables are not there yet.
    Pending,
}

impl Fate {
    /// Its word, as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Quarantined => "quarantined",
            Self::Skipped => "skipped",
            Self::Pending => "pending",
        }
    }
}

/// One entry, whole.
#[derive(Debug, Clone, Serialize)]
pub struct ShownEntry {
    /// Where it stands in the log.
    pub position: Position,
    /// Its id.
    pub event_id: EventId,
    /// Its stream: an artifact, or an accord.
    pub stream_id: StreamId,
    /// Where it stands there.
    pub version: Version,
    /// Its type, the full name.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// What caused it.
    pub metadata: Metadata,
    /// Its data. A log that others wrote may hold something that is not JSON: that is a text here.
    pub data: Data,
    /// Its leaf hash.
    pub leaf_hash: LeafHash,
    /// What became of it.
    pub fate: Fate,
    /// The invariant that it breaks, where it is in quarantine.
    pub code: Option<Code>,
    /// What was found and what was expected there.
    pub reason: Option<String>,
}

/// What an entry says.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Data {
    /// As JSON.
    Json(Json),
    /// As it is stored.
    Text(String),
}

impl ShownEntry {
    fn new(entry: Entry, applied: Position, refused: Option<QuarantinedEntry>) -> Self {
        let fate = match &refused {
            Some(_) => Fate::Quarantined,
            None if entry.position > applied => Fate::Pending,
            None => match entry.decode() {
                Ok(Decoded::Indexed(_) | Decoded::Unknown) => Fate::Skipped,
                Ok(Decoded::Event(_)) | Err(_) => Fate::Applied,
            },
        };
        let (code, reason) = refused.map(|row| (row.code, row.reason)).unzip();
        Self {
            position: entry.position,
            event_id: entry.event_id,
            stream_id: entry.stream_id,
            version: entry.version,
            event_type: entry.event_type.as_str().to_owned(),
            recorded_at: entry.recorded_at,
            metadata: entry.metadata,
            data: Data::of(entry.payload),
            leaf_hash: entry.leaf_hash,
            fate,
            code,
            reason,
        }
    }

    /// The type, short: without the prefix that all of Guildhall's share.
    pub fn short_type(&self) -> &str {
        self.event_type.strip_prefix(TYPE_PREFIX).unwrap_or(&self.event_type)
    }

    /// All of it, as text.
    pub fn to_text(&self, style: Style) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing into a text cannot fail.
            let _ = writeln!(text, "{name:<12} {}", escape_for_terminal(value));
        };
        line("position", &self.position.to_string());
        line("event", &self.event_id.to_string());
        line("type", &self.event_type);
        line("stream", &format!("{}, version {}", self.stream_id, self.version));
        line("recorded", &self.recorded_at.to_string());
        let Metadata { correlation_id, causation_id, traceparent, .. } = &self.metadata;
        for (name, value) in [
            ("correlation", correlation_id),
            ("causation", causation_id),
            ("traceparent", traceparent),
        ] {
            if let Some(value) = value {
                line(name, value);
            }
        }
        line("leaf hash", &self.leaf_hash.to_string());
        let fate = match (self.fate, self.code, &self.reason) {
            (Fate::Quarantined, Some(code), Some(reason)) => {
                let reason = escape_for_terminal(reason);
                style.bad(&format!("quarantined, {code}: {reason}"))
            }
            (Fate::Pending, ..) => style.doubtful("not applied yet"),
            (fate, ..) => fate.as_str().to_owned(),
        };
        let _ = writeln!(text, "{:<12} {fate}", "tables");
        text += &style.strong("data");
        text.push('\n');
        text += &self.data.to_text();
        text
    }
}

impl Data {
    /// What a stored payload says.
    pub fn of(payload: Box<str>) -> Self {
        Json::parse(&payload).map_or_else(|_| Self::Text(payload.into()), Self::Json)
    }

    /// Indented, a line for each value.
    pub fn to_text(&self) -> String {
        let pretty = match self {
            Self::Json(json) => serde_json::to_string_pretty(&json.to_value()).ok(),
            Self::Text(_) => None,
        };
        let whole = pretty.unwrap_or_else(|| self.to_string());
        whole.lines().fold(String::new(), |text, line| text + &escape_for_terminal(line) + "\n")
    }
}

impl fmt::Display for Data {
    /// On one line, as it is stored.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Json(json) => json.as_str(),
            Self::Text(text) => text,
        })
    }
}

impl Row for ShownEntry {
    const COLUMNS: &'static [&'static str] =
        &["POSITION", "RECORDED AT", "TYPE", "STREAM ID", "VERSION", "FATE"];

    fn cells(&self) -> Vec<String> {
        let fate = match self.code {
            Some(code) => format!("{} {code}", self.fate.as_str()),
            None => self.fate.as_str().to_owned(),
        };
        vec![
            self.position.to_string(),
            self.recorded_at.to_string(),
            self.short_type().to_owned(),
            self.stream_id.to_string(),
            self.version.to_string(),
            fate,
        ]
    }

    fn name(&self) -> String {
        self.position.to_string()
    }
}

/// Looks up what became of entries, in the order of the log.
///
/// # Errors
/// The store's own.
pub async fn with_fates(ops_db: &dyn OpsDb, entries: Vec<Entry>) -> Result<Vec<ShownEntry>> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Ok(Vec::new());
    };
    let (first, last) = (first.position, last.position);
    // First: of all that is before it, the quarantine then knows.
    let applied = ops_db.checkpoint(OPS_DB).await?.map_or(Position::ZERO, |it| it.position);
    let mut refused = HashMap::new();
    // The quarantine is read from its newest row on.
    let mut after = last.checked_add(1).map(Cursor::before);
    loop {
        let page = ops_db.quarantined(after, guildhall_core::MAX_PAGE_ROWS).await?;
        let is_past = page.rows.last().is_none_or(|row| row.position <= first);
        refused.extend(page.rows.into_iter().map(|row| (row.position, row)));
        match page.next {
            Some(next) if !is_past => after = Some(next),
            _ => break,
        }
    }
    let shown = entries.into_iter().map(|entry| {
        let refused = refused.remove(&entry.position);
        ShownEntry::new(entry, applied, refused)
    });
    Ok(shown.collect())
}
