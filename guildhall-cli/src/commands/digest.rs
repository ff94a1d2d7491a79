use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use guildhall_core::Checkpoint;
use guildhall_projector::proof;
use guildhall_proof::digest::Digests;
use serde::Serialize;

use super::{Context, progress};
use crate::error::Verdict;
use crate::output::{Style, field, print_document};

/// Print a hash of each table of the Ops DB, and one of all: the same on SQLite and PostgreSQL
///
/// The hash of a table is what sha256sum prints for its rows as canonical JSON, one on each line, in the
/// order of the key; the hash of all is what it prints for the lines printed for the tables, sorted by
/// name. It only reads, and sees the tables as of one moment.
#[derive(Debug, Args)]
pub struct Digest {}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    checkpoint: Checkpoint,
    #[serde(flatten)]
    digests: Digests,
}

impl Digest {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let quiet = context.global.quiet;
        let digested = context.reading(async |database| {
            let mut said = progress(quiet, "digesting", None);
            let (checkpoint, digests) =
                proof::digest(&*database.ops_db, |rows| said.set(rows)).await?;
            let rows: u64 = digests.tables.iter().map(|table| table.rows).sum();
            said.finish(&format!("read {rows} rows"));
            let checkpoint = checkpoint.unwrap_or(Checkpoint::ZERO);
            Ok(Answer { checkpoint, digests })
        });
        let answer = digested.await?;
        print_document(context.global.json, &answer, |_: Style| answer.to_text())?;
        Ok(Verdict::Holds)
    }
}

impl Answer {
    fn to_text(&self) -> String {
        let mut text = String::new();
        for table in &self.digests.tables {
            // Writing into a text cannot fail.
            let _ = writeln!(text, "{}  {}", table.sha256, table.table);
        }
        text.push('\n');
        field(&mut text, "all", &self.digests.sha256.to_string());
        let origin = self.checkpoint.origin.as_ref();
        let origin = origin.map_or_else(String::new, |origin| format!(" of {origin}"));
        field(&mut text, "position", &format!("{}{origin}", self.checkpoint.position));
        text
    }
}
