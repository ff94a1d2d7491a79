//! What records commands: it replays their streams, judges, completes and appends.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Clock, Command, InFuture, Wanted, clock};
use crate::chronicle::{
    Append, AppendError, Appended, Chronicle, DecodedEntry, Entry, Expected, NewEntry, ReadLimit,
};
use crate::custody::CustodyPolicy;
use crate::error::StoreError;
use crate::event::{Decoded, Event, decode};
use crate::fold::{Fold, FoldError, OnViolation};
use crate::ids::{AccordId, ArtifactId, EventId, Position, Revision, StreamId, Version};
use crate::invariant::{ArtifactHead, Code, Violation};
use crate::json::check_canonical;

/// Why a command was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It breaks an invariant.
    #[error("{}: {violation}", .violation.code())]
    Refused {
        /// The first invariant that it breaks.
        violation: Violation,
    },
    /// It says that it happens later than now and a tolerance. Mend its time, or record it then.
    #[error(transparent)]
    InFuture(#[from] InFuture),
    /// The Chronicle refused it. A [conflict](AppendError::Conflict) means that others kept
    /// writing to the same stream; try again.
    #[error(transparent)]
    Append(AppendError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RecordError {
    /// The code of the invariant that the command breaks; none where something else is wrong.
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { violation } => Some(violation.code()),
            Self::InFuture(_) | Self::Append(_) | Self::Store(_) => None,
        }
    }
}

/// What would become of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Judgement {
    /// It would be appended, unless somebody else wrote to its stream first.
    Sound {
        /// The entry, completed.
        entry: NewEntry,
        /// The version of the stream that it would follow.
        version: Version,
    },
    /// It is recorded already, under the same event id.
    Recorded(Appended),
}

/// How often a command is judged anew because somebody else wrote to its stream meanwhile.
pub(super) const MAX_ATTEMPTS: usize = 16;

/// How many streams' states are kept, so that a long stream is read once.
const MAX_REMEMBERED: usize = 10_000;

/// What is known of an artifact's stream up to a version.
#[derive(Debug, Clone)]
struct Remembered {
    version: Version,
    artifact: Option<ArtifactHead>,
}

