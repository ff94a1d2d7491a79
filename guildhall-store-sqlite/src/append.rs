//! Group commit: one thread that appends for every caller of this process.
//!
//! Dense order lets one transaction at a time into the log, so what waits while one commits goes
//! into the next together and shares its sync.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use guildhall_core::store::{Admitted, AppendState, Mark, Recorded, Seen, Versions};
use guildhall_core::{
    Append, AppendError, Appended, Entry, EventId, EventType, LogFault, Origin, StoreError,
    StreamId, Timestamp, Version,
};
use rusqlite::{Connection, Statement, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::connection::{DatabaseFile, Gate, Role};
use crate::crew::{Crew, Stop};
use crate::entries::{Failure, Stored, View, check_mark};
use crate::lease::ops_checkpoint;
use crate::ops_rows::TimeText;
use crate::options::SqliteOptions;
use crate::place::Place;
use crate::watch::Signal;

const DOING: &str = "appending to the Chronicle";

/// Hands appends to the thread that commits them, which ends when the last clone is dropped or the
/// store closed.
#[derive(Debug, Clone)]
pub(crate) struct Appender {
    requests: mpsc::Sender<Message>,
    // After the sender: the last one to drop the crew waits for the thread.
    crew: Arc<Crew>,
}

#[derive(Debug)]
enum Request {
    Append { append: Append, answer: oneshot::Sender<Result<Vec<Appended>, AppendError>> },
    FixOrigin { origin: Origin, answer: oneshot::Sender<Result<Origin, StoreError>> },
}

/// What stands in the queue.
#[derive(Debug)]
enum Message {
    Request(Request),
    Stop,
}

impl From<Stop> for Message {
    fn from(_: Stop) -> Self {
        Self::Stop
    }
}

impl Appender {
    /// How many requests may wait before a caller does.
    const QUEUED_REQUESTS: usize = 256;

    /// Starts the thread. Blocks for a moment.
    pub(crate) fn start(
        file: &DatabaseFile,
        ops_file: Option<&DatabaseFile>,
        seen: Arc<Seen>,
        crew: &Arc<Crew>,
        options: &SqliteOptions,
    ) -> Result<Self, StoreError> {
        let (requests, queue) = mpsc::channel(Self::QUEUED_REQUESTS);
        let mut committer = Committer {
            connection: file.connect(Role::Append)?,
            place: file.place()?,
            seen,
            guard: Some(Guard { ops: ops_file.map(|file| file.connect(Role::Read)).transpose()? }),
            gate: file.gate().clone(),
            signal: Signal::of(file.path()),
            queue,
            left_over: None,
            versions: None,
            last_group: (0, Duration::ZERO),
            group_entries: options.group_entries,
            group_bytes: options.group_bytes,
            payload_limit_bytes: options.payload_limit_bytes,
        };
        crew.start(
            "guildhall-append",
            requests.downgrade(),
            move || {
                while committer.commit_group() {}
            },
        )?;
        Ok(Self { requests, crew: Arc::clone(crew) })
    }

    /// See [`Chronicle::append`](guildhall_core::Chronicle::append).
    pub(crate) async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Append { append, answer }).await?;
        answered.await.map_err(|_| self.crew.no_answer(DOING))?
    }

    /// See [`Chronicle::fix_origin`](guildhall_core::Chronicle::fix_origin).
    pub(crate) async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::FixOrigin { origin, answer }).await?;
        answered.await.map_err(|_| self.crew.no_answer(DOING))?
    }

    async fn send(&self, request: Request) -> Result<(), StoreError> {
        self.requests.send(Message::Request(request)).await.map_err(|_| self.crew.no_answer(DOING))
    }
}

impl Request {
    /// How many entries and bytes it puts into a transaction.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Append { append, .. } => {
                let bytes = append.entries.iter().map(|entry| entry.payload.as_str().len()).sum();
                (append.entries.len(), bytes)
            }
            Self::FixOrigin { .. } => (0, 0),
        }
    }

    /// Whether nobody waits for its answer any more.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Append { answer, .. } => answer.is_closed(),
            Self::FixOrigin { answer, .. } => answer.is_closed(),
        }
    }
}

