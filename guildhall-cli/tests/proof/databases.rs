//! A database of each kind with the bundled log in it, and what its owner can do to it.

use std::process::{Command, Output};
use std::sync::Arc;

use guildhall_core::Seals;
use guildhall_store_postgres::PostgresStore;
use guildhall_store_postgres::sqlx::{self, AssertSqlSafe, Connection as _, PgConnection};
use guildhall_store_sqlite::SqliteStore;
use guildhall_store_sqlite::rusqlite::Connection;
use serde_json::Value;

use crate::common::{Folder, LOG, stderr};
use crate::server::Database;

/// A database of one kind.
pub(crate) struct Audited {
    pub(crate) folder: Folder,
    server: Option<Database>,
    url: String,
}

impl Audited {
    pub(crate) fn on_sqlite() -> Self {
        let folder = Folder::imported();
        Self { url: "sqlite:guildhall.db".to_owned(), server: None, folder }
    }

    pub(crate) fn on_postgres() -> Self {
        let (folder, server) = (Folder::new(), Database::create());
        let audited = Self { url: server.url().to_owned(), server: Some(server), folder };
        for arguments in [&["migrate"][..], &["import", LOG], &["project"]] {
            audited.succeed(arguments);
        }
        audited
    }

    /// The log, opened to be sealed.
    pub(crate) fn with_log<T>(&self, work: impl AsyncFnOnce(Arc<dyn Seals>) -> T) -> T {
        block_on(async {
            match &self.server {
                None => {
                    let path = self.folder.path("guildhall.db");
                    let store = SqliteStore::open(path).await.unwrap();
                    let done = work(Arc::new(store.chronicle())).await;
                    store.close().await.unwrap();
                    done
                }
                Some(server) => {
                    let store = PostgresStore::open(server.url()).await.unwrap();
                    work(Arc::new(store.chronicle())).await
                }
            }
        })
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.server.is_some()
    }

    /// The program on this database, about to run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.folder.guildhall(arguments);
        command.env("GUILDHALL_DATABASE", &self.url);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it, and returns what is printed if it ends with this exit code.
    pub(crate) fn ends_with(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stdout = String::from_utf8(output.stdout.clone()).unwrap();
        let said = format!("{arguments:?}: {stdout}{}", stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{said}");
        if stdout.is_empty() { stderr(&output) } else { stdout }
    }

    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        self.ends_with(0, arguments)
    }

    pub(crate) fn json(&self, code: i32, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ends_with(code, &[arguments, &["--json"]].concat())).unwrap()
    }

    /// Does what only the owner of the tables can: without foreign keys and triggers, which are as before
    /// afterwards. In the statements, `{uuid:7}` is an id and `{hash:00…}` a hash.
    pub(crate) fn tamper(&self, sql: &str) {
        match &self.server {
            None => self.tamper_file(&filled(sql, |_, value| format!("x'{value:0>32}'"))),
            Some(server) => {
                let value = |kind: &str, value: &str| match kind {
                    "uuid" => format!("'{value:0>32}'::uuid"),
                    _ => format!(r"'\x{value}'::bytea"),
                };
                tamper_server(server, &filled(sql, value));
            }
        }
    }

    fn tamper_file(&self, sql: &str) {
        let connection = Connection::open(self.folder.path("guildhall.db")).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = off").unwrap();
        let triggers: Vec<(String, String)> = {
            let list = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'";
            let mut found = connection.prepare(list).unwrap();
            let rows = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        };
        for (name, _) in &triggers {
            connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
        }
        connection.execute_batch(sql).unwrap();
        for (_, sql) in &triggers {
            connection.execute_batch(sql).unwrap();
        }
    }
}

/// The superuser's way: triggers that fire always are switched off one by one.
fn tamper_server(server: &Database, sql: &str) {
    const OFF: &str = "SET session_replication_role = replica; SET search_path = guildhall;
        CREATE TEMP TABLE switched AS
            SELECT tgrelid::regclass AS relation, tgname,
                CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END AS switch_on
            FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0;
        DO $$ DECLARE it record; BEGIN FOR it IN SELECT * FROM switched LOOP
            EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', it.relation, it.tgname);
        END LOOP; END $$;";
    const ON: &str = "DO $$ DECLARE it record; BEGIN FOR it IN SELECT * FROM switched LOOP
            EXECUTE format('ALTER TABLE %s %s TRIGGER %I', it.relation, it.switch_on, it.tgname);
        END LOOP; END $$;";
    let sql = format!("{OFF} {sql}; {ON}");
    block_on(async {
        let mut connection = PgConnection::connect(server.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// Runs what an embedder would.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Puts what `write` makes of them in the place of `{uuid:7}` and `{hash:00…}`.
fn filled(sql: &str, write: impl Fn(&str, &str) -> String) -> String {
    let mut parts = sql.split('{');
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let place = part.split_once('}').and_then(|(it, rest)| Some((it.split_once(':')?, rest)));
        match place {
            Some(((kind @ ("uuid" | "hash"), value), rest)) => {
                written += &(write(kind, value) + rest);
            }
            _ => written.extend(["{", part]),
        }
    }
    written
}

/// Makes a test of each kind of database.
#[macro_export]
macro_rules! on_both {
    ($($name:ident)+) => {$(
        mod $name {
            use $crate::databases::Audited;

            #[test]
            fn on_sqlite() {
                super::super::$name(&Audited::on_sqlite());
            }

            #[test]
            fn on_postgres() {
                super::super::$name(&Audited::on_postgres());
            }
        }
    )+};
}
