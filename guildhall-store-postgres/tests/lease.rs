//! Two processes with a projector of one name: one works, the other stands by and takes over when
//! the first dies, freezes or loses its connection, wherever that finds it; and who was deposed
//! writes nothing any more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]
#![allow(clippy::large_futures, reason = "tests")]

mod projecting;
mod proxy;
mod read_tables;
mod server;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use guildhall_core::{HolderId, Lease, Position, Projector as _, Timestamp};
use guildhall_projector::State;
use guildhall_store_postgres::{PostgresOptions, PostgresStore};
use projecting::{append_all, assert_projected, log, project, settings, within};
use proxy::Proxy;
use server::{Database, Server, Settings};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::sync::watch;

const URL: &str = "GUILDHALL_TEST_PROJECT_AT";

const LEASE: Duration = Duration::from_secs(2);

/// Within which another has taken over: until the lease lapses, to find that out (a third of it),
/// and to wait for a lock that the one before may hold.
const TAKEOVER: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other tests start it as processes of their own"]
async fn a_process_that_projects() {
    // It ends with the process that started it.
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let mut options = PostgresOptions::at(env::var(URL).unwrap());
    options.lease_time = LEASE;
    let store = PostgresStore::open_with(options).await.unwrap();
    // A batch is more than what is applied in one statement.
    let runtime = project(&store, &store, settings().read_entries(100));
    let mut watched = runtime.watch_status();
    loop {
        let status = watched.borrow_and_update().clone();
        let state = match status.state {
            State::CatchingUp | State::Live => "works",
            State::Standby { .. } => "stands by",
            State::BackingOff { .. } => "backs off",
            State::Starting => "starts",
            _ => "stopped",
        };
        println!("at {} it {state}", status.position);
        watched.changed().await.unwrap();
    }
}

/// What a process said last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Said {
    position: Position,
    state: String,
}

/// A process that projects. It is killed when dropped.
struct Process {
    child: Child,
    said: watch::Receiver<Said>,
}

impl Process {
    /// Starts one that calls itself `name` to the server.
    fn start(url: &str, name: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_process_that_projects", "--ignored", "--nocapture"])
            .env(URL, format!("{url}&application_name={name}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, said) = watch::channel(Said::default());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Some(line) = line.split_once("at ").map(|(_, line)| line) else { continue };
                if let Some((position, state)) = line.split_once(" it ") {
                    let position = Position::new(position.parse().unwrap());
                    sender.send_replace(Said { position, state: state.to_owned() });
                }
            }
        });
        Self { child, said }
    }

    /// Waits until it does this, at this position or beyond, and answers how long that took.
    async fn does(&self, state: &str, position: u64) -> Duration {
        let begun = Instant::now();
        let mut said = self.said.clone();
        let wanted = said.wait_for(|said| said.state == state && said.position.get() >= position);
        let found = tokio::time::timeout(Duration::from_secs(60), wanted).await;
        assert!(found.is_ok(), "it never {state} at {position}: {:?}", self.said.borrow());
        begun.elapsed()
    }

    /// Sends it a signal, such as `STOP`.
    fn signal(&self, signal: &str) {
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &process]).status().unwrap();
        assert!(sent.success());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that works, reached by a proxy, and one that stands by.
struct Rivals {
    first: Process,
    second: Process,
    proxy: Proxy,
    store: PostgresStore,
    pool: PgPool,
    database: Database,
    /// Stopped last.
    _server: Server,
}

impl Rivals {
    async fn start() -> Self {
        let server = Server::start(Settings::default());
        let database = Database::create_on(&server.url("postgres"));
        let store = PostgresStore::open(database.url()).await.unwrap();
        let pool = PgPool::connect(database.url()).await.unwrap();
        keep_a_record_of_writes(&pool).await;
        append_all(&store.chronicle(), &log(200)).await;
        let proxy = Proxy::start(&server).await;
        // Each statement is parsed each time, so that a transaction always has the same pieces.
        let url = proxy.url(database.name()) + "&statement-cache-capacity=0";
        let first = Process::start(&url, "first");
        first.does("works", 200).await;
        let second = Process::start(database.url(), "second");
        second.does("stands by", 200).await;
        Self { first, second, proxy, store, pool, database, _server: server }
    }

    /// Appends the log up to this length.
    async fn append_up_to(&self, length: usize) {
        append_all(&self.store.chronicle(), &log(length)).await;
    }

