//! The task that commits: what waits becomes a group, and a group one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use guildhall_core::store::{Admitted, Seen};
use guildhall_core::{Append, Origin, Timestamp};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::{Judged, Outcome, Request};
use crate::database::Database;
use crate::entries::Failure;
use crate::error::has_sqlstate;
use crate::holder::find_head_holder;
use crate::log::{LogState, Repeated, append_entries, insert_origin, is_recorded, lock_head};
use crate::options::PostgresOptions;
use crate::standbys::{NoStandby, Standbys};
use crate::watch::Signal;

/// The task's own.
pub(super) struct Committer {
    database: Database,
    signal: Arc<Signal>,
    /// What was acknowledged and read, whatever connection is lost meanwhile.
    seen: Arc<Seen>,
    queue: mpsc::Receiver<Request>,
    /// Taken from the queue, but too much for the last group.
    left_over: Option<Request>,
    /// How many callers shared the last group, and how long its commit took.
    last_group: (usize, Duration),
    group_entries: usize,
    group_bytes: usize,
    payload_limit_bytes: usize,
    requires_standby: bool,
    outage_patience: Duration,
    /// Since when no server was written to, although somebody wanted to.
    outage_since: Option<Instant>,
    /// Kept while there is work, and a moment longer, unless others may be waiting for one.
    connection: Option<PoolConnection<Postgres>>,
    /// What the log holds, unless somebody else appended since.
    log: Option<LogState>,
    /// Whether nobody else appended lately.
    is_alone: bool,
    /// Whether the last group had events that were recorded before.
    expects_repeats: bool,
}

impl Committer {
    /// How long an idle connection is kept: giving it back and taking it again costs more than a
    /// round trip, which a caller that appends one event after the other would pay each time.
    const LINGER: Duration = Duration::from_millis(100);

    /// How long to wait for more callers at most.
    const MAX_PATIENCE: Duration = Duration::from_millis(1);

    /// How long to look for whoever is in the way.
    const LOOK: Duration = Duration::from_secs(2);

    /// How often a group is tried at least while its connections break, the first time included. An
    /// outage that lasted longer than anybody wants to wait costs those who come later no more.
    const LEAST_ATTEMPTS: u32 = 4;

    /// A committer of what is in this queue.
    pub(super) fn new(
        database: &Database,
        signal: &Arc<Signal>,
        seen: &Arc<Seen>,
        queue: mpsc::Receiver<Request>,
        options: &PostgresOptions,
    ) -> Self {
        Self {
            database: database.clone(),
            signal: Arc::clone(signal),
            seen: Arc::clone(seen),
            queue,
            left_over: None,
            group_entries: options.group_entries,
            group_bytes: options.group_bytes,
            payload_limit_bytes: options.payload_limit_bytes,
            requires_standby: options.require_synchronous_standby,
            outage_patience: options.outage_patience,
            outage_since: None,
            last_group: (0, Duration::ZERO),
            connection: None,
            log: None,
            is_alone: true,
            expects_repeats: false,
        }
    }

