//! `roles.sql`: each of the four roles does its work through the library, and nothing beyond it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;
mod projecting;
mod proxy;
mod read_tables;
mod server;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::append_one;
use guildhall_core::{
    Append, Batch, Chronicle, Lease, NewEntry, OPS_DB, OpsDb, Position, Projector, ReadLimit,
    Rebuild,
};
use guildhall_projector::{Settings as RuntimeSettings, catch_up, rebuild};
use guildhall_store_postgres::{
    OpenError, Partitions, PostgresOptions, PostgresProjector, PostgresStore,
};
use projecting::{append_all, assert_projected, log, within};
use proxy::Proxy;
use server::{Database, Server, Settings, execute};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// What the writer and the projector may do beside reading; the reader may do nothing.
const WRITES: [(&str, &str, &[&str]); 10] = [
    ("writer", "chronicle_entries", &["INSERT"]),
    ("writer", "chronicle_origin", &["INSERT"]),
    ("writer", "chronicle_head", &["UPDATE"]),
    ("projector", "accord_bindings", &["INSERT"]),
    ("projector", "governed_artifacts", &["INSERT", "UPDATE"]),
    ("projector", "custody_transitions", &["INSERT"]),
    ("projector", "deployment_states", &["INSERT", "UPDATE"]),
    ("projector", "verification_results", &["INSERT"]),
    ("projector", "quarantined_entries", &["INSERT"]),
    ("projector", "projector_checkpoints", &["INSERT", "UPDATE"]),
];

/// Of which tables the writer and the projector may read nothing.
const UNREAD: [(&str, &[&str]); 2] = [
    (
        "writer",
        &[
            "accord_bindings",
            "governed_artifacts",
            "custody_transitions",
            "deployment_states",
            "verification_results",
            "quarantined_entries",
            "projector_checkpoints",
        ],
    ),
    ("projector", &["verification_results", "quarantined_entries"]),
];

/// How long a lease holds.
const LEASE: Duration = Duration::from_millis(100);

/// A server with a Guildhall whose owner is `guildhall_owner`, and somebody to log in as each other
/// role: `as_writer`, `as_projector`, `as_reader`.
struct Guild {
    database: Database,
    server: Server,
    schema: &'static str,
}

fn script() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/roles.sql"))
}

impl Guild {
    async fn start() -> Self {
        let server = Server::start(Settings::default());
        let database = Database::create_on(&server.url("postgres"));
        let guild = Self { database, server, schema: "guildhall" };
        guild.run_script(&[]).unwrap();
        for role in ["writer", "projector", "reader"] {
            let create = format!("CREATE ROLE as_{role} LOGIN IN ROLE guildhall_{role}");
            execute(guild.database.url(), &create);
        }
        // What it makes is to belong to it, and to nobody who is granted it.
        execute(guild.database.url(), "ALTER ROLE guildhall_owner LOGIN");
        guild.open("guildhall_owner").await.unwrap();
        guild.run_script(&[]).unwrap();
        guild
    }

    fn run_script(&self, variables: &[(&str, &str)]) -> Result<String, String> {
        self.server.psql(self.database.url(), variables, script())
    }

    fn url(&self, user: &str) -> String {
        self.database.url().replace("user=guildhall", &format!("user={user}"))
    }

    async fn open(&self, user: &str) -> Result<PostgresStore, OpenError> {
        let mut options = PostgresOptions::at(self.url(user));
        options.schema = self.schema.to_owned();
        PostgresStore::open_with(options).await
    }

    /// A projector that reaches its server through a proxy.
    async fn projector_behind(&self, proxy: &Proxy) -> PostgresProjector {
        let url = proxy.url(self.database.name()).replace("=guildhall", "=as_projector");
        let store = PostgresStore::open(url + "&statement-cache-capacity=0").await.unwrap();
        store.projector().lease_time(LEASE).start().unwrap()
    }

