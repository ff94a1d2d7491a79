use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use guildhall_core::{Entry, Position, ReadLimit};

use super::Context;
use crate::args::{Global, ListForm, position};
use crate::database::Reading;
use crate::ending::message;
use crate::entries::{ShownEntry, with_fates};
use crate::error::{Problem, Verdict, may_pass};
use crate::output::{print_document, print_row, print_rows};
use crate::progress::say;

/// How many entries are read, and shown, at a time.
const BATCH: usize = 500;

/// How long to wait for the next entry; an append ends it sooner.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a server that went away is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// Show entries of the Chronicle: one whole, or the last ones
///
/// Each comes with its fate in the tables: applied, quarantined with its code and reason, skipped (of a
/// type that this version does not know), or pending, if the tables are not there yet.
#[derive(Debug, Args)]
pub struct Log {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    Show(Show),
    Tail(Tail),
}

/// Print one entry whole
#[derive(Debug, Args)]
struct Show {
    /// Its position: 1 is the first
    #[arg(value_name = "POSITION", value_parser = position)]
    position: Position,
}

/// Print the last entries
#[derive(Debug, Args)]
struct Tail {
    /// How many
    #[arg(short = 'n', long, value_name = "ENTRIES", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(..=100_000))]
    entries: u64,

    /// Go on with what is appended, one line each, until Ctrl-C or SIGTERM. An entry is printed at
    /// once, so most are still pending; -o json means -o jsonl
    #[arg(short, long)]
    follow: bool,

    #[command(flatten)]
    form: ListForm,
}

impl Log {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        match self.which {
            Which::Show(command) => command.run(context).await?,
            Which::Tail(command) if command.follow => command.follow(context).await?,
            Which::Tail(command) => command.run(context).await?,
        }
        Ok(Verdict::Holds)
    }
}

impl Show {
    async fn run(self, context: &mut Context) -> Result<()> {
        let is_json = context.global.json;
        let found = context.reading(async |database| entry_at(database, self.position).await);
        let entry = found.await?;
        print_document(is_json, &entry, |style| entry.to_text(style))
    }
}

/// The entry at this position.
pub(super) async fn entry_at(database: &Reading, position: Position) -> Result<ShownEntry> {
    let mut found = read(database, position.previous(), 1).await?;
    found.retain(|entry| entry.position == position);
    match with_fates(&*database.ops_db, found).await?.pop() {
        Some(entry) => Ok(entry),
        None => Err(missing(position, database.chronicle.head().await?.position)),
    }
}

fn missing(wanted: Position, head: Position) -> anyhow::Error {
    let what = format!("there is no entry at position {wanted}");
    let next = match head.get() {
        0 => "the Chronicle is empty: `guildhall import FILE` fills it".to_owned(),
        head => {
            format!("write a position from 1 to {head}; `guildhall log tail` shows the last ones")
        }
    };
    Problem::failed(what, next).into()
}

impl Tail {
    async fn run(self, context: &mut Context) -> Result<()> {
        let global = context.global.clone();
        let rows = context.reading(async |database| {
            let head = database.chronicle.head().await?.position;
            let mut after = self.begin(head);
            let mut rows = Vec::new();
            while after < head {
                after = next(database, after, head, &mut rows).await?;
            }
            Ok(rows)
        });
        print_rows(self.form.listing(&global), &rows.await?, None)
    }

    async fn follow(self, context: &mut Context) -> Result<()> {
        let global = context.global.clone();
        context
            .looking(async |database, ending| {
                tokio::select! {
                    () = ending.asked() => Ok(()),
                    followed = self.print_for_ever(database, &global) => followed,
                }
            })
            .await
    }

    /// A server that goes away is waited for: nothing is left out, and nothing printed twice.
    async fn print_for_ever(&self, database: &Reading, global: &Global) -> Result<()> {
        let mut after = self.begin(database.chronicle.head().await?.position);
        let (mut is_first, mut is_away) = (true, false);
        loop {
            match next_of(database, after).await {
                Ok((rows, last)) => {
                    for row in &rows {
                        print_row(self.form.listing(global), row, is_first)?;
                        is_first = false;
                    }
                    (after, is_away) = (last, false);
                }
                Err(error) if may_pass(&error) => {
                    if !is_away && !global.quiet {
                        say(&format!("trying again: {}", message(&error)));
                    }
                    is_away = true;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// After which position the last ones come.
    fn begin(&self, head: Position) -> Position {
        head.saturating_sub(self.entries)
    }
}

/// The entries that come next after a position, once there are some, and where they end.
async fn next_of(database: &Reading, after: Position) -> Result<(Vec<ShownEntry>, Position)> {
    let mut head = database.chronicle.head().await?.position;
    if head <= after {
        head = database.chronicle.wait_beyond(after, PATIENCE).await?;
    }
    let (mut rows, mut last) = (Vec::new(), after);
    if last < head {
        last = next(database, after, head, &mut rows).await?;
    }
    Ok((rows, last))
}

/// Appends the entries that come next after a position to the rows, up to the head and not all at
/// once; returns the last one's position.
async fn next(
    database: &Reading,
    after: Position,
    head: Position,
    rows: &mut Vec<ShownEntry>,
) -> Result<Position> {
    let left = usize::try_from(head.get() - after.get()).unwrap_or(BATCH);
    let entries = read(database, after, left.min(BATCH)).await?;
    let last = entries.last().map_or(head, |entry| entry.position);
    rows.extend(with_fates(&*database.ops_db, entries).await?);
    Ok(last)
}

async fn read(database: &Reading, after: Position, entries: usize) -> Result<Vec<Entry>> {
    Ok(database.chronicle.read(after, ReadLimit::entries(entries)).await?)
}
