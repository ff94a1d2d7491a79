use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use guildhall::Guild;
use guildhall_core::command::{Command, Judgement, RecordError, Recorder};
use guildhall_core::event::{EventKind, TYPE_PREFIX};
use guildhall_core::jsonl::ENVELOPE_BYTES;
use guildhall_core::text::escape_for_terminal;
use guildhall_core::{
    Appended, Chronicle, Code, EventId, MAX_PAYLOAD_BYTES, Metadata, Position, ReadLimit, StreamId,
    Timestamp, Version,
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use super::Context;
use crate::database::Reading;
use crate::draft::{
    Accord, Artifact, Draft, Observation, Opening, Revision, Transition, Verification,
};
use crate::ending::Ending;
use crate::entries::Data;
use crate::error::{Problem, Verdict};
use crate::input::Input;
use crate::output::print_document;

/// How long the JSON of one event may be, in bytes.
const MOST_BYTES: u64 = (MAX_PAYLOAD_BYTES + ENVELOPE_BYTES) as u64;

/// Record one event, checked against the chain of custody
///
/// From JSON (a CloudEvent as `guildhall export` writes it, or `type` and `data` alone) or from flags. Ids,
/// hashes and times that are left out are filled in. An event that breaks an invariant is refused with
/// its code, and nothing is written; exit code 1. `guildhall project` then brings the tables up to date.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, subcommand_precedence_over_arg = true)]
pub struct Record {
    /// A file with one event as JSON; - for standard input
    #[arg(value_name = "FILE|-", required = true)]
    file: Option<PathBuf>,

    #[command(subcommand)]
    which: Option<Box<Which>>,

    /// Say what would be recorded, or refused, and write nothing
    #[arg(long, global = true)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// Bind an accord: the terms that artifacts are governed under
    Accord(Given<Accord>),
    /// Register an artifact, with its first content
    Artifact(Given<Artifact>),
    /// Replace an artifact's content
    Revision(Given<Revision>),
    /// Move an artifact's custody
    Transition(Given<Transition>),
    /// Open a ceremony on an artifact's present content
    OpenCeremony(Given<Opening>),
    /// Say what runs on a target
    Observation(Given<Observation>),
    /// Say what a verifier found
    Verification(Given<Verification>),
}

/// An event from flags.
#[derive(Debug, Args)]
struct Given<D: Args> {
    #[command(flatten)]
    draft: D,

    /// Its event id: recording it twice under one id records it once
    #[arg(long, value_name = "ID")]
    event_id: Option<EventId>,

    /// Shared by all events of one undertaking, such as a change number
    #[arg(long, value_name = "TEXT")]
    correlation_id: Option<String>,

    /// The event or command that caused it
    #[arg(long, value_name = "TEXT")]
    causation_id: Option<String>,
}

/// An event from JSON: a CloudEvent, or what matters of one. What else it has is ignored.
#[derive(Debug, Deserialize)]
struct Line<D> {
    r#type: String,
    id: Option<EventId>,
    subject: Option<StreamId>,
    time: Option<String>,
    correlationid: Option<String>,
    causationid: Option<String>,
    traceparent: Option<String>,
    data: D,
}

/// What became of an event, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Recorded,
    RecordedBefore,
    /// It would be recorded.
    Sound,
    /// It was refused, or would be.
    Refused,
}

#[derive(Debug, Serialize)]
struct Document {
    outcome: Outcome,
    position: Option<Position>,
    event_id: Option<EventId>,
    stream_id: Option<StreamId>,
    version: Option<Version>,
    r#type: Option<String>,
    data: Option<Data>,
    code: Option<Code>,
    reason: Option<String>,
}

