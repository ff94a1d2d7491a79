//! What the Chronicle promises, on a server: durability, few connections, answers that were cut
//! off, what a stored row may hold.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
mod proxy;
mod server;

use std::time::Duration;

use common::{append_one, event, stream};
use guildhall_core::store::BadRow;
use guildhall_core::{
    Append, AppendError, Chronicle, EventId, Expected, NewEntry, Position, ReadLimit, StreamId,
    Version,
};
use guildhall_store_postgres::{PostgresChronicle, PostgresOptions, PostgresStore};
use proxy::{Cut, Proxy};
use server::{Database, Server, Settings, Stop, execute};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);
const ALL: ReadLimit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };

async fn positions(chronicle: &PostgresChronicle) -> Vec<(u64, EventId)> {
    let entries = chronicle.read(Position::ZERO, ALL).await.unwrap();
    entries.iter().map(|entry| (entry.position.get(), entry.event_id)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_connections_suffice() {
    let database = Database::create();
    let pool = PgPoolOptions::new()
        .max_connections(3)
        .acquire_timeout(SOON)
        .connect(database.url())
        .await
        .unwrap();
    let store = PostgresStore::open_with(PostgresOptions::with_pool(pool.clone())).await.unwrap();
    let chronicle = store.chronicle();
    let readers = (0..8).map(|_| {
        let chronicle = chronicle.clone();
        tokio::spawn(async move {
            let mut at = Position::ZERO;
            while at.get() < 320 {
                chronicle.wait_beyond(at, SOON).await.unwrap();
                let entries = chronicle.read(at, ReadLimit::entries(9)).await.unwrap();
                at = entries.last().map_or(at, |entry| entry.position);
            }
        })
    });
    let writers = (0..16u128).map(|nth| {
        let chronicle = chronicle.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                append_one(&chronicle, nth).await;
                chronicle.read_stream(stream(nth), Version::ZERO, ALL).await.unwrap();
            }
        })
    });
    let everybody = readers.chain(writers).collect::<Vec<_>>();
    for one in everybody {
        timeout(SOON * 2, one).await.expect("nobody waits for ever").unwrap();
    }
    assert!(pool.size() <= 3);
}

#[tokio::test]
async fn an_append_is_synced_whatever_the_session_says() {
    let database = Database::create();
    let pool = PgPoolOptions::new()
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection
                    .execute(
                        "SET synchronous_commit = off;
                         SET default_transaction_isolation = serializable;
                         SET default_transaction_read_only = off;
                         SET search_path = pg_catalog",
                    )
                    .await
                    .map(drop)
            })
        })
        .connect(database.url())
        .await
        .unwrap();
    let store = PostgresStore::open_with(PostgresOptions::with_pool(pool)).await.unwrap();
    // The commit of a transaction that is asynchronous leaves the log unflushed for a while; what
    // the trigger sets shows at the end of a statement of the same transaction.
    execute(
        database.url(),
        "CREATE TABLE public.seen (setting text);
         CREATE FUNCTION public.note_setting() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN INSERT INTO public.seen VALUES (current_setting(''synchronous_commit''));
          RETURN NULL; END';
         CREATE CONSTRAINT TRIGGER zz_note AFTER INSERT ON guildhall.chronicle_entries
         DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION public.note_setting()",
    );
    for nth in 0..3 {
        append_one(&store.chronicle(), nth).await;
    }
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let seen: Vec<String> =
        sqlx::query_scalar("SELECT setting FROM seen").fetch_all(&mut connection).await.unwrap();
    assert_eq!(seen, ["on", "on", "on"]);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash_of_the_server() {
    let server = Server::start(Settings { fsync: true, ..Settings::default() });
    let database = Database::create_on(&server.url("postgres"));
    let chronicle = PostgresStore::open(database.url()).await.unwrap().chronicle();
    let mut acknowledged = Vec::new();
    for nth in 0..3 {
        for _ in 0..20 {
            let entry = NewEntry::new(&event(nth));
            let id = entry.event_id;
            let appended = chronicle.append(Append::of([entry])).await.unwrap();
            acknowledged.push((appended[0].position.get(), id));
        }
        server.restart(if nth % 2 == 0 { Stop::Immediate } else { Stop::Fast });
    }
    assert_eq!(positions(&chronicle).await, acknowledged);
}

