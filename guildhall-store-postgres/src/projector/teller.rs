//! Announcing what is committed.

use guildhall_core::Position;
use tokio::sync::watch;

use crate::database::Database;
use crate::watch::notify;

/// Announces how far the Ops DB reaches, in the background: the next batch does not wait for it. It is
/// not in the transaction either, since transactions that NOTIFY commit one after the other (see
/// PostgreSQL's documentation), and the projector would wait for the sync of every append.
#[derive(Debug, Default)]
pub(super) struct Teller {
    committed: Option<watch::Sender<Position>>,
}

impl Teller {
    /// Announces it soon; only the newest is announced.
    pub(super) fn tell(&mut self, database: &Database, position: Position) {
        match &self.committed {
            Some(committed) if !committed.is_closed() => {
                committed.send_replace(position);
            }
            _ => {
                let (committed, mut news) = watch::channel(position);
                news.mark_changed();
                tokio::spawn(tell_all(database.clone(), news));
                self.committed = Some(committed);
            }
        }
    }
}

/// Announces what is committed, until nobody commits any more.
async fn tell_all(database: Database, mut news: watch::Receiver<Position>) {
    while news.changed().await.is_ok() {
        let position = *news.borrow_and_update();
        let told = async { notify(&mut *database.acquire().await?, &database, position).await };
        if let Err(error) = told.await {
            // Waiters look for themselves, a little later.
            tracing::debug!(%error, "a commit was not told");
        }
    }
}
