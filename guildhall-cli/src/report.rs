//! A report on a Chronicle and its Ops DB for operators, as text and as JSON.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use guildhall_core::text::escape_for_terminal;
use guildhall_core::{
    ArtifactQuery, ArtifactSort, ArtifactSummary, Checkpoint, Chronicle, Cid, Head, OPS_DB,
    OpenCeremony, OpsDb, Origin, Overview, QuarantinedEntry, StoreError, Timestamp,
    VerificationQuery, VerificationResult,
};
use serde::Serialize;

/// How many artifacts and open ceremonies a report lists at most.
const LISTED: u32 = 30;
/// How many verifications and quarantined entries it lists: the latest.
const LATEST: u32 = 8;

/// The state of a Chronicle and its Ops DB at one moment. It says nothing about the run that
/// loaded it: the same entries give the same report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The Chronicle's name; none while it is empty.
    pub origin: Option<Origin>,
    /// The last position of the Chronicle.
    pub head: guildhall_core::Position,
    /// How far the Ops DB has got.
    pub checkpoint: Checkpoint,
    /// The counts.
    pub overview: Overview,
    /// The artifacts, the most critical first.
    pub artifacts: Vec<ArtifactSummary>,
    /// The ceremonies that are open, the longest first.
    pub open_ceremonies: Vec<OpenCeremony>,
    /// The latest verifications, the latest first.
    pub verifications: Vec<Verification>,
    /// The latest entries in quarantine, the latest first.
    pub quarantined: Vec<QuarantinedEntry>,
}

/// A verification with the name of its artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The artifact's name.
    pub name: String,
    /// The row.
    #[serde(flatten)]
    pub result: VerificationResult,
}

impl Report {
    /// Reads what the report holds.
    ///
    /// # Errors
    /// The store's own.
    pub async fn load(chronicle: &dyn Chronicle, ops: &dyn OpsDb) -> Result<Self, StoreError> {
        let Head { position: head, .. } = chronicle.head().await?;
        let artifacts = ArtifactQuery::default().sort(ArtifactSort::Tier).limit(LISTED);
        let latest = VerificationQuery::default().limit(LATEST);
        let mut verifications = Vec::new();
        for result in ops.verifications(&latest).await?.rows {
            let detail = ops.artifact(result.artifact_id).await?;
            let name = detail.map_or_else(String::new, |detail| detail.artifact.name);
            verifications.push(Verification { name, result });
        }
        Ok(Self {
            origin: chronicle.origin().await?,
            head,
            checkpoint: ops.checkpoint(OPS_DB).await?.unwrap_or(Checkpoint::ZERO),
            overview: ops.overview().await?,
            artifacts: ops.artifacts(&artifacts).await?.rows,
            open_ceremonies: ops.open_ceremonies(None, LISTED).await?.rows,
            verifications,
            quarantined: ops.quarantined(None, LATEST).await?.rows,
        })
    }