/// An answer that is true once the transaction is committed.
enum Reply {
    Append(oneshot::Sender<Result<Vec<Appended>, AppendError>>, Result<Vec<Appended>, AppendError>),
    FixOrigin(oneshot::Sender<Result<Origin, StoreError>>, Origin),
}

impl Reply {
    fn send(self, committed: &Result<(), Failure>) {
        // A caller that has gone meanwhile wants no answer.
        match (self, committed) {
            // A refusal wrote nothing; but it was judged against a state that did not come to be.
            (Self::Append(answer, outcome), Ok(())) => drop(answer.send(outcome)),
            (Self::Append(answer, _), Err(failure)) => {
                drop(answer.send(Err(failure.to_error(DOING).into())))
            }
            (Self::FixOrigin(answer, origin), Ok(())) => drop(answer.send(Ok(origin))),
            (Self::FixOrigin(answer, _), Err(failure)) => {
                drop(answer.send(Err(failure.to_error(DOING))))
            }
        }
    }
}

/// How long the committer waits for more callers at most.
const MAX_PATIENCE: Duration = Duration::from_millis(1);

/// Requests that share a transaction.
struct Group {
    requests: Vec<Request>,
    entries: usize,
    bytes: usize,
}

impl Group {
    fn of(first: Request) -> Self {
        let mut group = Self { requests: Vec::new(), entries: 0, bytes: 0 };
        group.add(first);
        group
    }

    fn add(&mut self, request: Request) {
        let (entries, bytes) = request.size();
        self.entries += entries;
        self.bytes += bytes;
        self.requests.push(request);
    }
}

/// The thread's own.
struct Committer {
    connection: Connection,
    place: Place,
    seen: Arc<Seen>,
    /// Absent once it has let a group pass.
    guard: Option<Guard>,
    gate: Gate,
    signal: Arc<Signal>,
    queue: mpsc::Receiver<Message>,
    /// Taken from the queue, but too much for the last group.
    left_over: Option<Request>,
    /// As the last group left them; none where it failed.
    versions: Option<Versions>,
    /// How many callers shared the last group, and how long its commit took.
    last_group: (usize, Duration),
    group_entries: usize,
    group_bytes: usize,
    payload_limit_bytes: usize,
}