    async fn connect(&self, user: &str) -> PgConnection {
        PgConnection::connect(&self.url(user)).await.unwrap()
    }

    async fn assert_tables_are_as_expected(&self) {
        let reader = self.open("as_reader").await.unwrap();
        assert_projected(self.database.url(), &reader.chronicle()).await;
    }
}

/// The SQLSTATE with which a statement fails; nothing where it succeeds. It leaves no trace.
async fn refusal(connection: &mut PgConnection, sql: &str) -> Option<String> {
    let mut transaction = connection.begin().await.unwrap();
    let outcome = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    match outcome {
        Ok(_) => None,
        Err(sqlx::Error::Database(error)) => Some(error.code().unwrap().into_owned()),
        Err(other) => panic!("{sql}: {other}"),
    }
}

const REFUSED: &str = "42501";

/// Every table of the schema, with its first column.
async fn tables(connection: &mut PgConnection, schema: &str) -> Vec<(String, String)> {
    let rows = sqlx::query(
        "SELECT relname::text, attname::text FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid \
         WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p') AND attnum = 1",
    )
    .bind(schema)
    .fetch_all(connection)
    .await
    .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn each_role_does_its_work_through_the_library() {
    let guild = Guild::start().await;
    // The first append names the log.
    let writer = guild.open("as_writer").await.unwrap().chronicle();
    append_all(&writer, &log(400)).await;
    // A second writer, so that they take turns on the head row; and an append that is repeated.
    let other = guild.open("as_writer").await.unwrap().chronicle();
    append_one(&other, 1).await;
    append_one(&writer, 1).await;
    append_one(&other, 1).await;
    let again = NewEntry::new(&common::event(2));
    let first = writer.append(Append::of([again.clone()])).await.unwrap();
    let second = other.append(Append::of([again])).await.unwrap();
    assert_eq!((first[0].position, true), (second[0].position, second[0].was_recorded));
    writer.wait_beyond(Position::ZERO, Duration::ZERO).await.unwrap();

    // The projector projects, in several batches, with what it remembers and without.
    let store = guild.open("as_projector").await.unwrap();
    let projector = Arc::new(store.projector().memory_bytes(0).start().unwrap());
    let (chronicle, settings) =
        (Arc::new(store.chronicle()), RuntimeSettings::default().read_entries(37));
    catch_up(chronicle.clone(), projector.clone(), &settings, |_| {}).await.unwrap();
    guild.assert_tables_are_as_expected().await;

    // The owner rebuilds; the others' rights are there afterwards.
    let owner = guild.open("guildhall_owner").await.unwrap();
    rebuild(Arc::new(owner.chronicle()), &owner.projector().start().unwrap(), &settings, |_| {})
        .await
        .unwrap();
    guild.assert_tables_are_as_expected().await;
    for _ in 0..3 {
        append_one(&writer, 1).await;
    }
    catch_up(chronicle, projector, &settings, |_| {}).await.unwrap();
    guild.assert_tables_are_as_expected().await;

    // The reader reads both.
    let reader = guild.open("as_reader").await.unwrap();
    let head = reader.chronicle().head().await.unwrap().position;
    assert_eq!(
        reader.chronicle().read(Position::ZERO, ReadLimit::entries(9)).await.unwrap().len(),
        9
    );
    reader.chronicle().wait_beyond(Position::ZERO, Duration::MAX).await.unwrap();
    let ops_db = reader.ops_db();
    assert_eq!(ops_db.checkpoint(OPS_DB).await.unwrap().unwrap().position, head);
    assert!(ops_db.overview().await.unwrap().accords > 0);
    let page = ops_db.artifacts(&Default::default()).await.unwrap();
    ops_db.artifact(page.rows[0].id).await.unwrap().unwrap();
}

#[tokio::test]
async fn each_role_is_refused_what_is_not_its_work() {
    let guild = Guild::start().await;
    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(50)).await;
    let _admin = guild.connect("guildhall").await;
    for role in ["writer", "projector", "reader"] {
        let mut stranger = guild.connect(&format!("as_{role}")).await;
        let tables = tables(&mut stranger, guild.schema).await;
        assert!(tables.len() >= 11, "{tables:?}");
        for (table, column) in &tables {
            let may = |verb: &str| {
                WRITES.iter().any(|(who, what, verbs)| {
                    (*who, *what) == (role, table.as_str()) && verbs.contains(&verb)
                })
            };
            let is_unread =
                UNREAD.iter().any(|(who, what)| *who == role && what.contains(&&**table));
            // The head's only column to write is not its first.
            let column = if table == "chronicle_head" { "position" } else { column.as_str() };
            let attempts = [
                (format!("SELECT FROM guildhall.{table}"), !is_unread),
                (format!("INSERT INTO guildhall.{table} DEFAULT VALUES"), may("INSERT")),
                (
                    format!("UPDATE guildhall.{table} SET {column} = {column} WHERE false"),
                    may("UPDATE"),
                ),
                (format!("DELETE FROM guildhall.{table}"), false),
                (format!("TRUNCATE guildhall.{table} CASCADE"), false),
                (format!("ALTER TABLE guildhall.{table} DISABLE TRIGGER ALL"), false),
                (format!("ALTER TABLE guildhall.{table} OWNER TO CURRENT_USER"), false),
                (format!("DROP TABLE guildhall.{table} CASCADE"), false),
                (
                    format!(
                        "CREATE TRIGGER mine BEFORE INSERT ON guildhall.{table} FOR EACH ROW
                         EXECUTE FUNCTION suppress_redundant_updates_trigger()"
                    ),
                    false,
                ),
                (format!("CREATE INDEX ON guildhall.{table} ({column})"), false),
            ];
            for (attempt, may) in attempts {
                let refusal = refusal(&mut stranger, &attempt).await;
                assert_eq!(
                    refusal.as_deref() == Some(REFUSED),
                    !may,
                    "{role}: {attempt}: {refusal:?}"
                );
            }
        }
        for attempt in [
            "UPDATE guildhall.chronicle_head SET id = id",
            "CREATE TABLE guildhall.mine (id integer)",
            "CREATE VIEW guildhall.mine AS SELECT 1",
            "CREATE FUNCTION guildhall.mine() RETURNS integer LANGUAGE sql RETURN 1",
            "CREATE OR REPLACE FUNCTION guildhall.chronicle_refuse() RETURNS trigger
             LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "DROP FUNCTION guildhall.chronicle_refuse() CASCADE",
            "DROP TRIGGER chronicle_entries_refuse_change ON guildhall.chronicle_entries",
            "DROP SCHEMA guildhall CASCADE",
            "ALTER SCHEMA guildhall RENAME TO mine",
            "SET session_replication_role = replica",
            "SET ROLE guildhall_owner",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guildhall'",
        ] {
            let refusal = refusal(&mut stranger, attempt).await;
            assert_eq!(refusal.as_deref(), Some(REFUSED), "{role}: {attempt}");
        }
    }
    // The owner keeps what is recorded, unless it takes the triggers away first.
    let mut owner = guild.connect("guildhall_owner").await;
    for (attempt, expected) in [
        ("DELETE FROM guildhall.chronicle_entries", "23001"),
        ("UPDATE guildhall.chronicle_entries SET payload = ''", "23001"),
        ("TRUNCATE guildhall.custody_transitions", "23001"),
        ("SET session_replication_role = replica", REFUSED),
        ("CREATE ROLE mine", REFUSED),
        ("CREATE SCHEMA mine", REFUSED),
    ] {
        assert_eq!(refusal(&mut owner, attempt).await.as_deref(), Some(expected), "{attempt}");
    }
}