    /// The report as JSON on one line.
    ///
    /// # Errors
    /// None for what [`load`](Self::load) returns.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// The report as text, with a line feed at its end.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.artifacts_text(&mut text);
        self.ceremonies_text(&mut text);
        self.verifications_text(&mut text);
        self.quarantine_text(&mut text);
        self.checkpoint_text(&mut text);
        text
    }

    fn artifacts_text(&self, text: &mut String) {
        let mut table = table(&["NAME", "TYPE", "TIER", "CID", "CUSTODY", "DRIFT", "SINCE"]);
        for artifact in &self.artifacts {
            table.add_row([
                printable(&artifact.name),
                printable(&artifact.artifact_type),
                artifact.tier.to_string(),
                short_cid(artifact.cid),
                artifact.custody_state.map_or_else(|| "-".to_owned(), |state| state.to_string()),
                artifact.drift.to_string(),
                artifact.drift_since.map_or_else(|| "-".to_owned(), minute),
            ]);
        }
        let total = self.overview.artifacts();
        section(text, "Artifacts", total, self.artifacts.len(), &table);
    }

    fn ceremonies_text(&self, text: &mut String) {
        let mut table = table(&["ARTIFACT", "OPENED", "BY", "WHY", "ACCORD"]);
        for ceremony in &self.open_ceremonies {
            table.add_row([
                printable(&ceremony.name),
                minute(ceremony.opened.occurred_at),
                printable(&ceremony.opened.actor),
                printable(&ceremony.opened.reason),
                printable(&ceremony.accord),
            ]);
        }
        let listed = self.open_ceremonies.len();
        section(text, "Open ceremonies", self.overview.open_ceremonies, listed, &table);
    }

    fn verifications_text(&self, text: &mut String) {
        let mut table = table(&["VERIFIED", "ARTIFACT", "TARGET", "VERIFIER", "OUTCOME"]);
        for Verification { name, result } in &self.verifications {
            table.add_row([
                minute(result.verified_at),
                printable(name),
                result.target.as_deref().map_or_else(|| "-".to_owned(), printable),
                printable(&result.verifier),
                result.outcome.to_string(),
            ]);
        }
        let listed = self.verifications.len();
        section(text, "Latest verifications", self.overview.verifications, listed, &table);
    }

    fn quarantine_text(&self, text: &mut String) {
        let mut table = table(&["POSITION", "CODE", "TYPE", "REASON"]);
        for entry in &self.quarantined {
            let event_type = entry.event_type.as_str();
            let prefix = guildhall_core::event::TYPE_PREFIX;
            table.add_row([
                entry.position.to_string(),
                entry.code.to_string(),
                printable(event_type.strip_prefix(prefix).unwrap_or(event_type)),
                printable(&entry.reason),
            ]);
        }
        section(text, "Quarantine", self.overview.quarantined, self.quarantined.len(), &table);
    }

    fn checkpoint_text(&self, text: &mut String) {
        let origin = self.origin.as_ref().map_or("(no entry yet)", Origin::as_str);
        let _ = writeln!(text, "Checkpoint\n  chronicle  {}", printable(origin));
        let at = &self.checkpoint;
        let behind = self.head.get().saturating_sub(at.position.get());
        let state = match behind {
            0 => "up to date".to_owned(),
            behind => format!("{behind} behind"),
        };
        let _ = writeln!(text, "  position   {} of {}, {state}", at.position, self.head);
        if let Some(leaf_hash) = at.leaf_hash {
            let _ = writeln!(text, "  leaf hash  {leaf_hash}");
        }
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().copied());
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        column.set_cell_alignment(CellAlignment::Left);
    }
    table
}

/// A heading with how many there are, and the rows; how many of them are not listed.
fn section(text: &mut String, heading: &str, total: u64, listed: usize, table: &Table) {
    let _ = writeln!(text, "{heading} ({total})");
    for line in table.lines().take_while(|_| listed > 0) {
        let _ = writeln!(text, "  {}", line.trim_end());
    }
    let hidden = total.saturating_sub(u64::try_from(listed).unwrap_or(u64::MAX));
    if listed > 0 && hidden > 0 {
        let _ = writeln!(text, "  … and {hidden} more");
    }
    text.push('\n');
}

/// The CID, short: its first and last characters.
pub fn short_cid(cid: Cid) -> String {
    let text = cid.to_string();
    format!("{}…{}", &text[..7], &text[text.len() - 6..])
}

fn minute(time: Timestamp) -> String {
    time.to_string().get(..16).unwrap_or_default().replace('T', " ")
}

/// The text on one line of a terminal, with no effect on it: at most 80 characters.
fn printable(text: &str) -> String {
    let text = escape_for_terminal(text);
    let mut shown: String = text.chars().take(80).collect();
    if text.chars().nth(80).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        assert_eq!(
            printable("a\u{1b}[2Jb\nc\u{202e}d\u{2028}"),
            "a\\u{1b}[2Jb\\nc\\u{202e}d\\u{2028}"
        );
        assert_eq!(printable(&"x".repeat(81)).chars().count(), 80);
        assert_eq!(printable(&"é".repeat(80)), "é".repeat(80));
    }

    #[test]
    fn short_cids_show_both_ends() {
        let cid = Cid::of(&guildhall_core::Json::parse(r#"{"a":1}"#).unwrap());
        assert_eq!(short_cid(cid), "bafkrei…vf7ymi");
    }
}
