//! Waking those who wait for the log to grow.
//!
//! A commit in this process tells its waiters how far the log reaches. One in another process shows as
//! a change to the database's files; a waiter then looks for what changed.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use guildhall_core::{Position, StoreError};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::connection::PerFile;

/// What woke a waiter. Sent through a watch channel, so wake-ups that nobody has taken yet merge.
#[derive(Debug, Default, Clone, Copy)]
struct News {
    /// How far the last commit of this process reached: a hint, as the file may be another by now.
    head: Position,
    /// How often the files changed, whoever changed them.
    changes: u64,
}

/// Where the waiters of one process learn that a file may have grown.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    news: watch::Sender<News>,
    /// Absent where the operating system would not watch; polling remains.
    watcher: OnceLock<Option<RecommendedWatcher>>,
}

impl Signal {
    /// The first pause after a wake-up. Another process's commit becomes visible a little after
    /// its bytes changed the file (the sync is in between), so a waiter looks again after this,
    /// then after twice as long, and so on up to the poll interval. It bounds looks to 500 a
    /// second while a file keeps changing.
    const FIRST_PAUSE: Duration = Duration::from_millis(2);

    /// The signal of the file at a canonical path: the same one for every handle of this process.
    pub(crate) fn of(path: &Path) -> Arc<Self> {
        static SIGNALS: PerFile<Signal> = PerFile::new();
        SIGNALS.of(path)
    }

    /// Announces that a commit of this process made the log reach `head`.
    pub(crate) fn tell(&self, head: Position) {
        self.news.send_modify(|news| news.head = head);
    }

    /// Begins to watch the file at `path`, if nobody did. Blocks for a moment.
    pub(crate) fn watch(&self, path: &Path) {
        self.watcher.get_or_init(|| match watch_files(path, self.news.clone()) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(),
                    "cannot watch the database for changes by other processes; polling instead");
                None
            }
        });
    }

    /// Waits until the log reaches beyond `position`, and returns how far it does; after `patience`,
    /// whatever `look` found last. A wake-up only says that it is time to look: it may concern a file
    /// that has been replaced since.
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
        let bounded = |pause: Duration| {
            let at = Instant::now() + pause;
            deadline.map_or(at, |deadline| at.min(deadline))
        };
        let mut received = self.news.subscribe();
        let mut pause = Self::FIRST_PAUSE;
        loop {
            // Before the look: a change during it is news afterwards.
            received.mark_unchanged();
            let head = look().await?;
            if head > position || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(head);
            }
            pause = match timeout_at(bounded(pause), received.changed()).await {
                Ok(_) => {
                    // A commit of this process can be seen at once.
                    if received.borrow_and_update().head <= position {
                        sleep_until(bounded(Self::FIRST_PAUSE)).await;
                    }
                    Self::FIRST_PAUSE
                }
                Err(_) => (pause * 2).min(poll_interval),
            };
        }
    }
}

/// Watches the folder, because the write-ahead log comes and goes.
fn watch_files(path: &Path, news: watch::Sender<News>) -> notify::Result<RecommendedWatcher> {
    let main = path.file_name().unwrap_or_default().to_owned();
    let mut log: OsString = main.clone();
    log.push("-wal");
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let concerns = match &event {
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => false,
            Ok(event) => event
                .paths
                .iter()
                .filter_map(|changed| changed.file_name())
                .any(|name| name == main || name == log),
            // Something was lost; it may have been this.
            Err(_) => true,
        };
        if concerns {
            news.send_modify(|news| news.changes = news.changes.wrapping_add(1));
        }
    })?;
    watcher.watch(path.parent().unwrap_or(Path::new(".")), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn only_what_was_found_is_answered() {
        let signal = Signal::default();
        let found = Position::new(3);
        let look = || {
            // Reported by a handle of the file that stood there before.
            signal.tell(Position::new(9));
            async move { Ok(found) }
        };
        let (patience, poll) = (Duration::from_millis(50), Duration::from_secs(60));
        let answer = signal.wait_beyond(Position::new(5), patience, poll, look).await;
        assert_eq!(answer.unwrap(), found);
    }

    #[test]
    fn a_commit_to_a_shorter_log_is_news_too() {
        let signal = Signal::default();
        signal.tell(Position::new(9));
        let received = signal.news.subscribe();
        signal.tell(Position::new(4));
        assert!(received.has_changed().unwrap());
        assert_eq!(received.borrow().head, Position::new(4));
    }
}
