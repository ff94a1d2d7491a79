//! A server with standbys: what is acknowledged has reached the synchronous one, whatever becomes of
//! the session that waits for it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
mod server;

use std::time::Duration;

use common::{append_one, event};
use guildhall_core::{
    Append, AppendError, Appended, Chronicle, NewEntry, Position, ReadLimit, StoreError,
};
use guildhall_store_postgres::{PostgresChronicle, PostgresOptions, PostgresStore};
use server::{Database, Server, Settings, Stop, execute};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);

fn append(chronicle: &PostgresChronicle, entry: &NewEntry) -> Waiting {
    let (chronicle, append) = (chronicle.clone(), Append::of([entry.clone()]));
    tokio::spawn(async move { chronicle.append(append).await })
}

type Waiting = JoinHandle<Result<Vec<Appended>, AppendError>>;

/// Waits until a session other than `before` waits for the standby, which an append that is
/// acknowledged meanwhile never does.
async fn waits_for_standby(primary: &Server, appending: &Waiting, before: Option<i32>) -> i32 {
    let mut observer = PgConnection::connect(&primary.url("postgres")).await.unwrap();
    let look = async {
        loop {
            let found: Option<i32> = sqlx::query_scalar(
                "SELECT pid FROM pg_stat_activity
                 WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'
                     AND pid IS DISTINCT FROM $1",
            )
            .bind(before)
            .fetch_optional(&mut observer)
            .await
            .unwrap();
            if let Some(pid) = found {
                return pid;
            }
            assert!(!appending.is_finished(), "acknowledged, and on no standby");
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, look).await.expect("somebody waits for the standby")
}

/// Sees to it that the database can be dropped without the standby.
struct Patient<'s>(&'s Server);

impl Drop for Patient<'_> {
    fn drop(&mut self) {
        self.0.set("synchronous_standby_names", "");
    }
}

async fn entries(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let count = "SELECT count(*) FROM guildhall.chronicle_entries";
    sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_before_the_synchronous_standby_has_it() {
    let primary = Server::start(Settings::for_standbys());
    let database = Database::create_on(&primary.url("postgres"));
    let chronicle = PostgresStore::open(database.url()).await.unwrap().chronicle();
    let other = PostgresStore::open(database.url()).await.unwrap().chronicle();
    append_one(&chronicle, 1).await;
    let standby = primary.start_standby();
    let _patient = Patient(&primary);
    primary.set("synchronous_standby_names", "*");
    append_one(&chronicle, 1).await;
    standby.stop(Stop::Fast);

    // Whoever waits for the standby is ended: its entry is seen from then on, and not yet safe.
    let entry = NewEntry::new(&event(1));
    let appending = append(&chronicle, &entry);
    let waiting = waits_for_standby(&primary, &appending, None).await;
    let mut admin = PgConnection::connect(&primary.url("postgres")).await.unwrap();
    let end = "SELECT pg_terminate_backend($1, 10000)";
    sqlx::query(end).bind(waiting).execute(&mut admin).await.unwrap();
    assert_eq!(entries(database.url()).await, 3);
    let still_waiting = waits_for_standby(&primary, &appending, Some(waiting)).await;

    // Another process repeats it, and waits as well.
    let repeating = append(&other, &entry);
    tokio::select! {
        _ = waits_for_standby(&primary, &repeating, Some(still_waiting)) => {}
        () = lock_is_waited_for(&primary, &repeating) => {}
    }

    standby.boot();
    let appended = timeout(SOON, appending).await.unwrap().unwrap().unwrap();
    let repeated = timeout(SOON, repeating).await.unwrap().unwrap().unwrap();
    assert_eq!(appended[0].position.get(), 3);
    assert!(repeated[0].was_recorded && repeated[0].position == appended[0].position);
    assert_eq!(entries(&standby.url(database.name())).await, 3);
}

/// Alone, an append that only repeats waits for the standby itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_append_waits_for_the_standby_too() {
    let primary = Server::start(Settings::for_standbys());
    let database = Database::create_on(&primary.url("postgres"));
    let chronicle = PostgresStore::open(database.url()).await.unwrap().chronicle();
    let entry = NewEntry::new(&event(1));
    append(&chronicle, &entry).await.unwrap().unwrap();
    let standby = primary.start_standby();
    let _patient = Patient(&primary);
    primary.set("synchronous_standby_names", "*");
    standby.stop(Stop::Fast);
    let repeating = append(&chronicle, &entry);
    waits_for_standby(&primary, &repeating, None).await;
    standby.boot();
    assert!(timeout(SOON, repeating).await.unwrap().unwrap().unwrap()[0].was_recorded);
}

/// Waits until somebody waits for the row that the other holds while it waits for the standby.
async fn lock_is_waited_for(primary: &Server, appending: &Waiting) {
    let mut observer = PgConnection::connect(&primary.url("postgres")).await.unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    loop {
        let count: i64 = sqlx::query_scalar(waiting).fetch_one(&mut observer).await.unwrap();
        if count > 0 {
            return;
        }
        assert!(!appending.is_finished(), "acknowledged, and on no standby");
        tokio::task::yield_now().await;
    }
}

/// As where a name or an address leads to a standby before that takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_lags_is_waited_for_and_not_taken_for_a_log_that_went_back() {
    let primary = Server::start(Settings::for_standbys());
    let database = Database::create_on(&primary.url("postgres"));
    let pool = PgPool::connect(database.url()).await.unwrap();
    let options = PostgresOptions::with_pool(pool.clone());
    let chronicle = PostgresStore::open_with(options).await.unwrap().chronicle();
    append_one(&chronicle, 1).await;
    let standby = primary.start_standby();
    let there = standby.url(database.name());
    execute(&there, "SELECT pg_wal_replay_pause()");
    append_one(&chronicle, 1).await;

    pool.set_connect_options(there.parse().unwrap());
    let others = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    execute(database.url(), others);
    let head = async || chronicle.head().await.map(|head| head.position);
    let mut lagged = false;
    let look = async {
        // The first may be told that its connection was ended.
        while !lagged {
            let appended = chronicle.append(Append::of([NewEntry::new(&event(1))])).await;
            let Err(AppendError::Store(refused)) = appended else { panic!("{appended:?}") };
            let told: [StoreError; 3] = [
                refused,
                head().await.unwrap_err(),
                chronicle.read(Position::new(1), ReadLimit::entries(9)).await.unwrap_err(),
            ];
            assert!(told.iter().all(StoreError::is_transient), "{told:?}");
            lagged = told[1..].iter().all(|it| it.source.to_string().contains("lags"));
        }
    };
    timeout(SOON, look).await.unwrap();

    execute(&there, "SELECT pg_wal_replay_resume()");
    let arrives = async { while head().await.is_err() {} };
    timeout(SOON, arrives).await.unwrap();
    let appended = chronicle.append(Append::of([NewEntry::new(&event(1))])).await;
    assert!(matches!(&appended, Err(AppendError::Store(it)) if it.is_transient()), "{appended:?}");
    execute(&there, "SELECT pg_promote()");
    assert_eq!(append_one(&chronicle, 1).await.position, Position::new(3));
}