    /// Commits until nobody can append any more.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.next().await {
            let group = self.gather(first).await;
            let (callers, began) = (group.len(), Instant::now());
            let committed = self.commit(&group).await;
            self.last_group = (callers, began.elapsed());
            match committed {
                Ok(outcomes) => {
                    group.into_iter().zip(outcomes).for_each(|(request, it)| request.answer(it));
                }
                Err(failure) => group.into_iter().for_each(|request| request.fail(&failure)),
            }
        }
    }

    /// The next request; none when nobody can send any more.
    async fn next(&mut self) -> Option<Request> {
        if let Some(request) = self.left_over.take() {
            return Some(request);
        }
        if self.connection.is_some() || self.log.is_some() {
            if let Ok(request) = timeout(Self::LINGER, self.queue.recv()).await {
                return request;
            }
            // What happens to the database meanwhile, a restore say, no head row would tell.
            (self.connection, self.log) = (None, None);
        }
        self.queue.recv().await
    }

    /// Takes what is waiting, and what arrives right after. Callers that got their answers together come
    /// back together: without patience, the first of them would have a sync to itself while the
    /// others wait for theirs. So it waits for as many as last time, for at most half as long as
    /// their commit took.
    async fn gather(&mut self, first: Request) -> Vec<Request> {
        let (callers, took) = self.last_group;
        let deadline = Instant::now() + (took / 2).min(Self::MAX_PATIENCE);
        let mut room = (self.group_entries, self.group_bytes);
        let mut group = Vec::with_capacity(callers);
        let mut next = Some(first);
        loop {
            while let Some(request) = next.take().or_else(|| self.queue.try_recv().ok()) {
                let (entries, bytes) = request.size();
                let left = room.0.checked_sub(entries).zip(room.1.checked_sub(bytes));
                match left {
                    None if !group.is_empty() => {
                        self.left_over = Some(request);
                        return group;
                    }
                    left => room = left.unwrap_or((0, 0)),
                }
                if !request.is_abandoned() {
                    group.push(request);
                }
            }
            if group.len() >= callers || Instant::now() >= deadline {
                return group;
            }
            // A timer would be too coarse.
            tokio::task::yield_now().await;
        }
    }

    /// Commits a group, over a new connection where one breaks. Whether what was sent over the
    /// broken one was committed shows in the log, so nobody is told otherwise.
    async fn commit(&mut self, group: &[Request]) -> Result<Vec<Outcome>, Failure> {
        let (mut sent, began) = (None, Instant::now());
        let mut attempt = 1;
        loop {
            let failure = match self.try_commit(group, &mut sent).await {
                Ok(outcomes) => {
                    self.outage_since = None;
                    return Ok(outcomes);
                }
                Err(failure) => failure,
            };
            self.log = None;
            if !failure.is_broken_connection() {
                self.outage_since = None;
                return Err(self.explain(failure).await);
            }
            let outage = self.outage_since.get_or_insert(began).elapsed();
            // Silence has one attempt more, which finds out what became of the first.
            let is_late = attempt > 1 && began.elapsed() >= self.database.answer_timeout();
            let is_tried = attempt >= Self::LEAST_ATTEMPTS || is_late;
            let is_wanted = !group.iter().all(Request::is_abandoned);
            if !is_wanted || (is_tried && outage >= self.outage_patience) {
                return Err(self.explain(failure).await);
            }
            tracing::debug!(attempt, ?outage, "an append lost its connection");
            sleep(Duration::from_millis(25) * 4u32.pow(attempt.min(3))).await;
            attempt += 1;
        }
    }

    /// Names who kept the log locked, where that was the reason.
    async fn explain(&mut self, failure: Failure) -> Failure {
        if !failure.has_waited() {
            return failure;
        }
        let looking = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.database.acquire().await?,
            };
            find_head_holder(&mut connection, &self.database).await
        };
        match timeout(Self::LOOK, looking).await {
            Ok(Ok(Some(locked))) => Failure::Locked(locked),
            // The server is silent still, or nobody is in the way any more.
            Ok(_) | Err(_) => failure,
        }
    }

    async fn try_commit(
        &mut self,
        group: &[Request],
        sent: &mut Option<Judged>,
    ) -> Result<Vec<Outcome>, Failure> {
        if group.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.database.acquire().await?,
        };
        let database = self.database.clone();
        let committing = self.commit_over(&mut connection, group, sent);
        let committed = database.answered(committing).await;
        match &committed {
            Err(failure) if failure.is_broken_connection() => connection.close_on_drop(),
            // A transaction that failed was rolled back when it was dropped.
            _ if self.database.has_room() => self.connection = Some(connection),
            // Others may be waiting for a connection: this one goes back to the pool.
            _ => {}
        }
        committed
    }

    async fn commit_over(
        &mut self,
        connection: &mut PgConnection,
        group: &[Request],
        sent: &mut Option<Judged>,
    ) -> Result<Vec<Outcome>, Failure> {
        if self.requires_standby && !Standbys::load(connection).await?.is_synchronous {
            return Err(Failure::NoStandby(NoStandby));
        }
        if sent.is_none() && self.is_alone {
            if let Some(outcomes) = self.commit_alone(connection, group, sent).await? {
                return Ok(outcomes);
            }
            *sent = None;
        }
        self.commit_in_turn(connection, group, sent).await
    }

    /// Appends a group in one statement, on the strength of what is known, which the statement
    /// verifies. Returns nothing, and has done nothing, where it has to be done in turn.
    async fn commit_alone(
        &mut self,
        connection: &mut PgConnection,
        group: &[Request],
        sent: &mut Option<Judged>,
    ) -> Result<Option<Vec<Outcome>>, Failure> {
        let mut before = self.log.take();
        let mut needs_look =
            self.expects_repeats || !before.as_ref().is_some_and(|log| log.covers(appends(group)));
        let (mut log, judged) = loop {
            let (log, repeated) = match before.take() {
                Some(log) if !needs_look => (log, Vec::new()),
                before => {
                    LogState::load(connection, &self.database, &self.seen, before, appends(group))
                        .await?
                }
            };
            // Who names the log does so in turn.
            let Some(origin) = log.origin().cloned() else { return Ok(None) };
            let judged = self.judge(group, &log, repeated, origin);
            if needs_look || !judged.entries.is_empty() {
                break (log, judged);
            }
            // Without an entry, no statement verifies what this was judged against.
            (before, needs_look) = (Some(log), true);
        };
        if judged.entries.is_empty() {
            if judged.acknowledges() {
                // A transaction of its own.
                lock_head(connection, &self.database).await?;
            }
            self.log = Some(log);
            return Ok(Some(judged.outcomes));
        }
        let head = judged.head;
        let judged = sent.insert(judged);
        match append_entries(connection, &self.database, head, &judged.entries).await {
            Ok(true) => log.extend(&judged.entries),
            Ok(false) => {
                self.is_alone = false;
                return Ok(None);
            }
            // An event id is taken; or the log's triggers know better; or the session's isolation
            // is above READ COMMITTED and another process was faster.
            Err(error) if ["23505", "23001", "40001"].iter().any(|it| has_sqlstate(&error, it)) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        self.acknowledge(sent.as_ref(), &log);
        self.log = Some(log);
        Ok(sent.take().map(|judged| judged.outcomes))
    }

    /// Locks the head row, so that nobody else appends meanwhile, looks, and appends a group. What
    /// was sent before without an answer is answered if it is there.
    async fn commit_in_turn(
        &mut self,
        connection: &mut PgConnection,
        group: &[Request],
        sent: &mut Option<Judged>,
    ) -> Result<Vec<Outcome>, Failure> {
        let before = self.log.take();
        let expected = before.as_ref().map(LogState::head);
        let mut transaction = self.database.begin(connection).await?;
        // A statement that is still under way from a connection that broke either holds this row,
        // or will find that the head has moved.
        lock_head(&mut transaction, &self.database).await?;
        if let Some(last) = sent.as_ref().and_then(Judged::last)
            && is_recorded(&mut transaction, &self.database, last).await?
        {
            // What is seen here may not be safe: it is seen as well once the session that waited for a
            // standby was ended, or the server restarted. This commit waits in its stead.
            transaction.commit().await?;
            self.seen.note(last.0, last.1);
            self.signal.tell(last.0);
            return Ok(sent.take().map(|judged| judged.outcomes).unwrap_or_default());
        }
        let (mut log, repeated) =
            LogState::load(&mut transaction, &self.database, &self.seen, before, appends(group))
                .await?;
        self.is_alone = expected.is_none_or(|expected| expected == log.head());
        let wanted = group.iter().find_map(Request::origin);
        let origin = log.origin().or(wanted).cloned().unwrap_or_else(Origin::unique);
        let judged = self.judge(group, &log, repeated, origin.clone());
        if log.origin().is_none() && (wanted.is_some() || !judged.entries.is_empty()) {
            insert_origin(&mut transaction, &self.database, &origin).await?;
            log.name(origin);
        }
        let head = judged.head;
        let judged = sent.insert(judged);
        if !judged.entries.is_empty()
            && !append_entries(&mut transaction, &self.database, head, &judged.entries).await?
        {
            // The row that this transaction locked is gone.
            return Err(sqlx::Error::RowNotFound.into());
        }
        transaction.commit().await?;
        log.extend(&judged.entries);
        self.acknowledge(sent.as_ref(), &log);
        self.log = Some(log);
        Ok(sent.take().map(|judged| judged.outcomes).unwrap_or_default())
    }

    /// Takes in what is durable, and tells those who wait for it.
    fn acknowledge(&self, committed: Option<&Judged>, log: &LogState) {
        if let Some((position, leaf_hash)) = committed.and_then(Judged::last) {
            self.seen.note(position, leaf_hash);
        }
        self.signal.tell(log.head());
    }

    /// Judges the appends of a group, one after the other.
    fn judge(
        &mut self,
        group: &[Request],
        log: &LogState,
        repeated: Repeated,
        origin: Origin,
    ) -> Judged {
        let limit = self.payload_limit_bytes;
        let mut state = log.state(origin.clone(), repeated, appends(group), limit);
        let mut judged = Judged { head: state.head(), entries: Vec::new(), outcomes: Vec::new() };
        let now = Timestamp::now();
        for request in group {
            let outcome = match request {
                Request::FixOrigin { .. } => Outcome::Origin(origin.clone()),
                Request::Append { append, .. } => match state.admit(append.clone(), now) {
                    Ok(Admitted { entries, answers }) => {
                        judged.entries.extend(entries);
                        Outcome::Append(Ok(answers))
                    }
                    Err(refusal) => Outcome::Append(Err(refusal)),
                },
            };
            judged.outcomes.push(outcome);
        }
        self.expects_repeats = judged.has_repeats();
        judged
    }
}

fn appends(group: &[Request]) -> impl Iterator<Item = &Append> + Clone {
    group.iter().filter_map(|request| match request {
        Request::Append { append, .. } => Some(append),
        Request::FixOrigin { .. } => None,
    })
}
