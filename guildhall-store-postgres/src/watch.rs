//! Waking those who wait for the log to grow.
//!
//! A commit in this process tells its waiters how far the log reaches; one in another process is
//! announced by the database (NOTIFY, sent by a trigger of the log). Both only save time: a waiter
//! looks for itself when it begins to wait and once every poll interval. Commits of projectors, in
//! any process, are announced in the same way, on a channel of their own.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use guildhall_core::{Position, StoreError};
use sqlx::PgConnection;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::database::Database;
use crate::error::has_sqlstate;

/// What woke a waiter. Sent through a watch channel, so wake-ups that nobody has taken yet merge.
#[derive(Debug, Default, Clone, Copy)]
struct News {
    /// How far the newest commit of this process reached.
    head: Position,
    /// How far the log reaches by what the database reports. Anybody who may connect can tell
    /// anything, so waiters look for themselves.
    heard: Position,
    /// How far the newest commit of a projector reached.
    projected: Position,
    /// How often the listener began to listen; what happened before, it does not know.
    listening_since: u64,
}

/// How long there is between two looks of a waiter at least.
const LEAST_PAUSE: Duration = Duration::from_millis(2);

/// Where the waiters of a store learn that its log has grown.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    news: watch::Sender<News>,
    listener: Mutex<Option<AbortHandle>>,
}

impl Signal {
    /// Announces that a commit made the log reach `head`.
    pub(crate) fn tell(&self, head: Position) {
        self.news.send_modify(|news| news.head = head);
    }

    /// Begins to listen, if nobody does.
    pub(crate) fn listen(&self, database: &Database) {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        if listener.as_ref().is_none_or(AbortHandle::is_finished) {
            let task = tokio::spawn(listen(database.clone(), self.news.clone()));
            *listener = Some(task.abort_handle());
        }
    }

    /// Waits until the log reaches beyond `position`, and returns how far it does; after `patience`,
    /// whatever `look` found last.
    pub(crate) async fn wait_beyond<L>(
        &self,
        position: Position,
        patience: Duration,
        poll_interval: Duration,
        look: impl Fn() -> L,
    ) -> Result<Position, StoreError>
    where
        L: Future<Output = Result<Position, StoreError>>,
    {
        let deadline = Instant::now().checked_add(patience);
        let mut received = self.news.subscribe();
        loop {
            // Before the look: a commit during it is news afterwards.
            let since = received.borrow_and_update().listening_since;
            let looked_at = Instant::now();
            let head = look().await?;
            let now = Instant::now();
            if head > position || deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(head);
            }
            let poll = now.checked_add(poll_interval).or(deadline);
            let until = deadline.into_iter().chain(poll).min().unwrap_or(now);
            let is_called = async {
                while received.changed().await.is_ok() {
                    let news = *received.borrow_and_update();
                    if news.head > position {
                        return Some(news.head);
                    }
                    if news.heard > position || news.listening_since != since {
                        break;
                    }
                }
                None
            };
            if let Ok(Some(told)) = timeout_at(until, is_called).await {
                return Ok(told);
            }
            // However many announcements there are.
            sleep_until((looked_at + LEAST_PAUSE).min(until)).await;
        }
    }

    /// Waits until a projector may have committed beyond `position`.
    pub(crate) async fn projected_beyond(&self, position: Position) {
        let mut received = self.news.subscribe();
        let since = received.borrow_and_update().listening_since;
        // While nobody listened, there may have been one.
        let is_news = |news: &News| news.projected > position || news.listening_since != since;
        if received.wait_for(is_news).await.is_err() {
            // The sender lives as long as this signal.
            std::future::pending().await
        }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        let listener = self.listener.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listener.take() {
            listener.abort();
        }
    }
}

/// Passes on what the database announces, indefinitely.
async fn listen(database: Database, news: watch::Sender<News>) {
    const FIRST_PAUSE: Duration = Duration::from_millis(50);
    const LONGEST_PAUSE: Duration = Duration::from_secs(5);
    let mut pause = FIRST_PAUSE;
    loop {
        let listening = async {
            tokio::select! {
                outcome = listen_once(&database, &news, &mut pause, FIRST_PAUSE) => outcome,
                // Whatever is heard from the server before is not what is written to now.
                () = database.moved() => Ok(()),
            }
        };
        match listening.await {
            Err(sqlx::Error::PoolClosed) => return,
            Err(error) if has_sqlstate(&error, "25006") => {
                tracing::debug!("a standby sends no notifications");
                pause = LONGEST_PAUSE;
            }
            Err(error) => tracing::warn!(%error, "the listener lost its connection"),
            Ok(()) => tracing::debug!("the listener lost its connection"),
        }
        // Meanwhile the waiters poll.
        tokio::select! {
            () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            () = database.moved() => pause = FIRST_PAUSE,
        }
    }
}

/// Listens on one connection until it is lost.
async fn listen_once(
    database: &Database,
    news: &watch::Sender<News>,
    pause: &mut Duration,
    first_pause: Duration,
) -> Result<(), sqlx::Error> {
    /// After so long without a word the connection is tried: a network may have cut it silently.
    const SILENCE: Duration = Duration::from_secs(60);
    const ANSWER_TIME: Duration = Duration::from_secs(10);
    let (appended, projected) = (database.schema().channel(), database.schema().ops_channel());
    database.reach().await?;
    let mut listener = PgListener::connect_with(database.pool()).await?;
    listener.eager_reconnect(false);
    listener.listen_all([appended.as_str(), projected.as_str()]).await?;
    *pause = first_pause;
    news.send_modify(|news| news.listening_since += 1);
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                let told = notification.payload().parse().ok().and_then(Position::from_i64);
                let Some(told) = told else { continue };
                news.send_modify(|news| {
                    if notification.channel() == projected {
                        news.projected = told;
                    } else {
                        news.heard = told;
                    }
                });
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let asked = timeout(ANSWER_TIME, sqlx::query("SELECT 1").execute(&mut listener));
                asked.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
            }
        }
    }
}

/// Announces, once a transaction commits, how far the Ops DB reaches.
pub(crate) async fn notify(
    transaction: &mut PgConnection,
    database: &Database,
    position: Position,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_catalog.pg_notify($1, $2)")
        .bind(database.schema().ops_channel())
        .bind(position.as_i64().to_string())
        .execute(transaction)
        .await?;
    Ok(())
}
