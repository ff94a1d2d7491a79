//! A primary and two standbys, and what a failover does to them.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use guildhall_store_postgres::sqlx::{self, AssertSqlSafe, Connection, PgConnection};
use tokio::time::timeout;

use crate::server::{Server, Settings, execute};

/// How long a step may take on a machine that is busy with other things.
pub(crate) const EVER: Duration = Duration::from_secs(300);

const DATABASE: &str = "guildhall_test";

/// Three servers, of which one is the primary.
#[derive(Debug)]
pub(crate) struct Cluster {
    servers: Vec<Server>,
    primary: usize,
    is_synchronous: bool,
}

impl Cluster {
    /// A primary, with a database, and two standbys. What commits is on one of them at least, where
    /// that is wanted.
    pub(crate) async fn start(is_synchronous: bool) -> Self {
        let primary = Server::start(Settings::for_standbys());
        execute(&primary.url("postgres"), &format!("CREATE DATABASE {DATABASE}"));
        let standbys = [primary.start_standby(), primary.start_standby()];
        if is_synchronous {
            // Each holds it for itself, and it matters on the one that is promoted.
            for server in standbys.iter().chain([&primary]) {
                server.set("synchronous_standby_names", "ANY 1 (*)");
            }
        }
        let [one, two] = standbys;
        let cluster = Self { servers: vec![primary, one, two], primary: 0, is_synchronous };
        cluster.is_whole().await;
        cluster
    }

    /// The server that is written to.
    pub(crate) fn primary(&self) -> &Server {
        &self.servers[self.primary]
    }

    /// One of the servers.
    pub(crate) fn server(&self, nth: usize) -> &Server {
        &self.servers[nth]
    }

    /// The others.
    pub(crate) fn standbys(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().enumerate().filter(|(nth, _)| *nth != self.primary).map(|(_, it)| it)
    }

    /// A URL of all of them, with more parameters.
    pub(crate) fn url(&self, more: &str) -> String {
        let servers: Vec<_> = self.servers.iter().collect();
        Server::url_of(&servers, DATABASE, more)
    }

    /// A URL of one of them.
    pub(crate) fn url_of(server: &Server) -> String {
        server.url(DATABASE)
    }

    /// Waits until both standbys receive what the primary writes.
    pub(crate) async fn is_whole(&self) {
        const STREAMING: &str =
            "SELECT count(*) = 2 FROM pg_stat_replication WHERE state = 'streaming'";
        holds(self.primary(), STREAMING).await;
    }

    /// Kills the primary, and promotes the standby that has received the most, as whatever keeps a
    /// cluster does. Returns the former primary, which stays down.
    pub(crate) async fn fail_over(&mut self) -> usize {
        let former = self.primary;
        self.primary().kill();
        let mut received = Vec::new();
        for (nth, server) in self.servers.iter().enumerate().filter(|(nth, _)| *nth != former) {
            holds(server, "SELECT count(*) = 0 FROM pg_stat_wal_receiver").await;
            const RECEIVED: &str = "SELECT pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), \
                pg_last_wal_replay_lsn()), '0/0')::int8";
            received.push((ask::<i64>(server, RECEIVED).await, nth));
        }
        received.sort_unstable();
        let (other, next) = (received[0].1, received[1].1);
        self.promote(next).await;
        self.servers[other].follow(&self.servers[next]);
        former
    }

    /// Promotes a standby.
    pub(crate) async fn promote(&mut self, nth: usize) {
        assert!(ask::<bool>(&self.servers[nth], "SELECT pg_promote(true, 300)").await);
        self.primary = nth;
        const SYNCHRONOUS: &str = "SELECT current_setting('synchronous_standby_names') <> ''";
        assert_eq!(ask::<bool>(self.primary(), SYNCHRONOUS).await, self.is_synchronous);
    }

    /// Makes a former primary a standby, at its old address.
    pub(crate) async fn take_back(&self, former: usize) {
        self.servers[former].start_over_as_standby_of(self.primary());
        self.is_whole().await;
    }
}

/// What a server returns.
pub(crate) async fn ask<T>(server: &Server, sql: &str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    let mut connection = PgConnection::connect(&Cluster::url_of(server)).await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
}

/// Waits until something is so on a server.
pub(crate) async fn holds(server: &Server, sql: &str) {
    let mut connection = PgConnection::connect(&Cluster::url_of(server)).await.unwrap();
    let look = async {
        loop {
            let sql = AssertSqlSafe(sql);
            if sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(EVER, look).await.unwrap_or_else(|_| panic!("never: {sql}"));
}
