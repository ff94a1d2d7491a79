//! Each library appends events of its own.

use guildhall_workload::{Mix, Workload};

use crate::cluster::Database;
use crate::cqrs::PostgresEs;
use crate::decisions::DisintegratePostgres;
use crate::guildhall::Guildhall;
use crate::library::{Library, Name};
use crate::rounds::Turn;
use crate::tasks::{Appender, Appending, TURN, append};

/// How many events a turn has at most, so that they can be made before its time begins.
const EVENTS: usize = 100_000;

/// Takes one turn in a database of its own, on the server at this URL.
pub(crate) async fn turn(
    Appending { way, tasks }: Appending<Name>,
    admin_url: &str,
) -> anyhow::Result<Turn> {
    match way {
        Name::Guildhall => turn_of::<Guildhall>(tasks, admin_url).await,
        Name::DisintegratePostgres => turn_of::<DisintegratePostgres>(tasks, admin_url).await,
        Name::PostgresEs => turn_of::<PostgresEs>(tasks, admin_url).await,
    }
}

async fn turn_of<L: Library>(tasks: usize, admin_url: &str) -> anyhow::Result<Turn> {
    let database = Database::create_on(admin_url);
    L::create(database.url()).await?;
    let library = L::open(database.url(), u32::try_from(tasks)?).await?;
    let mut appenders = Vec::new();
    for seed in 0..tasks {
        // None of their streams meet.
        let log = Workload::new(u64::try_from(seed)?, Mix::CUSTODY).take(EVENTS / tasks);
        let log = log.map(L::event).collect::<Result<Vec<_>, _>>()?;
        appenders.push((Mine(library.clone()), log.into_iter()));
    }
    append(appenders, TURN).await
}

struct Mine<L>(L);

impl<L: Library> Appender for Mine<L> {
    type Event = L::Event;

    async fn append(&mut self, event: L::Event) -> anyhow::Result<()> {
        self.0.append(event).await
    }
}