/// Records commands, checked.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use std::sync::Arc;
/// use guildhall_core::command::{Act, Command, Recorder};
/// use guildhall_core::memory::MemoryChronicle;
/// use guildhall_core::*;
///
/// let recorder = Recorder::new(Arc::new(MemoryChronicle::new()), CustodyPolicy::standard());
/// let at: Timestamp = "2026-11-23T10:05:00Z".parse()?;
/// let accord = AccordBound::new("change control", "board", r#"{"approvals":2}"#.parse()?, at);
/// let zone = ArtifactRegistered::new(
///     accord.accord_id,
///     event::artifact_type::DNS_ZONE,
///     "example.com",
///     Tier::ZERO,
///     r#"{"ttl":300}"#.parse()?,
///     "https://example.com/zone.json",
/// );
/// let artifact_id = zone.artifact_id;
/// recorder.record(accord).await?;
/// recorder.record(zone).await?;
/// recorder.record(Command::transition(artifact_id, CustodyState::Drafted, Act::new("ada", "new", at))).await?;
/// let open = Command::open_ceremony(artifact_id, CeremonyId::new(), Act::new("ada", "please", at));
/// recorder.record(open).await?;
/// // Nobody deploys what no ceremony ratified.
/// let deploy = Command::transition(artifact_id, CustodyState::Deployed, Act::new("bob", "now", at));
/// assert_eq!(recorder.record(deploy).await.unwrap_err().code(), Some(Code::CC04));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Recorder {
    chronicle: Arc<dyn Chronicle>,
    policy: CustodyPolicy,
    clock: Clock,
    remembered: Mutex<HashMap<StreamId, Remembered>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Recorder").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Recorder {
    /// A recorder into this Chronicle, under this policy, by the host's clock.
    pub fn new(chronicle: Arc<dyn Chronicle>, policy: CustodyPolicy) -> Self {
        Self { chronicle, policy, clock: Clock::system(), remembered: Mutex::default() }
    }

    /// The same, by this clock: no event is recorded that says that it happened later than
    /// [`Clock::limit`].
    #[must_use]
    pub fn by_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Checks a command, completes it and appends it; returned means durable. A command whose
    /// event id its stream holds already is answered with where that stands.
    ///
    /// # Errors
    /// [`RecordError`]; nothing is written then, or, after [`RecordError::Store`], the same
    /// command under the same event id shows whether it was.
    ///
    /// # Cancel safety
    /// As after [`RecordError::Store`].
    pub async fn record(
        &self,
        command: impl Into<Command> + Send,
    ) -> Result<Appended, RecordError> {
        let command = command.into();
        let mut attempt = 1;
        let mut is_from_start = false;
        loop {
            let known = self.remembered().get(&command.stream()).cloned();
            let before = known.filter(|_| !is_from_start);
            is_from_start = before.is_none();
            match self.attempt(&command, before).await {
                Err(RecordError::Append(AppendError::Conflict { .. }))
                    if attempt < MAX_ATTEMPTS =>
                {
                    attempt += 1
                }
                // It may have been recorded before what is remembered: the whole stream shows.
                Err(
                    RecordError::Refused { .. }
                    | RecordError::InFuture(_)
                    | RecordError::Append(AppendError::IdReused { .. }),
                ) if !is_from_start => {
                    is_from_start = true;
                }
                outcome => return outcome,
            }
        }
    }

    async fn attempt(
        &self,
        command: &Command,
        before: Option<Remembered>,
    ) -> Result<Appended, RecordError> {
        let (stream, entry, version, fold) = match self.prepare(command, before).await? {
            Prepared::Recorded(appended) => return Ok(appended),
            Prepared::Sound { stream, entry, version, fold } => (stream, entry, version, fold),
        };
        let append = Append::of([*entry]).expecting(stream, Expected::Version(version));
        let answers = match self.chronicle.append(append).await {
            Ok(answers) => answers,
            Err(AppendError::Store(error)) => return Err(error.into()),
            Err(error) => return Err(RecordError::Append(error)),
        };
        self.remember(stream, version, &fold);
        answers.first().copied().ok_or_else(|| {
            StoreError::permanent("appending", "the Chronicle answered nothing for an entry").into()
        })
    }

    /// Checks a command and completes it, and appends nothing: what [`record`](Self::record) would do
    /// with it now. A store may still refuse to append what is judged sound: an event id that
    /// another stream has, metadata or a payload of a form or length that it does not take.
    ///
    /// # Errors
    /// [`RecordError`], as `record` would.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn judge(
        &self,
        command: impl Into<Command> + Send,
    ) -> Result<Judgement, RecordError> {
        Ok(match self.prepare(&command.into(), None).await? {
            Prepared::Recorded(appended) => Judgement::Recorded(appended),
            Prepared::Sound { entry, version, .. } => Judgement::Sound { entry: *entry, version },
        })
    }

    /// What a command is to append, judged against what its stream holds after `before`.
    async fn prepare(
        &self,
        command: &Command,
        before: Option<Remembered>,
    ) -> Result<Prepared, RecordError> {
        let stream = command.stream();
        let mut accords = HashSet::new();
        if let Wanted::Event(Event::ArtifactRegistered(event)) = &command.wanted {
            accords.insert(event.accord_id);
        }
        let sought = Some(command.event_id);
        let (fold, version) = match self.load(stream, accords, sought, before).await? {
            LogState::Recorded(entry) => return recorded(command, &entry).map(Prepared::Recorded),
            LogState::State { fold, version } => (fold, version),
        };
        let artifact_id = ArtifactId::from_uuid(*stream.as_uuid());
        let event = command
            .complete(fold.artifact(artifact_id))
            .map_err(|violation| RecordError::Refused { violation })?;
        let entry = NewEntry {
            metadata: command.metadata.clone(),
            recorded_at: command.recorded_at,
            ..NewEntry::with_id(command.event_id, &event)
        };
        // `CC00` first: terms that are no object, say, make a sound struct and a payload that no
        // projector reads. What no payload can hold, the append refuses.
        if check_canonical(entry.payload.as_str()).is_ok() {
            decode(&entry.event_type, stream, entry.payload.as_str())
                .map_err(|violation| RecordError::Refused { violation })?;
        }
        clock::check_time(command.event_id, &event, command.recorded_at, self.clock.limit())?;
        fold.judge(&event).map_err(|violation| RecordError::Refused { violation })?;
        Ok(Prepared::Sound { stream, entry: Box::new(entry), version, fold })
    }

    /// What the Chronicle says of an artifact, which an Ops DB may not say yet: what the next command
    /// about it is judged against. None where it is not registered.
    ///
    /// # Errors
    /// The store's own.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn artifact(
        &self,
        artifact_id: ArtifactId,
    ) -> Result<Option<ArtifactHead>, StoreError> {
        let stream = artifact_id.into();
        let before = self.remembered().get(&stream).cloned();
        match self.load(stream, HashSet::new(), None, before).await? {
            LogState::State { fold, version } => {
                self.remember(stream, version, &fold);
                Ok(fold.artifact(artifact_id).cloned())
            }
            LogState::Recorded(_) => Ok(None),
        }
    }

    /// Replays what is new in a stream, and in the accords that it names, up to the entry of this id
    /// if it is among them.
    async fn load(
        &self,
        stream: StreamId,
        mut accords: HashSet<AccordId>,
        sought: Option<EventId>,
        before: Option<Remembered>,
    ) -> Result<LogState, StoreError> {
        let mut fold = Fold::over_empty_tables(self.policy.clone(), OnViolation::Quarantine);
        let mut version = Version::ZERO;
        if let Some(before) = before {
            version = before.version;
            if let Some(head) = before.artifact {
                // From the stream itself, which says of no position that it wrote a row. Which revision
                // it is nobody asks: nothing is written.
                let row = Some((Position::ZERO, Revision::FIRST, head));
                fold.heads_mut().know_artifact(ArtifactId::from_uuid(*stream.as_uuid()), row);
            }
        }
        let mut entries: Vec<DecodedEntry> = Vec::new();
        while let Some(page) = self.page(stream, version).await? {
            version = page.last().map_or(version, |entry| entry.version);
            for entry in page {
                if Some(entry.event_id) == sought {
                    return Ok(LogState::Recorded(entry));
                }
                let entry = DecodedEntry::from(entry);
                match &entry.decoded {
                    // Observations change nothing that a command is judged by.
                    Ok(Decoded::Event(
                        Event::DeploymentObserved(_) | Event::VerificationRecorded(_),
                    )) => continue,
                    Ok(Decoded::Event(Event::ArtifactRegistered(event))) => {
                        accords.insert(event.accord_id);
                    }
                    _ => {}
                }
                entries.push(entry);
            }
        }
        for accord in accords {
            let mut accord_version = Version::ZERO;
            while let Some(page) = self.page(accord.into(), accord_version).await? {
                accord_version = page.last().map_or(accord_version, |entry| entry.version);
                entries.extend(page.into_iter().map(DecodedEntry::from));
            }
        }
        entries.sort_by_key(|entry| entry.position);
        let halted = fold.apply(entries).map_err(bug)?;
        debug_assert!(halted.is_none(), "the fold is to quarantine");
        Ok(LogState::State { fold: Box::new(fold), version })
    }

    async fn page(
        &self,
        stream: StreamId,
        after: Version,
    ) -> Result<Option<Vec<Entry>>, StoreError> {
        let page = self.chronicle.read_stream(stream, after, ReadLimit::entries(1000)).await?;
        Ok(if page.is_empty() { None } else { Some(page) })
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<StreamId, Remembered>> {
        // The map is whole between any two of its operations.
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, stream: StreamId, version: Version, fold: &Fold) {
        let artifact = fold.artifact(ArtifactId::from_uuid(*stream.as_uuid())).cloned();
        let mut remembered = self.remembered();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(stream, Remembered { version, artifact });
    }
}

/// What the log holds that a command goes by.
enum LogState {
    /// The entry that was sought.
    Recorded(Entry),
    /// What a command is judged against.
    State { fold: Box<Fold>, version: Version },
}

/// What is to be done about a command.
enum Prepared {
    /// Nothing: it was recorded before.
    Recorded(Appended),
    /// This is to be appended to the stream, which has this version.
    Sound { stream: StreamId, entry: Box<NewEntry>, version: Version, fold: Box<Fold> },
}

/// The answer to a command that was recorded before. A different event under its id is refused by
/// the append itself; a command that the chain completes cannot be compared.
fn recorded(command: &Command, entry: &Entry) -> Result<Appended, RecordError> {
    if let Wanted::Event(event) = &command.wanted
        && event.to_payload().as_str() != &*entry.payload
    {
        return Err(RecordError::Append(AppendError::IdReused {
            event_id: command.event_id,
            position: entry.position,
            differs: "data",
        }));
    }
    Ok(Appended {
        position: entry.position,
        version: entry.version,
        was_recorded: true,
        differs: None,
    })
}

fn bug(error: FoldError) -> StoreError {
    StoreError::permanent("replaying a stream", error)
}