#[tokio::test]
async fn a_lost_answer_is_found_out() {
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    let proxy = Proxy::start(&server).await;
    let store = PostgresStore::open(proxy.url(database.name())).await.unwrap();
    let chronicle = store.chronicle();
    append_one(&chronicle, 1).await;
    let mut expected = 1;
    for (cut, is_other_writer_between) in [
        (Cut::AfterTheAnswer, false),
        (Cut::BeforeTheStatement, false),
        (Cut::AfterTheAnswer, true),
        (Cut::BeforeTheStatement, true),
    ] {
        // So that the next statement over the writer's connection is the append.
        append_one(&chronicle, 1).await;
        proxy.cut_next(cut);
        // On a stream that is known, so that nothing has to be looked up before.
        let append = Append::of([NewEntry::new(&event(1)), NewEntry::new(&event(1))])
            .expecting(stream(1), Expected::Version(Version::new(expected + 1)));
        let ids: Vec<_> = append.entries.iter().map(|entry| entry.event_id).collect();
        let answer = {
            let chronicle = chronicle.clone();
            tokio::spawn(async move { chronicle.append(append).await })
        };
        if is_other_writer_between {
            timeout(SOON, proxy.was_cut()).await.unwrap();
            let other = PostgresStore::open(database.url()).await.unwrap();
            append_one(&other.chronicle(), 77).await;
        }
        let answer = timeout(SOON, answer).await.unwrap().unwrap().unwrap();
        assert!(proxy.is_cut(), "{cut:?}");
        assert!(answer.iter().all(|answer| !answer.was_recorded), "{cut:?}: {answer:?}");
        let recorded = positions(&chronicle).await;
        for (answer, id) in answer.iter().zip(&ids) {
            let found: Vec<_> = recorded.iter().filter(|(_, it)| it == id).collect();
            assert_eq!(found, [&(answer.position.get(), *id)], "{cut:?}");
        }
        expected += 3;
        proxy.reset();
    }
    let recorded: Vec<u64> = positions(&chronicle).await.iter().map(|(at, _)| *at).collect();
    assert_eq!(recorded, (1..=1 + 4 * 3 + 2).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_transient_error_and_then_none() {
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    let chronicle = PostgresStore::open(database.url()).await.unwrap().chronicle();
    append_one(&chronicle, 1).await;
    server.stop(Stop::Fast);
    match chronicle.append(Append::of([NewEntry::new(&event(1))])).await {
        Err(AppendError::Store(error)) => assert!(error.is_transient(), "{error:?}"),
        other => panic!("{other:?}"),
    }
    assert!(chronicle.head().await.unwrap_err().is_transient());
    match PostgresStore::open(database.url()).await {
        Err(error) => assert!(error.is_transient(), "{error:?}"),
        Ok(_) => panic!("there is no server"),
    }
    server.boot();
    assert_eq!(append_one(&chronicle, 1).await.position, Position::new(2));
}

#[tokio::test]
async fn repeats_among_many_processes_are_answered() {
    let database = Database::create();
    let first = PostgresStore::open(database.url()).await.unwrap().chronicle();
    let second = PostgresStore::open(database.url()).await.unwrap().chronicle();
    let entries: Vec<_> = (0..10).map(|nth| NewEntry::new(&event(nth))).collect();
    for (nth, entry) in entries.iter().enumerate() {
        let chronicle = if nth % 2 == 0 { &first } else { &second };
        chronicle.append(Append::of([entry.clone()])).await.unwrap();
    }
    for chronicle in [&first, &second] {
        for nth in 0..10 {
            let mut again = Append::of(entries[nth..].to_vec());
            again.entries.push(NewEntry::new(&event(nth as u128)));
            let answers = chronicle.append(again).await.unwrap();
            let repeated = answers.iter().filter(|answer| answer.was_recorded).count();
            assert_eq!(repeated, 10 - nth);
            assert_eq!(answers[0].position.get(), nth as u64 + 1);
        }
    }
    assert_eq!(first.head().await.unwrap().position.get(), 30);
}

#[tokio::test]
async fn versions_are_right_after_another_process_wrote() {
    let database = Database::create();
    let first = PostgresStore::open(database.url()).await.unwrap().chronicle();
    let second = PostgresStore::open(database.url()).await.unwrap().chronicle();
    append_one(&first, 1).await;
    append_one(&second, 1).await;
    // The first knows version 1 only; it must not be what it judges by.
    let stale = Append::of([NewEntry::new(&event(2))])
        .expecting(stream(1), Expected::Version(Version::new(2)));
    first.append(stale).await.unwrap();
    append_one(&second, 1).await;
    let refused = Append::of([NewEntry::new(&event(1))])
        .expecting(stream(1), Expected::Version(Version::new(2)));
    match first.append(refused).await {
        Err(AppendError::Conflict { found, .. }) => assert_eq!(found, Version::new(3)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_read_of_few_bytes_and_any_number_of_entries_is_bounded() {
    let database = Database::create();
    let chronicle = PostgresStore::open(database.url()).await.unwrap().chronicle();
    // Some at a time: the server ends a transaction whose client prepares its next statement for
    // five seconds, as all of them at once can take on a busy machine.
    for first in (0..40_000).step_by(5_000) {
        let entries = (first..first + 5_000).map(|nth| NewEntry::new(&event(nth)));
        chronicle.append(Append::of(entries)).await.unwrap();
    }
    let length = chronicle.read(Position::ZERO, ALL).await.unwrap()[0].payload.len();
    for (limit, expected) in [
        (ALL, 40_000),
        (ReadLimit { entries: usize::MAX, bytes: 0 }, 1),
        (ReadLimit { entries: usize::MAX, bytes: length * 20_000 }, 20_000),
        (ReadLimit { entries: 16_384, bytes: usize::MAX }, 16_384),
        (ReadLimit { entries: 16_385, bytes: usize::MAX }, 16_385),
        (ReadLimit { entries: 0, bytes: 0 }, 1),
    ] {
        assert_eq!(chronicle.read(Position::ZERO, limit).await.unwrap().len(), expected);
    }
    let stream: StreamId = stream(39_999);
    assert_eq!(chronicle.read_stream(stream, Version::ZERO, ALL).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_row_that_was_damaged_says_so() {
    let database = Database::create();
    let chronicle = PostgresStore::open(database.url()).await.unwrap().chronicle();
    for _ in 0..3 {
        append_one(&chronicle, 1).await;
    }
    let owner = "ALTER TABLE guildhall.chronicle_entries DISABLE TRIGGER ALL;";
    execute(
        database.url(),
        &format!("{owner} DELETE FROM guildhall.chronicle_entries WHERE position = 2"),
    );
    let error = chronicle.read(Position::ZERO, ALL).await.unwrap_err();
    assert!(!error.is_transient());
    match error.source.downcast_ref::<BadRow>() {
        Some(BadRow::Gap { expected, found }) => {
            assert_eq!((expected.get(), found.get()), (2, 3));
        }
        other => panic!("{other:?}"),
    }
    execute(
        database.url(),
        "ALTER TABLE guildhall.chronicle_entries DROP CONSTRAINT chronicle_entries_recorded_at_check;
         UPDATE guildhall.chronicle_entries SET recorded_at = 'infinity' WHERE position = 3",
    );
    let error = chronicle.read(Position::new(2), ALL).await.unwrap_err();
    match error.source.downcast_ref::<BadRow>() {
        Some(BadRow::Column { position, column }) => {
            assert_eq!((*position, *column), (3, "recorded_at"));
        }
        other => panic!("{other:?}"),
    }
}