impl Committer {
    /// Waits for requests and commits a group of them; false when nobody can send any more.
    fn commit_group(&mut self) -> bool {
        let Some(first) = self.left_over.take().or_else(|| self.next_request()) else {
            return false;
        };
        // A panic answers its group by dropping it, rolls back, and leaves the store open.
        let gate = self.gate.clone();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut group = Group::of(first);
            self.gather(&mut group);
            let turn = gate.enter();
            self.gather_waiting(&mut group);
            let began = Instant::now();
            let callers = group.requests.len();
            let (replies, committed) = self.commit(group.requests);
            drop(turn);
            self.last_group = (callers, began.elapsed());
            replies.into_iter().for_each(|reply| reply.send(&committed));
        }));
        if outcome.is_err() {
            tracing::error!("an append panicked");
        }
        true
    }

    /// Waits for a request; none when nobody can send any more.
    fn next_request(&mut self) -> Option<Request> {
        loop {
            match self.queue.blocking_recv()? {
                Message::Request(request) => return Some(request),
                Message::Stop => self.queue.close(),
            }
        }
    }

    /// Takes what is waiting, and what arrives right after. Callers that got their answers together come
    /// back together: without patience, the first of them would have a sync to itself while the
    /// others wait for theirs. So it waits for as many as last time, for at most half as long as
    /// their commit took.
    fn gather(&mut self, group: &mut Group) {
        let (callers, took) = self.last_group;
        let deadline = Instant::now() + (took / 2).min(MAX_PATIENCE);
        self.gather_waiting(group);
        while group.requests.len() < callers && self.has_room() && Instant::now() < deadline {
            thread::yield_now();
            self.gather_waiting(group);
        }
    }

    fn has_room(&self) -> bool {
        self.left_over.is_none()
    }

    /// Takes what waits, up to the limits.
    fn gather_waiting(&mut self, group: &mut Group) {
        while self.has_room()
            && let Ok(next) = self.queue.try_recv()
        {
            let Message::Request(next) = next else {
                self.queue.close();
                continue;
            };
            let (entries, bytes) = next.size();
            if group.entries + entries > self.group_entries
                || group.bytes + bytes > self.group_bytes
            {
                self.left_over = Some(next);
            } else {
                group.add(next);
            }
        }
    }

    fn commit(&mut self, group: Vec<Request>) -> (Vec<Reply>, Result<(), Failure>) {
        let mut replies = Vec::with_capacity(group.len());
        let mut requests = group.into_iter().filter(|request| !request.is_abandoned());
        let committed = self.try_commit(&mut requests, &mut replies);
        if committed.is_err() {
            // Those that the failure came before share it.
            replies.extend(requests.map(|request| match request {
                Request::Append { answer, .. } => Reply::Append(answer, Ok(Vec::new())),
                Request::FixOrigin { origin, answer } => Reply::FixOrigin(answer, origin),
            }));
        }
        (replies, committed)
    }

    fn try_commit(
        &mut self,
        requests: &mut impl Iterator<Item = Request>,
        replies: &mut Vec<Reply>,
    ) -> Result<(), Failure> {
        self.place.check()?;
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = self.versions.take();
        let mut log = Log::load(&transaction, &self.seen, before, self.payload_limit_bytes)?;
        if let Some(guard) = &self.guard {
            guard.check(&log)?;
        }
        for request in requests {
            match request {
                Request::Append { append, answer } => match log.append(append) {
                    Ok(outcome) => replies.push(Reply::Append(answer, outcome)),
                    Err(failure) => {
                        replies.push(Reply::Append(answer, Ok(Vec::new())));
                        return Err(failure);
                    }
                },
                Request::FixOrigin { origin, answer } => {
                    let fixed = log.fix_origin(&origin);
                    replies.push(Reply::FixOrigin(answer, log.origin.clone()));
                    fixed?;
                }
            }
        }
        let (head, last, versions) = (log.state.head(), log.last, log.versions);
        transaction.commit()?;
        // Committed into a file that was replaced meanwhile, it is as good as lost.
        self.place.check()?;
        self.guard = None;
        self.versions = Some(versions);
        if let Some(Mark { position, leaf_hash }) = last {
            self.seen.note(position, leaf_hash);
        }
        self.signal.tell(head);
        Ok(())
    }
}

/// Refuses to append to a log that lacks what was projected from it: its end was cut off, as when a
/// file was copied without the log beside it. Positions that were acknowledged would be assigned
/// again, and under another origin if that was lost too. A rebuild sets the checkpoint back.
struct Guard {
    /// The Ops DB, where it is in a file of its own.
    ops: Option<Connection>,
}

impl Guard {
    fn check(&self, log: &Log<'_>) -> Result<(), Failure> {
        let connection = self.ops.as_ref().unwrap_or(log.connection);
        let Some(checkpoint) = ops_checkpoint(connection)? else { return Ok(()) };
        if let Some(leaf_hash) = checkpoint.leaf_hash {
            check_mark(log.connection, Mark { position: checkpoint.position, leaf_hash })?;
        }
        match checkpoint.origin {
            Some(expected) if expected != log.origin => {
                Err(LogFault::OriginChanged { found: log.origin.clone(), expected }.into())
            }
            _ => Ok(()),
        }
    }
}

/// The log inside a transaction.
struct Log<'t> {
    connection: &'t Connection,
    /// The origin that the entries have: fixed, or about to be.
    origin: Origin,
    is_origin_fixed: bool,
    state: AppendState,
    versions: Versions,
    payload_limit_bytes: usize,
    /// The last entry that was inserted.
    last: Option<Mark>,
}

impl<'t> Log<'t> {
    fn load(
        connection: &'t Connection,
        seen: &Seen,
        before: Option<Versions>,
        payload_limit_bytes: usize,
    ) -> Result<Self, Failure> {
        let view = View::of(connection, seen)?;
        let head = view.head()?.position;
        let fixed = view.origin().cloned();
        let is_origin_fixed = fixed.is_some();
        let origin = fixed.unwrap_or_else(Origin::unique);
        let state = AppendState::new(origin.clone(), head, payload_limit_bytes);
        let versions = before.map_or_else(|| Versions::at(head), |before| before.still_at(head));
        let last = None;
        Ok(Self { connection, origin, is_origin_fixed, state, versions, payload_limit_bytes, last })
    }

