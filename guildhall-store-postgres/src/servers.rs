//! Several servers, of which one is connected to: the one that is wanted, and after a failover
//! another.
//!
//! A pool connects to one server. Where that one is gone, or no longer what is wanted, every server
//! of the list is asked for its role, and the pool connects to the one that has it from then on.

use std::cmp::Reverse;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use guildhall_core::Fault;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, PgPool, Postgres, Row as _};
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout, timeout_at};

use crate::error::fault;
use crate::hosts::Target;

/// How long a server may take to connect and to say what it is.
const ANSWER_TIME: Duration = Duration::from_secs(3);

/// How long others may take once one that is wanted has answered: there may be a better one.
const OTHERS_TIME: Duration = Duration::from_millis(200);

/// How long a connection is waited for before the other servers are asked.
const GRACE: Duration = Duration::from_millis(200);

/// How long it is between two rounds at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a server says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Role {
    /// Whether transactions may not write unless they say otherwise; on a standby none may.
    is_read_only: bool,
    /// How often its line of servers was branched off by a promotion; none on a standby.
    timeline: Option<u32>,
}

impl Role {
    async fn load(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let row = sqlx::raw_sql(include_str!("sql/role.sql")).fetch_one(connection).await?;
        let timeline: Option<String> = row.try_get(1)?;
        Ok(Self {
            is_read_only: row.try_get(0)?,
            // What is not a number is a server's that counts otherwise: a primary all the same.
            timeline: timeline.map(|digits| u32::from_str_radix(&digits, 16).unwrap_or(0)),
        })
    }

    fn is_standby(self) -> bool {
        self.timeline.is_none()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            role if role.is_standby() => "is a standby",
            Self { is_read_only: true, .. } => "lets nobody write",
            _ => "is a primary",
        })
    }
}

impl Target {
    fn accepts(self, role: Role) -> bool {
        match self {
            Self::Any | Self::PreferStandby => true,
            Self::ReadWrite => !role.is_read_only,
            Self::ReadOnly => role.is_read_only,
            Self::Primary => !role.is_standby(),
            Self::Standby => role.is_standby(),
        }
    }

    /// Whether there is one at most, unless one that was deposed does not know it.
    fn is_only_one(self) -> bool {
        matches!(self, Self::ReadWrite | Self::Primary)
    }

    /// The best of the servers that answered. Of two that would both be written to, one was deposed and
    /// does not know it: every promotion begins a timeline, so it is not the one with the later.
    fn choose(self, roles: &[Option<Role>]) -> Option<usize> {
        let known = roles.iter().enumerate().filter_map(|(nth, role)| role.map(|role| (nth, role)));
        let accepted = known.filter(|(_, role)| self.accepts(*role));
        let best = accepted.max_by_key(|(nth, role)| {
            let timeline = role.timeline.filter(|_| self.is_only_one());
            let is_preferred = self == Self::PreferStandby && role.is_standby();
            (is_preferred, timeline, Reverse(*nth))
        });
        best.map(|(nth, _)| nth)
    }
}

/// The servers of a store, and which of them its pool connects to.
#[derive(Debug)]
pub(crate) struct Servers {
    list: Vec<PgConnectOptions>,
    target: Target,
    place: watch::Sender<Place>,
    /// One asks, and who waited meanwhile shares what was found.
    asking: Mutex<Option<Asked>>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    nth: usize,
    /// How often it was another one.
    moves: u64,
    since: Instant,
}

#[derive(Debug)]
struct Asked {
    began: Instant,
    found: Option<Missing>,
}

/// None of the servers is what is wanted.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no server is {wanted}: {}", .found.join(", "))]
struct Missing {
    wanted: &'static str,
    found: Vec<String>,
}

impl From<Missing> for sqlx::Error {
    fn from(missing: Missing) -> Self {
        Self::Io(io::Error::new(io::ErrorKind::NotConnected, missing))
    }
}

/// The server is not, or no longer, what is wanted.
#[derive(Debug, thiserror::Error)]
#[error("the server {0}")]
struct Unwanted(Role);

