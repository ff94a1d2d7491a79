//! The database of a store: its pool, and its schema in the text of every statement.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, SqlSafeStr, SqlStr, Transaction,
};
use tokio::time::timeout;

use crate::error::OpenError;
use crate::options::{PostgresOptions, Source};
use crate::servers::Servers;

mod schema_name;
mod url;

pub(crate) use schema_name::Schema;

/// A pool and a schema. Clones are cheap and share the pool.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pool: PgPool,
    /// Where the pool may connect to; none where that is settled.
    servers: Option<Arc<Servers>>,
    schema: Schema,
    answer_timeout: Duration,
    snapshot_time: Duration,
    is_read_only: bool,
}

impl Database {
    /// How long a connection that nobody needs stays open.
    const IDLE_TIME: Duration = Duration::from_secs(30);

    /// A connection that was used this recently is taken to be alive, which saves a round trip.
    const FRESH_TIME: Duration = Duration::from_millis(20);

    /// With fewer, they could wait for each other for ever: one appends and one listens for as long as
    /// the store is open.
    const LEAST_CONNECTIONS: u32 = 3;

    /// The database that the options name. Nothing is connected yet.
    pub(crate) fn new(options: &PostgresOptions, is_read_only: bool) -> Result<Self, OpenError> {
        let schema = options.schema.parse()?;
        let (pool, servers) = match &options.source {
            Source::Pool(pool) => (pool.clone(), None),
            Source::Url(url) => {
                let (first, servers) = url::parse(url, is_read_only)?;
                let servers = servers.map(Arc::new);
                let (checking, connecting) = (servers.clone(), servers.clone());
                let defaults = session_defaults(options, is_read_only);
                let pool = PgPoolOptions::new()
                    .max_connections(options.max_connections)
                    // What is left is for asking why.
                    .acquire_timeout(options.acquire_timeout / 5 * 4)
                    .idle_timeout(Self::IDLE_TIME)
                    .test_before_acquire(false)
                    .before_acquire(move |connection, metadata| {
                        let servers = checking.clone();
                        Box::pin(async move {
                            let is_fresh = metadata.idle_for < Self::FRESH_TIME;
                            // One that was lost gives way to another.
                            let servers = servers.as_deref();
                            Ok(is_fresh || is_of_use(servers, connection, metadata.age).await)
                        })
                    })
                    .after_connect(move |connection, _| {
                        let defaults = AssertSqlSafe(defaults.clone());
                        let servers = connecting.clone();
                        Box::pin(async move {
                            if let Some(servers) = servers {
                                servers.check_new(connection).await?;
                            }
                            sqlx::raw_sql(defaults).execute(connection).await?;
                            Ok(())
                        })
                    })
                    .connect_lazy_with(first);
                (pool, servers)
            }
        };
        let found = pool.options().get_max_connections();
        if found < Self::LEAST_CONNECTIONS {
            return Err(OpenError::SmallPool { found });
        }
        let (answer_timeout, snapshot_time) = (options.answer_timeout, options.snapshot_time);
        Ok(Self { pool, servers, schema, answer_timeout, snapshot_time, is_read_only })
    }

    /// Finds the server that is wanted, where there are several, so that the first connection goes there.
    /// If there is none now, whoever wants a connection finds out.
    pub(crate) async fn look_around(&self) {
        if let Some(servers) = &self.servers
            && let Err(error) = servers.seek(&self.pool).await
        {
            tracing::debug!(%error, "no server is as wanted yet");
        }
    }

    /// Has the pool connect to the server that is wanted, where there are several.
    pub(crate) async fn reach(&self) -> Result<(), sqlx::Error> {
        if self.servers.is_some() {
            drop(self.acquire().await?);
        }
        Ok(())
    }

    /// Returns once connections are made to another server than now.
    pub(crate) async fn moved(&self) {
        match &self.servers {
            Some(servers) => servers.moved().await,
            None => std::future::pending().await,
        }
    }

    /// Returns once the server that is now connected to has given way to another, for good.
    async fn deposed(&self) {
        match &self.servers {
            Some(servers) => servers.deposed().await,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A statement, with the schema in the place of each `{schema}`.
    pub(crate) fn sql(&self, template: &str) -> SqlStr {
        self.schema.sql(template)
    }

    /// A connection, which goes back to the pool when dropped. Never ask for one while holding
    /// another: on a pool of three that can wait for itself.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        if let Some(servers) = &self.servers {
            return servers.acquire(&self.pool).await;
        }
        match self.pool.acquire().await {
            Err(sqlx::Error::PoolTimedOut) if self.pool.size() == 0 => Err(self.refusal().await),
            outcome => outcome,
        }
    }

    /// A connection that was kept, unless it was lost since it was of use.
    pub(crate) async fn still_alive(
        &self,
        mut connection: PoolConnection<Postgres>,
        since: Instant,
    ) -> Option<PoolConnection<Postgres>> {
        let (servers, ago) = (self.servers.as_deref(), since.elapsed());
        if ago >= Self::FRESH_TIME && !is_of_use(servers, &mut connection, ago).await {
            connection.close_on_drop();
            return None;
        }
        Some(connection)
    }

