//! The database of a store: its pool, and its schema in the text of every statement.

use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, Postgres, SqlSafeStr, SqlStr,
    Transaction,
};
use tokio::time::timeout;

use crate::error::OpenError;
use crate::hosts::{self, Target};
use crate::options::{PostgresOptions, Source};
use crate::servers::Servers;

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
                let (first, servers) = parse_url(url, is_read_only)?;
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
/// only the session's defaults say how it runs. Not told when connecting: PgBouncer would refuse it.
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

/// The parameters that the driver understands in a URL: libpq's names, and names of its own.
const PARAMETERS: [&[&str]; 2] = [
    &[
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
        "target_session_attrs",
    ],
    &["ssl-mode", "ssl-root-cert", "ssl-ca", "ssl-cert", "ssl-key", "statement-cache-capacity"],
];

/// Refuses a parameter that the driver would ignore: it logs those, with their values.
///
/// Neither its value is shown nor its name, which can be a secret too: what follows a `?` or a `&`
/// in a password that was not escaped.
fn check_parameters(url: &str) -> Result<(), OpenError> {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let (_, query) = url.split_once('?').unwrap_or_default();
    let is_understood = |parameter: &str| {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        let is_option =
            ["options[", "options%5B", "options%5b"].iter().any(|it| name.starts_with(it));
        is_option || PARAMETERS.concat().contains(&name)
    };
    let mut parameters = query.split('&');
    match parameters.position(|it| !it.is_empty() && !is_understood(it)) {
        None => Ok(()),
        Some(nth) => {
            let (nth, known) = (nth + 1, PARAMETERS[0].join(", "));
            let reason = format!("parameter {nth} after its ? is not one of {known}");
            Err(OpenError::BadUrl { reason })
        }
    }
}

/// Refuses what asks for TLS where there is none to be had, before anything is connected.
fn check_tls(mode: PgSslMode) -> Result<(), OpenError> {
    let mode = match mode {
        _ if cfg!(feature = "tls") => return Ok(()),
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => return Ok(()),
        PgSslMode::Require => "sslmode=require",
        PgSslMode::VerifyCa => "sslmode=verify-ca",
        PgSslMode::VerifyFull => "sslmode=verify-full",
    };
    Err(OpenError::NoTls { mode })
}

/// Where a URL leads: the server that is connected to first, and the servers to choose from, where there
/// are several or it says what the one has to be.
fn parse_url(
    url: &str,
    is_read_only: bool,
) -> Result<(PgConnectOptions, Option<Servers>), OpenError> {
    check_parameters(url)?;
    let named = hosts::parse(url)?;
    let mut list = Vec::with_capacity(named.urls.len());
    for url in &named.urls {
        list.push(parse_one(url)?);
    }
    let is_settled = list.len() == 1 && named.target.is_none_or(|target| target == Target::Any);
    let own = if is_read_only { Target::Any } else { Target::ReadWrite };
    let first = list[0].clone();
    let servers = (!is_settled).then(|| Servers::new(list, named.target.unwrap_or(own)));
    Ok((first, servers))
}

fn parse_one(url: &str) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| {
        let reason = match error {
            sqlx::Error::Configuration(source) => source.to_string(),
            other => other.to_string(),
        };
        OpenError::BadUrl { reason }
    })?;
    check_tls(options.get_ssl_mode())?;
    // The driver would tell every statement, and every one over a second as a warning. And it asks for
    // digits of floating-point numbers, which nothing here is, when connecting; PgBouncer refuses that.
    Ok(options.extra_float_digits(None).disable_statement_logging())
}

/// The name of a schema, checked, and quoted for SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schema {
    name: Arc<str>,
    quoted: Arc<str>,
}

impl Schema {
    /// How long a name may be, so that what is derived from it stays within PostgreSQL's 63 bytes.
    const MAX_BYTES: usize = 48;

