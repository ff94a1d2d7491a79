//! How often a live projector waits for the server, and what an idle one writes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
mod projecting;
mod proxy;
mod read_tables;
mod server;

use std::sync::Arc;
use std::time::Duration;

use guildhall_conformance::workload::{Mix, Workload};
use guildhall_core::{
    Append, Batch, Chronicle, DeploymentObserved, Event, Lease, NewEntry, OPS_DB, Position,
    Projector, ReadLimit,
};
use guildhall_store_postgres::{PostgresProjector, PostgresStore};
use projecting::assert_projected;
use proxy::Proxy;
use server::{Database, Server, Settings};
use sqlx::{Connection, PgConnection};

/// The log, and a projector that reaches its database through a proxy.
struct Stores {
    _server: Server,
    database: Database,
    proxy: Proxy,
    log: PostgresStore,
    store: PostgresStore,
}

impl Stores {
    async fn new() -> Self {
        // Nobody else writes.
        let lines = vec!["autovacuum = off".to_owned()];
        let server = Server::start(Settings { lines, ..Settings::default() });
        let database = Database::create_on(&server.url("postgres"));
        let proxy = Proxy::start(&server).await;
        let log = PostgresStore::open(database.url()).await.unwrap();
        let store = PostgresStore::open(proxy.url(database.name())).await.unwrap();
        Self { _server: server, database, proxy, log, store }
    }

    fn projector(&self) -> PostgresProjector {
        self.store.projector().start().unwrap()
    }

    /// Appends these, and returns what there is to project, one entry a batch.
    async fn append(&self, entries: impl IntoIterator<Item = NewEntry>) -> Vec<Batch> {
        let chronicle = self.log.chronicle();
        let before = chronicle.head().await.unwrap().position;
        chronicle.append(Append::of(entries)).await.unwrap();
        let origin = chronicle.origin().await.unwrap().unwrap();
        let read = chronicle.read(before, ReadLimit::entries(usize::MAX)).await.unwrap();
        let batch = |entry| Batch::decode(origin.clone(), vec![entry]).unwrap();
        read.into_iter().map(batch).collect()
    }

    /// How many pieces each connection sends while the batches are applied; none of those that send
    /// nothing.
    async fn pieces_of(&self, projector: &PostgresProjector, batches: Vec<Batch>) -> Vec<usize> {
        let before = self.proxy.pieces();
        for batch in batches {
            projector.apply(batch).await.unwrap();
        }
        let after = self.proxy.pieces();
        let earlier = before.into_iter().chain(std::iter::repeat(0));
        after.into_iter().zip(earlier).map(|(after, before)| after - before).collect()
    }
}

/// Observations of one target, later and later, of another CID each time.
fn observations(of: &DeploymentObserved, count: usize) -> Vec<NewEntry> {
    let observe = |nth: usize| {
        let micros = of.observed_at.as_micros() + i64::try_from(nth).unwrap() + 1;
        let observed_at = guildhall_core::Timestamp::from_micros(micros).unwrap();
        NewEntry::new(&Event::from(DeploymentObserved { observed_at, ..of.clone() }))
    };
    (0..count).map(observe).collect()
}

fn last_observation(entries: &[NewEntry]) -> DeploymentObserved {
    let observed = |entry: &NewEntry| match guildhall_core::event::decode(
        &entry.event_type,
        entry.stream_id,
        entry.payload.as_str(),
    ) {
        Ok(guildhall_core::event::Decoded::Event(Event::DeploymentObserved(it))) => Some(it),
        _ => None,
    };
    entries.iter().rev().find_map(observed).unwrap()
}

