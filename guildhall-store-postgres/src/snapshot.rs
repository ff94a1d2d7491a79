//! A moment of the Ops DB that is kept for several questions.

use std::sync::Arc;

use guildhall_core::{SnapshotEnded, StoreError};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::database::Database;
use crate::error::Doing;

/// A transaction that sees one moment, until the last clone is dropped or its time is up.
#[derive(Debug, Clone)]
pub(crate) struct Moment(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    session: Arc<Mutex<Option<Session>>>,
    timer: AbortHandle,
}

impl Drop for Kept {
    fn drop(&mut self) {
        // With the session that it would have ended.
        self.timer.abort();
    }
}

impl Moment {
    /// Settles on what is committed now.
    pub(crate) async fn take(doing: &'static str, database: &Database) -> Result<Self, StoreError> {
        let session = Session::begin(doing, database).await?;
        let session = Arc::new(Mutex::new(Some(session)));
        let (ended, time) = (Arc::clone(&session), database.snapshot_time());
        let timer = tokio::spawn(async move {
            sleep(time).await;
            ended.lock().await.take();
        });
        Ok(Self(Arc::new(Kept { session, timer: timer.abort_handle() })))
    }

    /// The outcome of a question as of the moment.
    pub(crate) async fn ask<T>(
        &self,
        doing: &'static str,
        conversation: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut session = self.0.session.lock().await;
        let Some(open) = session.as_mut() else {
            return Err(StoreError::transient(doing, SnapshotEnded));
        };
        let outcome = open.ask(conversation).await;
        if outcome.is_err() {
            // A transaction in which a statement failed takes no other.
            session.take();
        }
        outcome.doing(doing)
    }
}

/// A connection in a transaction, which goes back to the pool without it.
#[derive(Debug)]
pub(crate) struct Session {
    /// None once it is on its way back.
    connection: Option<PoolConnection<Postgres>>,
    database: Database,
}

impl Session {
    /// Settles on what is committed now.
    pub(crate) async fn begin(
        doing: &'static str,
        database: &Database,
    ) -> Result<Self, StoreError> {
        let connection = Some(database.acquire().await.doing(doing)?);
        let mut session = Self { connection, database: database.clone() };
        let begin = database.begin_snapshot();
        session.ask(async |it| sqlx::raw_sql(begin).execute(it).await).await.doing(doing)?;
        Ok(session)
    }

    pub(crate) async fn ask<T>(
        &mut self,
        conversation: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let Some(connection) = &mut self.connection else { return Err(sqlx::Error::PoolClosed) };
        let outcome = self.database.answered(conversation(connection)).await;
        if matches!(outcome, Err(sqlx::Error::Io(_))) {
            connection.close_on_drop();
        }
        outcome
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let Ok(runtime) = Handle::try_current() else {
            connection.close_on_drop();
            return;
        };
        let database = self.database.clone();
        runtime.spawn(async move {
            let ended = sqlx::raw_sql("ROLLBACK").execute(&mut *connection);
            if database.answered(ended).await.is_err() {
                connection.close_on_drop();
            }
        });
    }
}
