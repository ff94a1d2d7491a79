use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use guildhall_core::jsonl::{Imported, Noted};
use serde::Serialize;

use super::Context;
use crate::database::BRIEF_LEASE;
use crate::error::Verdict;
use crate::input::Input;
use crate::output::print_document;
use crate::steps;

/// Append the entries of a JSONL file that the Chronicle does not have
///
/// One CloudEvent a line, as `guildhall export` writes it. What is recorded already is counted and not
/// recorded twice, so after an interruption, or once a bad line is corrected, import the file again.
/// The database is created if it does not exist. `guildhall project` then brings the tables up to date.
#[derive(Debug, Args)]
pub struct Import {
    /// The file; - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

#[derive(Serialize)]
struct Document {
    lines: u64,
    appended: u64,
    recorded_before: u64,
    position: u64,
    foreign: Lines,
    differing: Lines,
    left_out: Lines,
}

#[derive(Serialize)]
struct Lines {
    lines: u64,
    first_line: Option<u64>,
}

impl From<Noted> for Lines {
    fn from(Noted { lines, first_line }: Noted) -> Self {
        Self { lines, first_line }
    }
}

impl From<Imported> for Document {
    fn from(imported: Imported) -> Self {
        Self {
            lines: imported.lines,
            appended: imported.appended,
            recorded_before: imported.recorded_before,
            position: imported.position.get(),
            foreign: imported.foreign.into(),
            differing: imported.differing.into(),
            left_out: imported.left_out.into(),
        }
    }
}

impl Import {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let input = context.ending.or_ends(Input::named(&self.file)).await?;
        let importing = format!("importing {}", input.name());
        let (is_json, progress) = (context.global.json, context.progress("importing", None));
        let lease = |guild: guildhall::Builder| guild.lease_time(BRIEF_LEASE);
        let imported = context.creating(lease, async |guild, ending| {
            let chronicle = guild.chronicle();
            let importing = async {
                let imported = steps::import(&*chronicle, input.into_reader(), progress).await;
                imported.context(importing)
            };
            ending.or_ends(importing).await
        });
        let imported = Document::from(imported.await?);
        if is_json {
            print_document(true, &imported, |_| String::new())?;
        }
        Ok(Verdict::Holds)
    }
}
