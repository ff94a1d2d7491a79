use anyhow::Result;
use clap::{Args, Subcommand};
use guildhall_core::event::wire::to_line;
use guildhall_core::{Chronicle, Entry, Origin, Position, ReadLimit};
use serde::Serialize;
use serde_json::Value;

use super::Context;
use crate::args::ListForm;
use crate::error::{Problem, Verdict};
use crate::output::{Row, field, print_document, print_rows};

/// The Chronicle, entry by entry
#[derive(Debug, Args)]
pub struct Log {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(Show),
    Tail(Tail),
}

/// Show one entry, whole
#[derive(Debug, Args)]
struct Show {
    /// Where it stands in the log
    position: Position,
}

/// List the last entries
#[derive(Debug, Args)]
struct Tail {
    /// How many
    #[arg(short = 'n', long, value_name = "ENTRIES", default_value_t = 10,
        value_parser = clap::value_parser!(u16).range(1..=500))]
    lines: u16,
    #[command(flatten)]
    form: ListForm,
}

/// An entry as the CloudEvent that an export writes.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Line(Value);

impl Line {
    fn of(entry: &Entry, origin: &Origin) -> Result<Self> {
        Ok(Self(serde_json::from_str(&to_line(entry, origin)?)?))
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// When it was recorded.
    pub(crate) fn time(&self) -> &str {
        self.text("time")
    }

    /// What it says.
    pub(crate) fn data(&self) -> String {
        self.0["data"].to_string()
    }
}

/// The entry at this position.
pub(crate) async fn entry_at(chronicle: &dyn Chronicle, position: Position) -> Result<Line> {
    let absent = || {
        let what = format!("there is no entry at position {position}");
        Problem::failed(what, "`guildhall log tail` shows where the log ends")
    };
    if position == Position::ZERO {
        return Err(absent().into());
    }
    let entries = chronicle.read(position.previous(), ReadLimit::entries(1)).await?;
    let origin = chronicle.origin().await?;
    match (entries.first(), origin) {
        (Some(entry), Some(origin)) => Line::of(entry, &origin),
        _ => Err(absent().into()),
    }
}

impl Log {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        match self.command {
            Command::Show(Show { position }) => {
                let asked = context
                    .reading(async |database| entry_at(&*database.chronicle, position).await);
                let line = asked.await?;
                print_document(context.global.json, &line, |_| text_of(&line))?;
            }
            Command::Tail(Tail { lines, form }) => {
                let asked = context.reading(async |database| {
                    let chronicle = &database.chronicle;
                    let Some(origin) = chronicle.origin().await? else { return Ok(Vec::new()) };
                    let head = chronicle.head().await?.position;
                    let after = head.get().saturating_sub(lines.into());
                    let limit = ReadLimit::entries(lines.into());
                    let entries = chronicle.read(Position::try_from(after)?, limit).await?;
                    entries.iter().map(|entry| Line::of(entry, &origin)).collect::<Result<_>>()
                });
                let rows: Vec<Line> = asked.await?;
                print_rows(&context.global, form, &rows, None)?;
            }
        }
        Ok(Verdict::Holds)
    }
}

fn text_of(line: &Line) -> String {
    let mut text = String::new();
    field(&mut text, "position", &line.0["position"].to_string());
    for (name, member) in [
        ("recorded", "time"),
        ("type", "type"),
        ("stream", "subject"),
        ("event", "id"),
        ("chronicle", "source"),
        ("leaf hash", "leafhash"),
    ] {
        field(&mut text, name, line.text(member));
    }
    field(&mut text, "version", &line.0["version"].to_string());
    field(&mut text, "data", &line.data());
    text
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] = &["POSITION", "TIME", "TYPE", "STREAM", "ID"];

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.name()];
        cells.extend(["time", "type", "subject", "id"].map(|member| self.text(member).to_owned()));
        cells
    }

    fn name(&self) -> String {
        self.0["position"].to_string()
    }
}