impl Servers {
    /// The servers in the order of preference; a pool is to begin with the first.
    pub(crate) fn new(list: Vec<PgConnectOptions>, target: Target) -> Self {
        let place = Place { nth: 0, moves: 0, since: Instant::now() };
        Self { list, target, place: watch::Sender::new(place), asking: Mutex::default() }
    }

    /// A connection of the pool, to the server that is wanted. Those of a server that is gone are not
    /// waited for longer than it takes to find the next.
    pub(crate) async fn acquire(
        &self,
        pool: &PgPool,
    ) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let mut missing = None;
        let acquiring = async {
            loop {
                let moves = self.moves();
                let refused = tokio::select! {
                    biased;
                    outcome = pool.acquire() => match outcome {
                        Err(error) if !matches!(error, sqlx::Error::PoolClosed) => error,
                        outcome => return outcome,
                    },
                    () = self.find_another(pool, moves, &mut missing) => continue,
                };
                self.seek(pool).await?;
                if self.moves() == moves {
                    return Err(refused);
                }
            }
        };
        let acquired = timeout(pool.options().get_acquire_timeout(), acquiring).await;
        acquired.unwrap_or_else(|_| Err(missing.map_or(sqlx::Error::PoolTimedOut, Into::into)))
    }

    /// Has the pool connect to the server that is wanted.
    ///
    /// # Errors
    /// There is none, and what each is instead.
    pub(crate) async fn seek(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let came = Instant::now();
        let mut last = self.asking.lock().await;
        if let Some(Asked { began, found }) = &*last
            && *began >= came
        {
            return found.clone().map_or(Ok(()), |missing| Err(missing.into()));
        }
        let began = Instant::now();
        let found = self.ask_all().await?;
        let outcome = found.as_ref().map(|nth| self.move_to(*nth, pool)).map_err(Clone::clone);
        *last = Some(Asked { began, found: found.err() });
        Ok(outcome?)
    }

    /// Returns once the pool connects to another server than after so many moves.
    async fn find_another(&self, pool: &PgPool, moves: u64, missing: &mut Option<Missing>) {
        let mut pause = GRACE;
        loop {
            sleep(pause).await;
            let outcome = self.seek(pool).await;
            if self.moves() != moves {
                return;
            }
            *missing = outcome.err().and_then(|error| match error {
                sqlx::Error::Io(error) => error.downcast().ok(),
                _ => None,
            });
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks every server what it is, and returns the best.
    async fn ask_all(&self) -> Result<Result<usize, Missing>, sqlx::Error> {
        let mut roles = vec![None; self.list.len()];
        let mut said = vec!["does not answer".to_owned(); self.list.len()];
        let mut permanent = Vec::new();
        let asking =
            self.list.iter().enumerate().map(async |(nth, server)| (nth, ask(server).await));
        let mut answers: FuturesUnordered<_> = asking.collect();
        let mut deadline = tokio::time::Instant::now() + ANSWER_TIME;
        while let Ok(Some((nth, answer))) = timeout_at(deadline, answers.next()).await {
            match answer {
                Ok(role) => {
                    (roles[nth], said[nth]) = (Some(role), role.to_string());
                    if self.target.accepts(role) {
                        deadline = deadline.min(tokio::time::Instant::now() + OTHERS_TIME);
                    }
                }
                Err(error) => {
                    said[nth] = error.to_string();
                    permanent.extend((fault(&error) == Fault::Permanent).then_some(error));
                }
            }
        }
        if let Some(best) = self.target.choose(&roles) {
            return Ok(Ok(best));
        }
        // One that refuses while others are away may be set up otherwise; all of them will again.
        if permanent.len() == self.list.len() {
            return Err(permanent.swap_remove(0));
        }
        let names = self.list.iter().map(name);
        let found = names.zip(said).map(|(name, said)| format!("{name} {said}")).collect();
        Ok(Err(Missing { wanted: self.target.name(), found }))
    }

    fn move_to(&self, nth: usize, pool: &PgPool) {
        let before = self.place.borrow().nth;
        if before == nth {
            return;
        }
        let (from, to) = (name(&self.list[before]), name(&self.list[nth]));
        tracing::info!(%from, %to, "another server is connected to");
        pool.set_connect_options(self.list[nth].clone());
        self.place.send_modify(|place| {
            *place = Place { nth, moves: place.moves + 1, since: Instant::now() };
        });
    }

    fn moves(&self) -> u64 {
        self.place.borrow().moves
    }

    /// Returns once the pool connects to another server than now.
    pub(crate) async fn moved(&self) {
        let mut place = self.place.subscribe();
        let moves = place.borrow_and_update().moves;
        // The sender is in here.
        drop(place.wait_for(|place| place.moves != moves).await);
    }

    /// Returns once connections to the server that is now connected to are of no use: there is only one
    /// that is wanted, and it is another.
    pub(crate) async fn deposed(&self) {
        if self.target.is_only_one() { self.moved().await } else { std::future::pending().await }
    }

    /// Refuses a new connection to a server that is not what is wanted.
    pub(crate) async fn check_new(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let role = Role::load(connection).await?;
        if self.target.accepts(role) {
            Ok(())
        } else {
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::NotConnected, Unwanted(role))))
        }
    }

    /// Whether a connection that was of use so long ago still is: to the server that is connected to now,
    /// alive, and no standby where one is wanted that writes.
    pub(crate) async fn is_of_use(&self, connection: &mut PgConnection, ago: Duration) -> bool {
        let place = *self.place.borrow();
        if place.moves > 0 && place.since.elapsed() <= ago {
            return false;
        }
        match timeout(ANSWER_TIME, Role::load(connection)).await {
            Ok(Ok(role)) => !(self.target.is_only_one() && role.is_standby()),
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

/// What a server is, asked over a connection of its own.
async fn ask(server: &PgConnectOptions) -> Result<Role, sqlx::Error> {
    let asking = async {
        let mut connection = server.connect().await?;
        let role = Role::load(&mut connection).await?;
        drop(connection.close().await);
        Ok(role)
    };
    let silent = |_| sqlx::Error::from(io::Error::from(io::ErrorKind::TimedOut));
    timeout(ANSWER_TIME, asking).await.map_err(silent)?
}

/// Where a server is, as people write it.
fn name(server: &PgConnectOptions) -> String {
    match server.get_socket() {
        Some(folder) => format!("{}:{}", folder.display(), server.get_port()),
        None => format!("{}:{}", server.get_host(), server.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDBY: Option<Role> = Some(Role { is_read_only: true, timeline: None });
    const AWAY: Option<Role> = None;

    const fn primary(timeline: u32) -> Option<Role> {
        Some(Role { is_read_only: false, timeline: Some(timeline) })
    }

    const fn closed(timeline: u32) -> Option<Role> {
        Some(Role { is_read_only: true, timeline: Some(timeline) })
    }

    #[test]
    fn the_first_that_is_wanted_is_chosen() {
        let roles = [AWAY, STANDBY, closed(2), primary(2), STANDBY];
        for (target, nth) in [
            (Target::Any, Some(1)),
            (Target::ReadWrite, Some(3)),
            (Target::ReadOnly, Some(1)),
            (Target::Primary, Some(2)),
            (Target::Standby, Some(1)),
            (Target::PreferStandby, Some(1)),
        ] {
            assert_eq!(target.choose(&roles), nth, "{target:?}");
        }
        let roles = [AWAY, primary(1)];
        for (target, nth) in [
            (Target::Any, Some(1)),
            (Target::ReadOnly, None),
            (Target::Standby, None),
            (Target::PreferStandby, Some(1)),
        ] {
            assert_eq!(target.choose(&roles), nth, "{target:?}");
        }
        assert_eq!(Target::Any.choose(&[AWAY, AWAY]), None);
    }

    #[test]
    fn one_that_was_deposed_and_does_not_know_it_is_not_written_to() {
        for target in [Target::ReadWrite, Target::Primary] {
            assert_eq!(target.choose(&[primary(1), STANDBY, primary(2)]), Some(2));
            assert_eq!(target.choose(&[primary(11), primary(2)]), Some(0));
        }
        assert_eq!(Target::Any.choose(&[primary(1), primary(2)]), Some(0));
    }
}