impl Record {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let command = match (self.which, self.file) {
            (Some(which), None) => which.into_command()?,
            (None, Some(file)) => context.ending.or_ends(from_json(&file)).await?,
            (Some(_), Some(_)) | (None, None) => {
                let next = "see `guildhall record --help`";
                return Err(Problem::usage("name a file, or one event by flags", next).into());
            }
        };
        let outcome = if self.dry_run {
            let policy = context.policy.clone();
            let judged = async |database: &Reading| {
                judge(&database.recorder(policy), &*database.chronicle, command).await
            };
            context.reading(judged).await
        } else {
            let recorded = async |guild: &Guild, ending: &mut Ending| {
                ending.or_ends(record(&guild.recorder(), &*guild.chronicle(), command)).await
            };
            context.writing(|guild| guild, recorded).await
        };
        let is_json = context.global.json;
        let (document, verdict) = match outcome {
            Ok(document) => (document, Verdict::Holds),
            Err(error) => match error.downcast_ref() {
                Some(RecordError::Refused { violation }) if is_json => {
                    let (code, reason) = (violation.code(), violation.to_string());
                    (Document::refused(code, reason), Verdict::DoesNotHold)
                }
                _ => return Err(error),
            },
        };
        print_document(is_json, &document, |_| document.to_text())?;
        Ok(verdict)
    }
}

async fn record(
    recorder: &Recorder,
    chronicle: &dyn Chronicle,
    command: Command,
) -> Result<Document> {
    let appended = recorder.record(command).await?;
    Document::recorded(chronicle, appended).await
}

async fn judge(
    recorder: &Recorder,
    chronicle: &dyn Chronicle,
    command: Command,
) -> Result<Document> {
    Ok(match recorder.judge(command).await? {
        Judgement::Recorded(appended) => Document::recorded(chronicle, appended).await?,
        Judgement::Sound { entry, version } => Document {
            outcome: Outcome::Sound,
            position: None,
            event_id: Some(entry.event_id),
            stream_id: Some(entry.stream_id),
            version: version.checked_add(1),
            r#type: Some(entry.event_type.as_str().to_owned()),
            data: Some(Data::Json(entry.payload)),
            code: None,
            reason: None,
        },
        _ => anyhow::bail!("the recorder judged in a way that this program does not know"),
    })
}

impl Document {
    /// The entry as it stands in the log now.
    async fn recorded(chronicle: &dyn Chronicle, appended: Appended) -> Result<Self> {
        let position = appended.position;
        let found = chronicle.read(position.previous(), ReadLimit::entries(1)).await?;
        let entry = found.into_iter().next().filter(|entry| entry.position == position);
        let entry = entry.with_context(|| format!("position {position} is not in the log"))?;
        let was_recorded = appended.was_recorded;
        Ok(Self {
            outcome: if was_recorded { Outcome::RecordedBefore } else { Outcome::Recorded },
            position: Some(position),
            event_id: Some(entry.event_id),
            stream_id: Some(entry.stream_id),
            version: Some(entry.version),
            r#type: Some(entry.event_type.as_str().to_owned()),
            data: Some(Data::of(entry.payload)),
            code: None,
            reason: None,
        })
    }

    fn refused(code: Code, reason: String) -> Self {
        Self {
            outcome: Outcome::Refused,
            position: None,
            event_id: None,
            stream_id: None,
            version: None,
            r#type: None,
            data: None,
            code: Some(code),
            reason: Some(reason),
        }
    }

