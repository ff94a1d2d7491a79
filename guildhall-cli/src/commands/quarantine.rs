use anyhow::Result;
use clap::{Args, Subcommand};
use guildhall_core::ops::PositionKey;
use guildhall_core::{Position, QuarantinedEntry};
use serde::Serialize;

use super::Context;
use super::log::entry_at;
use crate::args::ListForm;
use crate::asking::Paging;
use crate::entries::ShownEntry;
use crate::error::{Problem, Verdict};
use crate::output::{Row, field, print_document, print_rows};

/// Entries that break an invariant, which the tables leave out
#[derive(Debug, Args)]
pub struct Quarantine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Explain(Explain),
}

/// List what is in quarantine, the latest first
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    form: ListForm,
}

/// Say why an entry is in quarantine: the invariant, what was found, and the entry itself
#[derive(Debug, Args)]
struct Explain {
    /// Its position in the log
    position: Position,
}

#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    quarantined: QuarantinedEntry,
    entry: ShownEntry,
}

impl Quarantine {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        match self.command {
            Command::List(List { paging, form }) => {
                let after = paging.after::<PositionKey>()?;
                let asked = context.reading(async |database| {
                    Ok(database.ops_db.quarantined(after, paging.limit).await?)
                });
                let page = asked.await?;
                print_rows(form.listing(&context.global), &page.rows, page.next.as_ref())?;
            }
            Command::Explain(Explain { position }) => {
                let asked = context.reading(async |database| {
                    let found = database.ops_db.quarantined_at(position).await?;
                    let Some(quarantined) = found else { return Err(absent(position)) };
                    let entry = entry_at(database, position).await?;
                    Ok(Explained { quarantined, entry })
                });
                let found = asked.await?;
                print_document(context.global.json, &found, |_| text_of(&found))?;
            }
        }
        Ok(Verdict::Holds)
    }
}

fn absent(position: Position) -> anyhow::Error {
    let what = format!("the entry at position {position} is not in quarantine");
    Problem::failed(what, "`guildhall quarantine list` shows those that are").into()
}

fn text_of(found: &Explained) -> String {
    let Explained { quarantined, entry } = found;
    let mut text = String::new();
    field(&mut text, "position", &quarantined.position.to_string());
    field(&mut text, "breaks", quarantined.code.as_str());
    field(&mut text, "reason", &quarantined.reason);
    field(&mut text, "type", quarantined.event_type.as_str());
    field(&mut text, "stream", &quarantined.stream_id.to_string());
    field(&mut text, "event", &quarantined.event_id.to_string());
    field(&mut text, "recorded", &entry.recorded_at.to_string());
    field(&mut text, "data", &entry.data.to_string());
    text
}

impl Row for QuarantinedEntry {
    const COLUMNS: &'static [&'static str] = &["POSITION", "CODE", "TYPE", "STREAM", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.position.to_string(),
            self.code.as_str().to_owned(),
            self.event_type.as_str().to_owned(),
            self.stream_id.to_string(),
            self.reason.clone(),
        ]
    }

    fn name(&self) -> String {
        self.position.to_string()
    }
}