    /// Whether a connection is free for whoever asks next.
    pub(crate) fn has_room(&self) -> bool {
        let pool = &self.pool;
        pool.num_idle() > 0 || pool.size() < pool.options().get_max_connections()
    }

    /// Whether nothing is to be written.
    pub(crate) fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// After how long without an answer a connection counts as lost.
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// After how long a snapshot ends by itself.
    pub(crate) fn snapshot_time(&self) -> Duration {
        self.snapshot_time
    }

    /// Begins a transaction that sees this moment, which the server settles with the first query. The
    /// server ends one whose holder is gone without a word, too.
    pub(crate) fn begin_snapshot(&self) -> SqlStr {
        let patience = setting(lock_patience(self.answer_timeout));
        let idle = setting((self.snapshot_time * 2).max(Duration::from_millis(1)));
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL {PINNED_PATH}; \
             SET LOCAL {PLAIN_STRINGS}; SET LOCAL lock_timeout = '{patience}'; \
             SET LOCAL idle_in_transaction_session_timeout = '{idle}'; SELECT 1"
        );
        AssertSqlSafe(begin).into_sql_str()
    }

    /// The outcome of a conversation with the server. If none comes in time, or another server has taken
    /// its place, the connection counts as lost: one that froze or vanished would otherwise be waited for
    /// indefinitely.
    pub(crate) async fn answered<T, E: From<sqlx::Error>>(
        &self,
        conversation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let lost = |kind| sqlx::Error::from(io::Error::from(kind));
        tokio::select! {
            biased;
            outcome = timeout(self.answer_timeout, conversation) => {
                outcome.map_err(|_| lost(io::ErrorKind::TimedOut))?
            }
            () = self.deposed() => Err(lost(io::ErrorKind::ConnectionAborted).into()),
        }
    }

    /// The outcome of a conversation over a connection of the pool, which is closed if it is lost.
    pub(crate) async fn ask<T>(
        &self,
        conversation: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut connection = self.acquire().await?;
        let outcome = self.answered(conversation(&mut connection)).await;
        if matches!(outcome, Err(sqlx::Error::Io(_))) {
            connection.close_on_drop();
        }
        outcome
    }

    /// Why there is no connection at all. The pool retries while a server refuses, and then does not say
    /// why; a server that is silent here too is not waited for much longer.
    async fn refusal(&self) -> sqlx::Error {
        let options = self.pool.connect_options();
        let asking = async { PgConnection::connect_with(&options).await?.close().await };
        match timeout(self.pool.options().get_acquire_timeout() / 4, asking).await {
            Ok(Err(refusal)) => refusal,
            Ok(Ok(())) | Err(_) => sqlx::Error::PoolTimedOut,
        }
    }

    /// Begins a transaction on a connection of its own, which goes back to the pool with it.
    pub(crate) async fn transaction(
        &self,
        begin: &'static str,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        Transaction::begin(self.acquire().await?, Some(begin.into_sql_str())).await
    }

    /// Begins a short transaction on a connection, whatever the defaults of its session are. The
    /// server ends one that is silent: a process that froze in it would hold up everybody else. And it
    /// waits for no lock longer than [`lock_patience`].
    pub(crate) async fn begin<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Postgres>, sqlx::Error> {
        let patience = setting(lock_patience(self.answer_timeout));
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL {PINNED_PATH}; \
             SET LOCAL {PLAIN_STRINGS}; SET LOCAL lock_timeout = '{patience}'; \
             SET LOCAL idle_in_transaction_session_timeout = '5s'"
        );
        connection.begin_with(AssertSqlSafe(begin)).await
    }
}

/// Whether a connection that was kept, and of use so long ago, still is.
async fn is_of_use(
    servers: Option<&Servers>,
    connection: &mut PgConnection,
    ago: Duration,
) -> bool {
    match servers {
        Some(servers) => servers.is_of_use(connection, ago).await,
        None => connection.ping().await.is_ok(),
    }
}

/// Whatever a statement names without a schema is PostgreSQL's own. Otherwise whoever may create in a
/// schema of the path, as everybody may in `public` up to PostgreSQL 14, could put a function of his own
/// in the place of a built-in whose parameters fit less closely, and it would run with our rights.
pub(crate) const PINNED_PATH: &str = "search_path = pg_catalog, pg_temp";

/// A backslash in a text is one.
const PLAIN_STRINGS: &str = "standard_conforming_strings = on";

/// What the connections of a pool of the store's own begin with: an append is one statement, of which
/// only the session's defaults say how it runs. Not sent when connecting: PgBouncer would refuse it.
fn session_defaults(options: &PostgresOptions, is_read_only: bool) -> String {
    let access = if is_read_only { "READ ONLY" } else { "READ WRITE" };
    let patience = setting(lock_patience(options.answer_timeout));
    format!(
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, {access}; \
         SET {PINNED_PATH}; SET {PLAIN_STRINGS}; SET lock_timeout = '{patience}'"
    )
}

/// How long a lock is waited for at most: the server says so before it counts as silent.
fn lock_patience(answer_timeout: Duration) -> Duration {
    (answer_timeout / 2).max(Duration::from_millis(1))
}

/// A duration as a setting of the server's.
pub(crate) fn setting(duration: Duration) -> String {
    let millis = i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
    format!("{millis}ms")
}