#[tokio::test]
async fn the_library_says_what_a_role_was_refused() {
    let guild = Guild::start().await;
    let denied = |error: &dyn std::error::Error| {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let said = causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"));
        assert!(said.contains("permission denied"), "{said}");
    };
    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(50)).await;
    for user in ["as_reader", "as_projector"] {
        let chronicle = guild.open(user).await.unwrap().chronicle();
        let error = chronicle.append(Append::of([NewEntry::new(&common::event(1))])).await;
        denied(&error.unwrap_err());
    }
    for user in ["as_reader", "as_writer"] {
        let store = guild.open(user).await.unwrap();
        let projector = store.projector().start().unwrap();
        let error = projector.hold_lease().await.unwrap_err();
        assert!(!error.is_transient(), "{error:?}");
        denied(&error);
    }
    for user in ["as_reader", "as_writer", "as_projector"] {
        let store = guild.open(user).await.unwrap();
        let projector = store.projector().start().unwrap();
        let chronicle = Arc::new(store.chronicle());
        denied(
            &rebuild(chronicle, &projector, &RuntimeSettings::default(), |_| {}).await.unwrap_err(),
        );
    }
    let writer = guild.open("as_writer").await.unwrap();
    denied(&writer.ops_db().overview().await.unwrap_err());
    // Nobody but those who were granted a role gets in, and only the owner makes tables.
    execute(guild.database.url(), "CREATE ROLE nobody LOGIN");
    denied(&guild.open("nobody").await.unwrap_err());
    execute(guild.database.url(), "CREATE SCHEMA other");
    let mut options = PostgresOptions::at(guild.url("as_projector"));
    options.schema = "other".to_owned();
    denied(&PostgresStore::open_with(options).await.unwrap_err());
}