    fn to_text(&self) -> String {
        let mut text = match (self.outcome, self.position) {
            (Outcome::Recorded, Some(position)) => format!("recorded at position {position}"),
            (Outcome::RecordedBefore, Some(position)) => {
                format!("recorded before, at position {position}")
            }
            _ => "would be recorded".to_owned(),
        };
        if let (Some(event_type), Some(version), Some(stream)) =
            (&self.r#type, self.version, self.stream_id)
        {
            let short = event_type.strip_prefix(TYPE_PREFIX).unwrap_or(event_type);
            // Writing into a text cannot fail.
            let _ = write!(text, ": {short}, version {version} of {stream}");
        }
        text.push('\n');
        if let (Outcome::Sound, Some(data)) = (self.outcome, &self.data) {
            text += &data.to_text();
        }
        text
    }
}

impl Which {
    fn into_command(self) -> Result<Command> {
        match self {
            Self::Accord(given) => given.into_command(),
            Self::Artifact(given) => given.into_command(),
            Self::Revision(given) => given.into_command(),
            Self::Transition(given) => given.into_command(),
            Self::OpenCeremony(given) => given.map(Transition::from).into_command(),
            Self::Observation(given) => given.into_command(),
            Self::Verification(given) => given.into_command(),
        }
    }
}

impl<D: Args> Given<D> {
    fn map<E: Args>(self, to: impl FnOnce(D) -> E) -> Given<E> {
        let Self { draft, event_id, correlation_id, causation_id } = self;
        Given { draft: to(draft), event_id, correlation_id, causation_id }
    }
}

impl<D: Draft> Given<D> {
    fn into_command(self) -> Result<Command> {
        let next = "see `guildhall record --help`";
        let command = self.draft.into_command().map_err(|what| Problem::usage(what, next))?;
        let metadata =
            Metadata::default().correlation_id(self.correlation_id).causation_id(self.causation_id);
        Ok(labelled(command, self.event_id, metadata))
    }
}

fn labelled(command: Command, event_id: Option<EventId>, metadata: Metadata) -> Command {
    let command = command.with_metadata(metadata);
    match event_id {
        Some(event_id) => command.with_id(event_id),
        None => command,
    }
}

/// The event that a file holds.
async fn from_json(path: &Path) -> Result<Command> {
    let input = Input::named(path).await?;
    let name = input.name().to_owned();
    let wrong = |what: &dyn std::fmt::Display| {
        let what = format!("{}: {what}", escape_for_terminal(&name));
        Problem::usage(what, "correct the JSON; JSON.md says what `guildhall record` takes")
    };
    let mut bytes = Vec::new();
    let reading = input.into_reader().take(MOST_BYTES + 1).read_to_end(&mut bytes).await;
    reading.with_context(|| format!("reading {name}"))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(wrong(&format!("longer than {MOST_BYTES} bytes")).into());
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| wrong(&error))?;
    // First which event it is, then its members: so both errors know their place.
    let event_type = parse::<Line<IgnoredAny>>(text).map_err(|error| wrong(&error))?.r#type;
    let kind = EventKind::from_type(&event_type)
        .or_else(|| EventKind::from_type(&format!("{TYPE_PREFIX}{event_type}")));
    let command = match kind {
        Some(EventKind::AccordBound) => command_of::<Accord>(text),
        Some(EventKind::ArtifactRegistered) => command_of::<Artifact>(text),
        Some(EventKind::ArtifactRevised) => command_of::<Revision>(text),
        Some(EventKind::CustodyTransitioned) => command_of::<Transition>(text),
        Some(EventKind::DeploymentObserved) => command_of::<Observation>(text),
        Some(EventKind::VerificationRecorded) => command_of::<Verification>(text),
        _ => {
            let types: Vec<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
            Err(format!("type is {event_type:?}, and has to be one of {}", types.join(", ")))
        }
    };
    Ok(command.map_err(|what| wrong(&what))?)
}

fn command_of<D: Draft>(text: &str) -> std::result::Result<Command, String> {
    let line: Line<D> = parse(text).map_err(|error| error.to_string())?;
    let about = line.data.stream();
    if let (Some(subject), Some(about)) = (line.subject, about)
        && subject != about
    {
        return Err(format!("subject is {subject}, and data is about {about}"));
    }
    let mut command = line.data.into_command()?;
    if let Some(time) = line.time {
        let time: Timestamp = time.parse().map_err(|error| format!("time: {error}"))?;
        command = command.recorded_at(time);
    }
    let metadata = Metadata::default()
        .correlation_id(line.correlationid)
        .causation_id(line.causationid)
        .traceparent(line.traceparent);
    Ok(labelled(command, line.id, metadata))
}

/// What nests deep is held to its limit by `Json`.
fn parse<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    let value = T::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}
