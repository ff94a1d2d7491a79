//! A database for each test.

use std::env;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

// Of the store, so that whoever includes this need not depend on it.
use guildhall_store_postgres::sqlx::postgres::{PgConnectOptions, PgConnection};
use guildhall_store_postgres::sqlx::{self, AssertSqlSafe, Connection};

use super::{Server, Settings};

pub(crate) const URL_VARIABLE: &str = "GUILDHALL_TEST_POSTGRES_URL";

/// A database of the test's own, dropped with it.
#[derive(Debug)]
pub(crate) struct Database {
    url: String,
    admin_url: String,
    name: String,
}

impl Database {
    /// A fresh, empty database on the server that the tests of this binary share.
    pub(crate) fn create() -> Self {
        Self::create_on(Self::shared_url())
    }

    /// The same, whose texts are encoded in this way.
    pub(crate) fn create_in(encoding: &str) -> Self {
        let how = format!("ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'");
        Self::create_as(&how, Self::shared_url())
    }

    /// A fresh, empty database on the server at this URL.
    pub(crate) fn create_on(admin_url: &str) -> Self {
        Self::create_as("ENCODING 'UTF8'", admin_url)
    }

    fn shared_url() -> &'static str {
        static SHARED: OnceLock<(String, Option<Server>)> = OnceLock::new();
        let (admin_url, _) = SHARED.get_or_init(|| match env::var(URL_VARIABLE) {
            Ok(url) => (url, None),
            Err(_) => {
                let server = Server::start(Settings::default());
                (server.url("postgres"), Some(server))
            }
        });
        admin_url
    }

    fn create_as(how: &str, admin_url: &str) -> Self {
        Self::create_by(admin_url, |name| {
            execute(admin_url, &format!("CREATE DATABASE {name} TEMPLATE template0 {how}"));
        })
    }

    /// A database that holds what another one of the server at this URL holds. Whoever uses that
    /// one is cut off.
    pub(crate) fn copy_on(admin_url: &str, other: &str) -> Self {
        Self::create_by(admin_url, |name| {
            let cut_off = format!(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{other}'"
            );
            execute(admin_url, &cut_off);
            let copy = format!("CREATE DATABASE {name} TEMPLATE {other}");
            // PostgreSQL 14 knows no strategy; the newer ones write all of it to their log unless told.
            if try_execute(admin_url, &format!("{copy} STRATEGY file_copy")).is_err() {
                execute(admin_url, &copy);
            }
        })
    }

    fn create_by(admin_url: &str, create: impl FnOnce(&str)) -> Self {
        static CREATED: AtomicU32 = AtomicU32::new(0);
        let nth = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("guildhall_test_{}_{nth}", std::process::id());
        execute(admin_url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        create(&name);
        let url = with_database(admin_url, &name);
        Self { url, admin_url: admin_url.to_owned(), name }
    }

    /// How to reach it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How to reach another database of the same server, from which this one can be dropped.
    pub(crate) fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if try_execute(&self.admin_url, &drop).is_err() {
            // The server may be gone with everything that was on it.
            eprintln!("{} was not dropped", self.name);
        }
    }
}

/// The same URL with another database.
fn with_database(url: &str, database: &str) -> String {
    let (base, query) =
        url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let scheme = base.find("://").expect("a URL with a scheme") + 3;
    let authority = base[scheme..].find('/').map_or(base.len(), |at| scheme + at);
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    format!("{}/{database}{query}", &base[..authority])
}

/// Runs one statement, on a thread and a runtime of its own, so that it may be called anywhere.
pub(crate) fn execute(url: &str, sql: &str) {
    try_execute(url, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

fn try_execute(url: &str, sql: &str) -> Result<(), sqlx::Error> {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options: PgConnectOptions = url.parse()?;
            let mut connection = PgConnection::connect_with(&options).await?;
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
            connection.close().await
        })
    };
    std::thread::spawn(run).join().expect("no panic")
}