#[tokio::test]
async fn the_script_can_be_run_again_and_takes_what_was_given_beside_it() {
    let guild = Guild::start().await;
    let rights = "SELECT string_agg(relname || ':' || coalesce(relacl::text, '') || ':' || relowner::regrole, E'\\n' ORDER BY relname)
                  FROM pg_class WHERE relnamespace = 'guildhall'::regnamespace AND relkind = 'r'";
    let mut admin = guild.connect("guildhall").await;
    let before: String = sqlx::query_scalar(rights).fetch_one(&mut admin).await.unwrap();
    for meddling in [
        "GRANT ALL ON ALL TABLES IN SCHEMA guildhall TO guildhall_reader, PUBLIC",
        "GRANT UPDATE (payload) ON guildhall.chronicle_entries TO guildhall_writer",
        "ALTER TABLE guildhall.accord_bindings OWNER TO guildhall_projector",
        "REVOKE ALL ON guildhall.chronicle_entries FROM guildhall_writer",
    ] {
        execute(guild.database.url(), meddling);
    }
    let said = guild.run_script(&[]).unwrap();
    assert_eq!(said, "");
    let after: String = sqlx::query_scalar(rights).fetch_one(&mut admin).await.unwrap();
    assert_eq!(after, before);
    let columns: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
         WHERE relnamespace = 'guildhall'::regnamespace AND attacl IS NOT NULL",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    // The one column that the writer updates.
    assert_eq!(columns, 1);
}

#[tokio::test]
async fn names_are_chosen_and_a_superuser_is_not_needed() {
    let mut guild = Guild::start().await;
    execute(guild.database.url(), "CREATE ROLE dba LOGIN CREATEROLE");
    let hand_over = format!("ALTER DATABASE {} OWNER TO dba", guild.database.name());
    execute(guild.database.admin_url(), &hand_over);
    let odd = [
        ("schema", "Guild \"North\""),
        ("owner", "north owner"),
        ("writer", "north-writer"),
        ("projector", "north's projector"),
        ("reader", "North Reader"),
    ];
    let dba = guild.url("dba");
    for _ in 0..2 {
        assert_eq!(guild.server.psql(&dba, &odd, script()).unwrap(), "");
        guild.schema = "Guild \"North\"";
        execute(&dba, "ALTER ROLE \"north owner\" LOGIN");
        guild.open("north%20owner").await.unwrap();
    }
    for (user, role) in [("north_a", "north-writer"), ("north_b", "north's projector")] {
        execute(guild.database.url(), &format!("CREATE ROLE {user} LOGIN IN ROLE \"{role}\""));
    }
    append_all(&guild.open("north_a").await.unwrap().chronicle(), &log(200)).await;
    let store = guild.open("north_b").await.unwrap();
    let projector = Arc::new(store.projector().start().unwrap());
    catch_up(Arc::new(store.chronicle()), projector, &RuntimeSettings::default(), |_| {})
        .await
        .unwrap();
    // The two Guildhalls of this database are strangers.
    let mut options = PostgresOptions::at(guild.url("as_writer"));
    options.schema = guild.schema.to_owned();
    assert!(PostgresStore::open_with(options).await.is_err());
}