    /// Freezes the first, which sits in a transaction that has locked or written something.
    async fn freeze_in_transaction(&self) {
        within(self.proxy.is_silent()).await;
        self.first.signal("STOP");
        within(async {
            let mut look = tokio::time::interval(Duration::from_millis(5));
            while self.transactions_of_the_first().await == 0 {
                look.tick().await;
            }
        })
        .await;
    }

    /// How many transactions of the first have locked or written something.
    async fn transactions_of_the_first(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE application_name = 'first' AND backend_xid IS NOT NULL",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Who committed writes, one after the other, each named once until another comes.
    async fn writers(&self) -> Vec<String> {
        let mut writers: Vec<String> =
            sqlx::query_scalar("SELECT who FROM public.writes ORDER BY nth")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        writers.dedup();
        writers
    }

    /// The first was stopped somehow: the second takes over in time and goes to the end; then the
    /// first is there again, stands by, and takes over when the second dies.
    async fn take_turns(self, recover: impl AsyncFnOnce(&Self)) {
        let took = self.second.does("works", 400).await;
        assert!(took < TAKEOVER, "{took:?}");
        self.append_up_to(500).await;
        self.second.does("works", 500).await;
        assert_eq!(self.writers().await, ["first", "second"]);
        recover(&self).await;
        self.first.does("stands by", 500).await;
        self.append_up_to(600).await;
        self.second.does("works", 600).await;
        self.first.does("stands by", 600).await;
        // Not a row of who was deposed.
        assert_eq!(self.writers().await, ["first", "second"]);
        assert_projected(self.database.url(), &self.store.chronicle()).await;

        self.second.signal("KILL");
        self.append_up_to(700).await;
        let took = self.first.does("works", 700).await;
        assert!(took < TAKEOVER, "{took:?}");
        assert_eq!(self.writers().await, ["first", "second", "first"]);
        assert_projected(self.database.url(), &self.store.chronicle()).await;
    }
}

/// Every write to the Ops DB leaves the name of its session, in the order of the commits, as they
/// take turns on a row.
async fn keep_a_record_of_writes(pool: &PgPool) {
    sqlx::raw_sql(
        "CREATE TABLE public.writes (nth bigserial, who text);
         CREATE FUNCTION public.record_write() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO public.writes (who) VALUES (current_setting('application_name'));
             RETURN NULL;
         END $$",
    )
    .execute(pool)
    .await
    .unwrap();
    for table in [
        "projector_checkpoints",
        "accord_bindings",
        "governed_artifacts",
        "artifact_revisions",
        "custody_transitions",
        "deployment_states",
        "deployment_changes",
        "verification_results",
        "quarantined_entries",
        "row_counts",
    ] {
        let trigger = format!(
            "CREATE TRIGGER record_write AFTER INSERT OR UPDATE OR DELETE ON guildhall.{table}
             FOR EACH ROW EXECUTE FUNCTION public.record_write()"
        );
        sqlx::raw_sql(AssertSqlSafe(trigger)).execute(pool).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_killed_at_work_is_replaced() {
    let Rivals { first, second, proxy: _proxy, store, pool: _pool, database, _server } =
        Rivals::start().await;
    let entries = log(3000);
    let appending = {
        let chronicle = store.chronicle();
        tokio::spawn(async move { append_all(&chronicle, &entries).await })
    };
    first.does("works", 500).await;
    first.kill();
    let took = second.does("works", 600).await;
    assert!(took < TAKEOVER, "{took:?}");
    within(appending).await.unwrap();
    second.does("works", 3000).await;
    assert_projected(database.url(), &store.chronicle()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_frozen_at_rest_is_replaced_and_stands_by_when_it_thaws() {
    let rivals = Rivals::start().await;
    rivals.first.signal("STOP");
    rivals.append_up_to(400).await;
    rivals.take_turns(async |rivals| rivals.first.signal("CONT")).await;
}

/// At this piece of its transaction it holds the row of the checkpoint, and has written some rows
/// perhaps; nothing of that stays.
async fn freeze_in_a_transaction(piece: usize) {
    let rivals = Rivals::start().await;
    rivals.proxy.fall_silent_in_a_transaction(piece);
    rivals.append_up_to(400).await;
    rivals.freeze_in_transaction().await;
    // The server hears it, and has answers for it, but it is frozen.
    rivals.proxy.mend();
    rivals.take_turns(async |rivals| rivals.first.signal("CONT")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_frozen_with_the_checkpoint_locked_is_replaced() {
    freeze_in_a_transaction(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_frozen_with_rows_written_is_replaced() {
    freeze_in_a_transaction(8).await;
}

/// The server waits for the rest of the rows, which no time-out of its own ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_frozen_in_the_middle_of_a_copy_is_replaced() {
    let rivals = Rivals::start().await;
    rivals.proxy.fall_silent_in_a_copy();
    rivals.append_up_to(400).await;
    rivals.freeze_in_transaction().await;
    rivals
        .take_turns(async |rivals| {
            rivals.first.signal("CONT");
            rivals.proxy.mend();
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_connections_are_cut_is_replaced() {
    let rivals = Rivals::start().await;
    rivals.proxy.go_down();
    rivals.append_up_to(400).await;
    rivals.first.does("backs off", 200).await;
    rivals.take_turns(async |rivals| rivals.proxy.mend()).await;
}

/// As when a cable is pulled: nobody is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_connections_fall_silent_is_replaced() {
    let rivals = Rivals::start().await;
    rivals.proxy.fall_silent();
    rivals.append_up_to(400).await;
    rivals.take_turns(async |rivals| rivals.proxy.mend()).await;
}

/// The one that stands by may fail as well, and nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_dies_standing_by_changes_nothing() {
    let rivals = Rivals::start().await;
    rivals.second.signal("KILL");
    rivals.append_up_to(400).await;
    rivals.first.does("works", 400).await;
    assert_eq!(rivals.writers().await, ["first"]);
    let third = Process::start(rivals.database.url(), "third");
    third.does("stands by", 400).await;
    assert_projected(rivals.database.url(), &rivals.store.chronicle()).await;
}

/// A rebuild that takes the tables' place holds the row of the checkpoint in a transaction that began
/// long ago, and may wait for others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_works_for_longer_than_a_lease_holds_is_left_alone() {
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    let store = PostgresStore::open(database.url()).await.unwrap();
    let rival = store.projector().lease_time(Duration::from_millis(100)).start().unwrap();
    rival.hold_lease().await.unwrap();
    let pool = PgPool::connect(database.url()).await.unwrap();
    let mut other = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(7)").execute(&mut *other).await.unwrap();
    let mut busy = pool.begin().await.unwrap();
    let lock = "SELECT FROM guildhall.projector_checkpoints FOR UPDATE";
    sqlx::raw_sql(lock).execute(&mut *busy).await.unwrap();
    let working = tokio::spawn(async move {
        sqlx::raw_sql("SELECT pg_advisory_xact_lock(7)").execute(&mut *busy).await?;
        busy.commit().await
    });
    // Each looks at who has the row, after a second; the lease has lapsed long since.
    for _ in 0..2 {
        let lease = within(rival.hold_lease()).await;
        assert!(!matches!(lease, Ok(Lease::Held)), "{lease:?}");
    }
    other.rollback().await.unwrap();
    within(working).await.unwrap().unwrap();
    assert_eq!(within(rival.hold_lease()).await.unwrap(), Lease::Held);
}

/// The clock is the server's, and it may have been an hour ahead.
#[tokio::test]
async fn a_lease_from_under_a_clock_that_went_back_has_lapsed() {
    let database = Database::create();
    let store = PostgresStore::open(database.url()).await.unwrap();
    let [one, other] = [store.projector().start().unwrap(), store.projector().start().unwrap()];
    assert_eq!(one.hold_lease().await.unwrap(), Lease::Held);
    let mut look = PgConnection::connect(database.url()).await.unwrap();
    let (holder, until): (uuid::Uuid, chrono::DateTime<chrono::Utc>) =
        sqlx::query_as("SELECT lease_holder, lease_until FROM guildhall.projector_checkpoints")
            .fetch_one(&mut look)
            .await
            .unwrap();
    // Whoever waits says for whom and until when.
    let (holder, until) = (HolderId::from_uuid(holder), Timestamp::try_from(until).unwrap());
    assert_eq!(other.hold_lease().await.unwrap(), Lease::Standby { holder, until });
    sqlx::raw_sql(
        "UPDATE guildhall.projector_checkpoints SET lease_until = lease_until + interval '1 hour',
             updated_at = updated_at + interval '1 hour'",
    )
    .execute(&mut look)
    .await
    .unwrap();
    assert_eq!(other.hold_lease().await.unwrap(), Lease::Held);
    assert!(matches!(one.hold_lease().await.unwrap(), Lease::Standby { .. }));
}