    /// As it is written in the catalogue.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A statement, with the quoted name in the place of each `{schema}`, and the name as a text in
    /// that of each `{schema_literal}`.
    pub(crate) fn sql(&self, template: &str) -> SqlStr {
        let literal = format!("'{}'", self.name.replace('\'', "''"));
        let parts =
            template.split("{schema_literal}").map(|it| it.replace("{schema}", &self.quoted));
        AssertSqlSafe(parts.collect::<Vec<_>>().join(&literal)).into_sql_str()
    }

    /// The channel that announces commits of the schema's Chronicle.
    pub(crate) fn channel(&self) -> String {
        format!("guildhall:{}", self.name)
    }

    /// The channel that announces commits of the schema's projectors.
    pub(crate) fn ops_channel(&self) -> String {
        format!("guildhall_ops:{}", self.name)
    }
}

impl FromStr for Schema {
    type Err = OpenError;

    fn from_str(name: &str) -> Result<Self, OpenError> {
        // A `$` could end the quoting of a function's body; `pg_` is PostgreSQL's own.
        let is_good = (1..=Self::MAX_BYTES).contains(&name.len())
            && !name.chars().any(|character| character.is_control() || character == '$')
            && !name.starts_with("pg_");
        if is_good {
            let quoted = format!("\"{}\"", name.replace('"', "\"\""));
            Ok(Self { name: name.into(), quoted: quoted.into() })
        } else {
            Err(OpenError::BadSchema { found: name.chars().take(64).collect() })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn a_schema_is_quoted_wherever_it_stands() {
        let schema: Schema = r#"Odd "one"; DROP"#.parse().unwrap();
        let sql = schema.sql("SELECT 1 FROM {schema}.a, {schema}.b");
        assert_eq!(sql.as_str(), r#"SELECT 1 FROM "Odd ""one""; DROP".a, "Odd ""one""; DROP".b"#);
    }

    #[test]
    fn what_cannot_name_a_schema_is_refused() {
        for name in ["", "pg_toast", "a$b", "a\0b", "a\nb", &"x".repeat(49)] {
            assert!(name.parse::<Schema>().is_err(), "{name:?}");
        }
        for name in ["guildhall", "{schema}", "Überseebrücke", &"x".repeat(48)] {
            assert!(name.parse::<Schema>().is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_parameter_is_understood_or_refused_without_a_word_of_it() {
        for query in [
            "",
            "?",
            "?sslmode=prefer&&host=%2Frun&",
            "?options=-c%20jit%3Doff&options%5Bsearch_path%5D=a&options[jit]=off",
            "?password=a?b&statement-cache-capacity=9#secret=1",
            "?target_session_attrs=primary&host=a,b",
        ] {
            assert!(parse_url(&format!("postgres://app@db/ops{query}"), false).is_ok(), "{query}");
        }
        for (url, nth) in [
            ("postgres://app@db/ops?sslpassword=secret", 1),
            ("postgres://app@db/ops?sslmode=require&pasword=secret", 2),
            ("postgres://app@db/ops?password=some&secret", 2),
            ("postgres://app@db/ops?&=secret", 2),
            ("postgres://app:?secret@db/ops", 1),
            ("postgres://app:?secret=secret@db/ops?sslmode=require", 1),
        ] {
            match parse_url(url, false).unwrap_err() {
                OpenError::BadUrl { reason } => {
                    assert!(reason.starts_with(&format!("parameter {nth} ")), "{url}: {reason}");
                    assert!(!reason.contains("secret"), "{url}: {reason}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_url_that_asks_for_tls_gets_it_or_hears_of_the_feature() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let parsed = parse_url(&format!("postgres://app:secret@db/ops?sslmode={mode}"), false);
            if cfg!(feature = "tls") {
                assert!(parsed.is_ok(), "{mode}");
                continue;
            }
            let refused = parsed.unwrap_err();
            let said = refused.to_string();
            assert!(said.contains(&format!("sslmode={mode}")), "{said}");
            assert!(said.contains("the feature \"tls\""), "{said}");
            assert!(!said.contains("secret") && !refused.is_transient(), "{said}");
        }
        for mode in ["disable", "allow", "prefer"] {
            assert!(
                parse_url(&format!("postgres://app@db/ops?sslmode={mode}"), false).is_ok(),
                "{mode}"
            );
        }
    }
}
