use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Args;
use guildhall_core::diff::{Diff as Found, LineKind, Operation};
use guildhall_core::{ArtifactId, Cid, Decoded, Event, Json, ReadLimit, StreamId, Version};
use serde::Serialize;

use super::Context;
use crate::asking;
use crate::database::Reading;
use crate::error::{Problem, Verdict};
use crate::output::{Style, print_document};

/// How many entries of a stream are read at a time.
const BATCH: usize = 500;

/// Show what changed between two JSON files, or two contents of an artifact
///
/// Of an artifact, the contents are those in the log: 1 is the registration's, each revision is one more, and
/// without numbers the last two are compared. --json prints the operations of RFC 6902 that make the second of the
/// first. Elements of arrays are matched by what names them (id, name or key).
#[derive(Debug, Args)]
pub struct Diff {
    /// A JSON file; of an artifact, the number or CID of a content
    #[arg(value_name = "BEFORE")]
    before: Option<String>,

    /// Another
    #[arg(value_name = "AFTER")]
    after: Option<String>,

    /// Compare contents of this artifact: its id, its name, or the CID of what it says now
    #[arg(long, value_name = "ID|NAME|CID")]
    artifact: Option<String>,

    /// How many unchanged lines stand beside a change
    #[arg(short = 'U', long, value_name = "LINES", default_value_t = 3)]
    context: usize,
}

/// What two texts are called, and what changed.
#[derive(Serialize)]
struct Report {
    before: String,
    after: String,
    operations: Vec<Operation>,
    #[serde(skip)]
    found: Found,
}

impl Diff {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let (before, after) = match (&self.artifact, &self.before, &self.after) {
            (None, Some(before), Some(after)) => {
                let read =
                    |path: &String| Ok::<_, anyhow::Error>((path.clone(), file(path.as_ref())?));
                (read(before)?, read(after)?)
            }
            (None, ..) => {
                let what = "two files are compared, or contents of an --artifact";
                return Err(Problem::usage(what, "name both files").into());
            }
            (Some(artifact), before, after) => {
                let wanted = [before.as_deref(), after.as_deref()];
                let wanted = [content_of(wanted[0])?, content_of(wanted[1])?];
                let asked = context.reading(async |database| {
                    let found = asking::artifact(&*database.ops_db, artifact).await?;
                    contents(database, found.artifact.id, wanted).await
                });
                asked.await?
            }
        };
        let found = Found::of(&before.1, &after.1);
        let operations = found.operations();
        let report = Report { before: before.0, after: after.0, operations, found };
        print_document(context.global.json, &report, |style| report.to_text(style, self.context))?;
        Ok(Verdict::Holds)
    }
}

impl Report {
    fn to_text(&self, style: Style, context: usize) -> String {
        if self.found.is_empty() {
            return format!("{} and {} are equal\n", self.before, self.after);
        }
        let mut text = format!("--- {}\n+++ {}\n", self.before, self.after);
        for line in self.found.lines(context) {
            let shown = guildhall_core::text::escape_for_terminal(&line.to_string()).into_owned();
            let shown = match line.kind {
                LineKind::Added | LineKind::Removed => style.strong(&shown),
                LineKind::Same | LineKind::Skipped => shown,
            };
            // A String takes whatever is written to it.
            let _ = writeln!(text, "{shown}");
        }
        text
    }
}

fn file(path: &Path) -> Result<Json> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Json::parse(&text)
        .with_context(|| format!("{} is not JSON that can be recorded", path.display()))
}

/// Which content of an artifact.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Number(u64),
    Cid(Cid),
}

fn content_of(text: Option<&str>) -> Result<Option<Wanted>> {
    let Some(text) = text else { return Ok(None) };
    let wanted = match (text.parse::<u64>(), text.parse::<Cid>()) {
        (Ok(number), _) if number > 0 => Wanted::Number(number),
        (_, Ok(cid)) => Wanted::Cid(cid),
        _ => {
            let what = format!("{text:?} names no content");
            return Err(Problem::usage(what, "write its number, from 1, or its CID").into());
        }
    };
    Ok(Some(wanted))
}

type Content = (String, Json);

/// The contents that are wanted; of those that are not named, the first is the last but one, the second
/// the last.
async fn contents(
    database: &Reading,
    id: ArtifactId,
    [before, after]: [Option<Wanted>; 2],
) -> Result<(Content, Content)> {
    let (mut version, mut number) = (Version::ZERO, 0_u64);
    let (mut named, mut last) = ([None, None], [None, None]);
    loop {
        let limit = ReadLimit::entries(BATCH);
        let entries = database.chronicle.read_stream(StreamId::from(id), version, limit).await?;
        let Some(end) = entries.last() else { break };
        version = end.version;
        for entry in &entries {
            let (cid, content) = match entry.decode() {
                Ok(Decoded::Event(Event::ArtifactRegistered(event))) => (event.cid, event.content),
                Ok(Decoded::Event(Event::ArtifactRevised(event))) => (event.cid, event.content),
                _ => continue,
            };
            if database.ops_db.quarantined_at(entry.position).await?.is_some() {
                continue;
            }
            number += 1;
            let found = (format!("{number} ({cid}, {})", entry.recorded_at), content);
            for (wanted, named) in [before, after].into_iter().zip(&mut named) {
                let is_it = wanted.is_some_and(|wanted| match wanted {
                    Wanted::Number(it) => it == number,
                    Wanted::Cid(it) => it == cid,
                });
                if is_it {
                    *named = Some(found.clone());
                }
            }
            last = [last[1].take(), Some(found)];
        }
    }
    let [mut named_before, mut named_after] = named;
    let [last_but_one, last] = last;
    if before.is_none() {
        named_before = last_but_one;
    }
    if after.is_none() {
        named_after = last;
    }
    named_before.zip(named_after).ok_or_else(|| {
        let what = format!("it has {number} contents, and not those that are to be compared");
        Problem::failed(what, "name two by their numbers, from 1, or their CIDs").into()
    })
}