#[tokio::test]
async fn a_small_batch_is_one_round_trip() {
    const BATCHES: usize = 12;
    let stores = Stores::new().await;
    let projector = stores.projector();
    let log: Vec<_> = Workload::new(3, Mix::CUSTODY).take(400).collect();
    for batch in stores.append(log.iter().cloned()).await {
        projector.apply(batch).await.unwrap();
    }
    // The statement for this kind of row is prepared by now.
    let batches = stores.append(observations(&last_observation(&log), BATCHES)).await;
    let pieces = stores.pieces_of(&projector, batches).await;
    // A busy machine takes its time between two batches, and the connection is tried first then.
    let is_one = |pieces: &usize| (BATCHES..=2 * BATCHES).contains(pieces);
    assert!(pieces.iter().any(is_one), "one connection sent one piece a batch: {pieces:?}");
    // Aside, it is told that there are commits: a connection is tried, told and given back.
    assert!(pieces.iter().sum::<usize>() <= 5 * BATCHES, "{pieces:?}");
    assert_projected(stores.database.url(), &stores.log.chronicle()).await;
}

#[tokio::test]
async fn what_a_projector_left_is_not_taken_for_what_is_there() {
    let stores = Stores::new().await;
    // Whoever comes next takes the lease.
    let lapsing = || stores.store.projector().lease_time(Duration::ZERO).start().unwrap();
    let projectors = [lapsing(), lapsing()];
    let log: Vec<_> = Workload::new(4, Mix::DENSE).take(120).collect();
    for (nth, batch) in stores.append(log).await.into_iter().enumerate() {
        // Each knows the row as it left it, and the other moves it meanwhile.
        let applied = projectors[nth / 3 % 2].apply(batch).await.unwrap();
        assert_eq!(applied.position.get(), nth as u64 + 1);
    }
    assert_projected(stores.database.url(), &stores.log.chronicle()).await;
}

#[tokio::test]
async fn heads_of_an_earlier_generation_are_not_used() {
    let stores = Stores::new().await;
    let projector = stores.projector();
    let mut log = Workload::new(6, Mix::DENSE);
    for batch in stores.append(log.by_ref().take(60)).await {
        projector.apply(batch).await.unwrap();
    }
    let settings = guildhall_projector::Settings::default();
    let chronicle = Arc::new(stores.log.chronicle());
    guildhall_projector::rebuild(chronicle, &projector, &settings, |_| {}).await.unwrap();
    for batch in stores.append(log.take(60)).await {
        // With the lease, it learns of the new generation.
        assert_eq!(projector.hold_lease().await.unwrap(), Lease::Held);
        projector.apply(batch).await.unwrap();
    }
    assert_projected(stores.database.url(), &stores.log.chronicle()).await;
}

/// The transaction that wrote a projector's row last. Each transaction that writes anything has the
/// next number, in the whole cluster.
async fn last_writer(connection: &mut PgConnection) -> i64 {
    let last =
        "SELECT xmin::text::bigint FROM guildhall.projector_checkpoints WHERE projector = $1";
    sqlx::query_scalar(last).bind(OPS_DB).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn an_idle_projector_writes_its_lease_and_nothing_else() {
    /// How often the runtime renews a lease in a minute, at a third of its 15 s.
    const RENEWALS: i64 = 12;
    let stores = Stores::new().await;
    let projector = stores.projector();
    stores.append(Workload::new(5, Mix::CUSTODY).take(20)).await;
    assert_eq!(projector.hold_lease().await.unwrap(), Lease::Held);
    let mut connection = PgConnection::connect(stores.database.url()).await.unwrap();
    let before = last_writer(&mut connection).await;
    // What the runtime does meanwhile: it renews the lease, and looks.
    let chronicle = stores.log.chronicle();
    for _ in 0..RENEWALS {
        assert_eq!(projector.hold_lease().await.unwrap(), Lease::Held);
        projector.checkpoint().await.unwrap();
        let head = chronicle.head().await.unwrap().position;
        chronicle.read_decoded(Position::ZERO, ReadLimit::entries(10)).await.unwrap();
        chronicle.wait_beyond(head, Duration::ZERO).await.unwrap();
    }
    assert_eq!(last_writer(&mut connection).await - before, RENEWALS);
    connection.close().await.unwrap();
}