/// Whoever is frozen between two statements of its transaction is ended by the server, so that one
/// with another login, which may end nobody, takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_projector_is_replaced_by_one_of_another_login() {
    let guild = Guild::start().await;
    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(50)).await;
    execute(guild.database.url(), "CREATE ROLE other_projector LOGIN IN ROLE guildhall_projector");
    let proxy = Proxy::start(&guild.server).await;
    let frozen = guild.projector_behind(&proxy).await;
    // With the row locked.
    proxy.fall_silent_in_a_transaction(2);
    let freezing = tokio::spawn(async move { frozen.hold_lease().await });
    within(proxy.is_silent()).await;
    let rival = guild.open("other_projector").await.unwrap();
    take_over(&rival.projector().lease_time(LEASE).start().unwrap()).await;
    proxy.mend();
    within(freezing).await.unwrap().unwrap_err();
}

/// While rows are copied the server waits for more of them, without an end. Whoever is frozen there
/// is ended by one that logs in with the same name; or with another, if it may see and signal it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projector_that_is_frozen_in_a_copy_is_deposed_by_its_own_login() {
    let guild = Guild::start().await;
    let log_of = guild.open("as_writer").await.unwrap().chronicle();
    append_all(&log_of, &log(50)).await;
    let origin = log_of.origin().await.unwrap().unwrap();
    let entries = log_of.read(Position::ZERO, ReadLimit::entries(50)).await.unwrap();
    execute(guild.database.url(), "CREATE ROLE other_projector LOGIN IN ROLE guildhall_projector");
    for (login, needs_right) in [("as_projector", false), ("other_projector", true)] {
        let proxy = Proxy::start(&guild.server).await;
        let frozen = guild.projector_behind(&proxy).await;
        frozen.hold_lease().await.unwrap();
        proxy.fall_silent_in_a_copy();
        let batch = Batch::decode(origin.clone(), entries.clone()).unwrap();
        let freezing = tokio::spawn(async move { frozen.apply(batch).await });
        within(proxy.is_silent()).await;
        let rival = guild.open(login).await.unwrap();
        let rival = rival.projector().lease_time(LEASE).start().unwrap();
        for right in ["pg_signal_backend", "pg_read_all_stats"].iter().filter(|_| needs_right) {
            let lease = within(rival.hold_lease()).await;
            assert!(!matches!(lease, Ok(Lease::Held)), "{lease:?}");
            execute(guild.database.url(), &format!("GRANT {right} TO other_projector"));
        }
        take_over(&rival).await;
        proxy.mend();
        within(freezing).await.unwrap().unwrap_err();
        rival.release_lease().await.unwrap();
    }
}

/// Takes the lease as soon as it can be had.
async fn take_over(projector: &impl Projector) {
    within(async {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        while !matches!(projector.hold_lease().await, Ok(Lease::Held)) {
            look.tick().await;
        }
    })
    .await;
}

