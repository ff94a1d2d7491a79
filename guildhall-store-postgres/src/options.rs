//! What an embedder can choose when opening a store.

use std::fmt;
use std::time::Duration;

use guildhall_core::MAX_PAYLOAD_BYTES;
use sqlx::PgPool;

use crate::error::{MOST_PAYLOAD_BYTES, OpenError};

/// The schema of a store unless another is chosen.
pub const DEFAULT_SCHEMA: &str = "guildhall";

/// Where a store lives and what it may use. Start from the defaults of [`PostgresOptions::at`] or
/// [`PostgresOptions::with_pool`] and set what differs:
///
/// ```
/// use guildhall_store_postgres::PostgresOptions;
///
/// let options = PostgresOptions::at("postgres://guildhall@db.example/ops?sslmode=verify-full")
///     .schema("guild_north")
///     .max_connections(16);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// How to reach the database.
    pub(crate) source: Source,
    /// The schema of every table; created if it does not exist. `guildhall` by default. Stores in
    /// two schemas of one database never affect each other. 1 to 48 bytes.
    pub schema: String,
    /// Upper bound on the connections of a pool made from a URL. 8 by default. Three suffice: one
    /// appends, one listens, and the rest takes turns; fewer are refused. An embedder's pool has its
    /// own limit.
    pub max_connections: u32,
    /// How long to wait for a connection before failing with a transient error. 5 s by default. An
    /// embedder's pool has its own limit; if no server can be reached, a quarter more of that is spent
    /// on finding out why.
    pub acquire_timeout: Duration,
    /// How long an append, a page read from the log, a query of the Ops DB or the release of a lease may
    /// go without an answer before its connection counts as lost; what became of an append is then
    /// found out over another one. 30 s by default. A projector waits for twenty times its lease. Locks
    /// are waited for half as long.
    pub answer_timeout: Duration,
    /// How long an append goes on looking for a server that it can write to, across as many attempts as
    /// fit, before it fails with a transient error: a failover takes as long as it takes to notice that
    /// the primary is gone and to promote a standby, half a minute with Patroni's defaults. 60 s by
    /// default, counted from where the outage began, for whoever appends during it; an import is made
    /// of appends. A caller with less time drops the future, as ever.
    pub outage_patience: Duration,
    /// Whether an append is refused, with a transient error, while the server has no synchronous standby:
    /// what is acknowledged is on two servers then, or not acknowledged. Off by default. It costs a round
    /// trip a commit to ask. `synchronous_standby_names` must not be empty, nor `synchronous_commit` be
    /// `local`.
    pub require_synchronous_standby: bool,
    /// Upper bound on the entries of waiting appends that share one transaction. 4,096 by default. An
    /// append is never split, so a longer one has a transaction of its own.
    pub group_entries: usize,
    /// Upper bound on the payload that shares one transaction, in bytes. 16 MiB by default.
    pub group_bytes: usize,
    /// Upper bound on one payload, in bytes. [`MAX_PAYLOAD_BYTES`] by default, 32 MiB at most: `jsonb`
    /// takes no array of more than 16,777,216 elements, so a longer payload could be recorded but
    /// never projected.
    pub payload_limit_bytes: usize,
    /// How often a waiter looks for itself, and so the longest delay when its wake-up is lost. 1 s by
    /// default.
    pub poll_interval: Duration,
    /// How long a snapshot of the Ops DB ([`OpsDb::snapshot`](guildhall_core::OpsDb::snapshot)) lasts
    /// before it ends by itself: it holds a connection of the pool, and while it exists the server
    /// cannot clean up rows that died since, nor can a rebuild be swapped in. 10 s by default.
    pub snapshot_time: Duration,
    /// How long a projector's lease holds without being renewed. 15 s by default.
    pub lease_time: Duration,
}

/// How to reach the database. A URL may hold a password, so it is never shown.
#[derive(Clone)]
pub(crate) enum Source {
    Url(String),
    Pool(PgPool),
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Url(_) => "Url(..)",
            Self::Pool(_) => "Pool(..)",
        })
    }
}

guildhall_core::setters!(PostgresOptions {
    schema: impl Into<String>,
    max_connections: u32,
    acquire_timeout: Duration,
    answer_timeout: Duration,
    outage_patience: Duration,
    require_synchronous_standby: bool,
    group_entries: usize,
    group_bytes: usize,
    payload_limit_bytes: usize,
    poll_interval: Duration,
    snapshot_time: Duration,
    lease_time: Duration,
});

impl PostgresOptions {
    /// The defaults, with a pool of the store's own for this URL, as libpq writes it:
    /// `postgres://user:password@host:port/database?sslmode=verify-full`.
    ///
    /// A server with standbys is named with them: `postgres://user@h1,h2:5433/database`, or
    /// `?host=h1,h2&port=5432,5433`, with as many ports as hosts, one for all or none. Connections go to
    /// the one that `target_session_attrs` asks for (`any`, `read-write`, `read-only`, `primary`,
    /// `standby`, `prefer-standby`): if it does not say, to the one that can be written to, and for a store
    /// that is opened for reading to the first that answers. After a failover they go to the next; of two
    /// that could be written to, to the one that was promoted last.
    ///
    /// Of the parameters after its `?`, `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `host` (a
    /// folder for a Unix socket), `hostaddr`, `port`, `dbname`, `user`, `password`,
    /// `application_name`, `options` and `target_session_attrs` are understood; a URL with others is
    /// refused rather than half obeyed. What it leaves out is taken from `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`,
    /// `PGDATABASE`, `PGSSLMODE` and the like. Without the feature `tls`, a URL that insists on TLS
    /// (`require`, `verify-ca`, `verify-full`) is refused, and any other is plain text. In a user name
    /// and a password, characters with a meaning in URLs have to be escaped (`%3F` for `?`).
    pub fn at(url: impl Into<String>) -> Self {
        Self::from_source(Source::Url(url.into()))
    }

    /// The defaults, with the embedder's pool, of three connections or more. Names are qualified, and
    /// durability is set where it matters. But an append is one statement, which runs under its
    /// session's defaults: where they make sessions read-only (`default_transaction_read_only`),
    /// appends fail with a transient fault, as on a standby. PgBouncer has to be in session mode,
    /// because of LISTEN.
    pub fn with_pool(pool: PgPool) -> Self {
        Self::from_source(Source::Pool(pool))
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            schema: DEFAULT_SCHEMA.to_owned(),
            max_connections: 8,
            acquire_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            outage_patience: Duration::from_secs(60),
            require_synchronous_standby: false,
            group_entries: 4096,
            group_bytes: 16 << 20,
            payload_limit_bytes: MAX_PAYLOAD_BYTES,
            poll_interval: Duration::from_secs(1),
            snapshot_time: Duration::from_secs(10),
            lease_time: Duration::from_secs(15),
        }
    }

    /// Refuses what could not work later.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let found = self.payload_limit_bytes;
        if found > MOST_PAYLOAD_BYTES { Err(OpenError::LongPayloads { found }) } else { Ok(()) }
    }
}