    fn fix_origin(&mut self, origin: &Origin) -> Result<(), Failure> {
        if !self.is_origin_fixed {
            self.origin = origin.clone();
            // Leaf hashes commit to the origin. There is no entry yet that has one.
            self.state =
                AppendState::new(self.origin.clone(), self.state.head(), self.payload_limit_bytes);
            self.insert_origin()?;
        }
        Ok(())
    }

    fn insert_origin(&mut self) -> Result<(), Failure> {
        self.connection
            .prepare_cached("INSERT INTO chronicle_origin (id, origin) VALUES (1, ?1)")?
            .execute([self.origin.as_str()])?;
        self.is_origin_fixed = true;
        Ok(())
    }

    /// Judges one append and writes what it adds; the inner error refuses it and has no effect.
    fn append(&mut self, append: Append) -> Result<Result<Vec<Appended>, AppendError>, Failure> {
        let mut load = self.connection.prepare_cached(
            "SELECT coalesce(max(version), 0) FROM chronicle_entries WHERE stream_id = ?1",
        )?;
        for stream in AppendState::streams(&append) {
            if !self.state.knows_version(stream) {
                let version = match self.versions.get(stream) {
                    Some(version) => version,
                    None => load_version(&mut load, stream)?,
                };
                self.versions.learn([(stream, version)].into_iter());
                self.state.know_version(stream, version);
            }
        }
        let mut load = self.connection.prepare_cached(
            "SELECT position, event_id, stream_id, version, event_type, payload, metadata,
                 recorded_at
             FROM chronicle_entries WHERE event_id = ?1",
        )?;
        for entry in &append.entries {
            if let Some(recorded) = load_recorded(&mut load, entry.event_id)? {
                self.state.know_recorded(entry.event_id, recorded);
            }
        }
        let Admitted { entries, answers } = match self.state.admit(append, Timestamp::now()) {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if !entries.is_empty() && !self.is_origin_fixed {
            self.insert_origin()?;
        }
        if let Some(last) = entries.last() {
            let mut insert =
                self.connection.prepare_cached(include_str!("sql/insert_entry.sql"))?;
            for entry in &entries {
                insert_entry(&mut insert, entry)?;
            }
            self.versions.extend(&entries);
            self.last = Some(Mark { position: last.position, leaf_hash: last.leaf_hash });
        }
        Ok(Ok(answers))
    }
}

fn load_version(load: &mut Statement<'_>, stream: StreamId) -> rusqlite::Result<Version> {
    let version: i64 = load.query_row([stream.as_uuid().as_bytes()], |row| row.get(0))?;
    Ok(Version::from_i64(version).unwrap_or(Version::MAX))
}

fn load_recorded(load: &mut Statement<'_>, event_id: EventId) -> Result<Option<Recorded>, Failure> {
    let mut rows = load.query([event_id.as_uuid().as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let stored = Stored::at(row, 0)?;
    Ok(Some(Recorded {
        position: stored.position(),
        version: stored.version(3)?,
        event_type: EventType::new(stored.text(4, "event_type")?),
        stream_id: StreamId::from_uuid(stored.uuid(2, "stream_id")?),
        payload: stored.text(5, "payload")?.into(),
        metadata: stored.metadata(6)?,
        recorded_at: stored.recorded_at()?,
    }))
}

fn insert_entry(insert: &mut Statement<'_>, entry: &Entry) -> rusqlite::Result<()> {
    insert.execute((
        entry.position.as_i64(),
        entry.event_id.as_uuid().as_bytes(),
        entry.stream_id.as_uuid().as_bytes(),
        entry.version.as_i64(),
        entry.event_type.as_str(),
        &*entry.payload,
        entry.metadata.to_json(),
        TimeText::from(entry.recorded_at),
        entry.leaf_hash.as_bytes(),
    ))?;
    Ok(())
}