/// The owner's own unfinished rebuild is ended by its next.
#[tokio::test]
async fn the_owner_throws_away_its_unfinished_rebuild() {
    let guild = Guild::start().await;
    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(50)).await;
    let store = guild.open("guildhall_owner").await.unwrap();
    let projector = store.projector().start().unwrap();
    let _unfinished = projector.begin_rebuild().await.unwrap();
    let other = guild.open("guildhall_owner").await.unwrap().projector().start().unwrap();
    let chronicle = Arc::new(store.chronicle());
    rebuild(chronicle, &other, &RuntimeSettings::default(), |_| {}).await.unwrap();
    guild.assert_tables_are_as_expected().await;
}

/// Partitions are the owner's; the projector may make the months to come, and nothing else of them.
#[tokio::test]
async fn the_months_to_come_are_made_by_a_projector_that_may_make_no_table() {
    let guild = Guild::start().await;
    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(50)).await;
    let owner = guild.open("guildhall_owner").await.unwrap();
    let builder = owner.projector().partitions(Partitions::On).start().unwrap();
    let chronicle = Arc::new(owner.chronicle());
    rebuild(chronicle.clone(), &builder, &RuntimeSettings::default(), |_| {}).await.unwrap();

    let mut projector = guild.connect("as_projector").await;
    let extend = "SELECT guildhall.extend_verification_months(months_ahead => 5)";
    let made: i32 = sqlx::query_scalar(extend).fetch_one(&mut projector).await.unwrap();
    assert_eq!(made, 2);
    let retire = "SELECT guildhall.retire_verification_month()";
    assert_eq!(refusal(&mut projector, retire).await.as_deref(), Some(REFUSED));
    for user in ["as_writer", "as_reader"] {
        let mut stranger = guild.connect(user).await;
        for call in [extend, retire] {
            assert_eq!(refusal(&mut stranger, call).await.as_deref(), Some(REFUSED), "{user}");
        }
    }
    assert_eq!(refusal(&mut guild.connect("guildhall_owner").await, retire).await, None);

    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(150)).await;
    let store = guild.open("as_projector").await.unwrap();
    let projector = Arc::new(store.projector().start().unwrap());
    catch_up(chronicle, projector, &RuntimeSettings::default(), |_| {}).await.unwrap();
    guild.assert_tables_are_as_expected().await;
    let reader = guild.open("as_reader").await.unwrap().ops_db();
    assert!(reader.overview().await.unwrap().artifacts() > 0);
    let view = "SELECT drift FROM guildhall.artifact_drift";
    assert_eq!(refusal(&mut guild.connect("as_reader").await, view).await, None);
    let mut writer = guild.connect("as_writer").await;
    assert_eq!(refusal(&mut writer, view).await.as_deref(), Some(REFUSED));
}

/// Whoever rebuilds, the parts are the owner's as the tables are.
#[tokio::test]
async fn partitions_belong_to_the_owner_of_the_tables_whoever_rebuilds() {
    let guild = Guild::start().await;
    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(50)).await;
    execute(guild.database.url(), "CREATE ROLE deputy LOGIN IN ROLE guildhall_owner");
    for (user, months_ahead) in [("guildhall", 5), ("deputy", 6)] {
        let store = guild.open(user).await.unwrap();
        let projector = store.projector().partitions(Partitions::On).start().unwrap();
        let chronicle = Arc::new(store.chronicle());
        rebuild(chronicle, &projector, &RuntimeSettings::default(), |_| {}).await.unwrap();
        let extend = format!("SELECT guildhall.extend_verification_months({months_ahead})");
        let mut projector = guild.connect("as_projector").await;
        let made: i32 =
            sqlx::query_scalar(AssertSqlSafe(extend)).fetch_one(&mut projector).await.unwrap();
        assert_eq!(made, months_ahead - 3, "{user}");
        let retire = "SELECT guildhall.retire_verification_month()";
        let mut owner = guild.connect("guildhall_owner").await;
        let retired: Option<String> =
            sqlx::query_scalar(retire).fetch_one(&mut owner).await.unwrap();
        assert!(retired.is_some(), "{user}");
    }
}
