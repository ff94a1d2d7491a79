//! The lease: of several projectors of one name, one writes (DESIGN section 7).

use std::time::Duration;

use guildhall_core::{ApplyError, Lease, OPS_DB, Position, Rebuild};

use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;
use crate::tables::Compare as _;
use crate::workload::{Mix, Workload};

super::scenarios! { $ __lease = lease:
    a_second_projector_stands_by,
    a_released_lease_is_free_at_once,
    who_holds_the_lease_can_be_looked_up,
    a_lapsed_lease_is_taken_over_and_the_deposed_one_cannot_write,
    rivals_take_turns_without_loss,
}

fn log() -> Log {
    Log::of(Workload::new(51, Mix::DENSE).take(200))
}

/// Takes the lease as soon as it lapses.
async fn take_over(projector: &dyn Rebuild) {
    let taken = async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while projector.hold_lease().await.unwrap() != Lease::Held {
            look.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), taken).await.expect("the lease lapses");
}

pub async fn a_second_projector_stands_by<H: Harness>(harness: H) {
    let log = log();
    let first = harness.projector(ProjectorSettings::default()).await;
    let second = harness.projector(ProjectorSettings::default()).await;
    assert_eq!(first.lease_time(), ProjectorSettings::default().lease_time);
    // Applying takes the lease; so does asking for it; holding it, it is renewed.
    first.apply(log.batch(Position::ZERO, 10)).await.unwrap();
    assert_eq!(first.hold_lease().await.unwrap(), Lease::Held);
    let before = harness.tables().await;
    let Lease::Standby { holder, .. } = second.hold_lease().await.unwrap() else {
        panic!("both hold the lease");
    };
    for after in [0, 10] {
        match second.apply(log.batch(Position::new(after), 20)).await {
            Err(ApplyError::Standby { projector, holder: found, .. }) => {
                assert_eq!((projector.as_str(), found), (OPS_DB, holder));
            }
            other => panic!("{other:?}"),
        }
    }
    harness.tables().await.assert_are(&before);
    // It may look, and giving up what it has not changes nothing.
    assert_eq!(second.checkpoint().await.unwrap().position, Position::new(10));
    second.release_lease().await.unwrap();
    assert!(matches!(second.hold_lease().await.unwrap(), Lease::Standby { .. }));
    first.apply(log.rest(Position::new(10))).await.unwrap();
}

pub async fn a_released_lease_is_free_at_once<H: Harness>(harness: H) {
    let log = log();
    let first = harness.projector(ProjectorSettings::default()).await;
    let second = harness.projector(ProjectorSettings::default()).await;
    first.apply(log.batch(Position::ZERO, 10)).await.unwrap();
    first.release_lease().await.unwrap();
    assert_eq!(second.hold_lease().await.unwrap(), Lease::Held);
    assert!(matches!(first.hold_lease().await.unwrap(), Lease::Standby { .. }));
    second.apply(log.batch(Position::new(10), 10)).await.unwrap();
    second.release_lease().await.unwrap();
    // The first one's memory of the tables is out of date by now.
    first.apply(log.rest(Position::new(15))).await.unwrap();
    let expected = crate::reference::Reference::tables_of(log.origin(), log.entries());
    harness.tables().await.assert_are(&expected);
}

pub async fn who_holds_the_lease_can_be_looked_up<H: Harness>(harness: H) {
    let log = log();
    let ops_db = harness.ops_db();
    let first = harness.projector(ProjectorSettings::default()).await;
    let second = harness.projector(ProjectorSettings::default()).await;
    first.apply(log.batch(Position::ZERO, 10)).await.unwrap();
    let Lease::Standby { holder, until } = second.hold_lease().await.unwrap() else {
        panic!("both hold the lease");
    };
    let listed = ops_db.checkpoints().await.unwrap();
    let [row] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(row.projector, OPS_DB);
    assert_eq!(row.checkpoint, ops_db.checkpoint(OPS_DB).await.unwrap().unwrap());
    let lease = row.lease.expect("it is held");
    assert_eq!((lease.holder, lease.until), (holder, until));
    assert!(row.updated_at.is_some_and(|at| at <= until));
    first.release_lease().await.unwrap();
    assert_eq!(ops_db.checkpoints().await.unwrap()[0].lease, None);
}

pub async fn a_lapsed_lease_is_taken_over_and_the_deposed_one_cannot_write<H: Harness>(harness: H) {
    let log = log();
    let short =
        ProjectorSettings { lease_time: Duration::from_millis(50), ..ProjectorSettings::default() };
    let frozen = harness.projector(short).await;
    let standby = harness.projector(ProjectorSettings::default()).await;
    frozen.apply(log.batch(Position::ZERO, 10)).await.unwrap();
    take_over(&*standby).await;
    let before = harness.tables().await;
    // It thaws and goes on where it was.
    let refused = frozen.apply(log.rest(Position::new(10))).await;
    assert!(matches!(refused, Err(ApplyError::Standby { .. })), "{refused:?}");
    assert!(matches!(frozen.hold_lease().await.unwrap(), Lease::Standby { .. }));
    // What it gives up is not its own.
    frozen.release_lease().await.unwrap();
    assert!(matches!(frozen.hold_lease().await.unwrap(), Lease::Standby { .. }));
    harness.tables().await.assert_are(&before);
    standby.apply(log.rest(Position::new(10))).await.unwrap();
}

pub async fn rivals_take_turns_without_loss<H: Harness>(harness: H) {
    let log = log();
    let rivals = [
        harness.projector(ProjectorSettings::without_lease()).await,
        harness.projector(ProjectorSettings::without_lease()).await,
    ];
    let mut tasks = Vec::new();
    for rival in rivals {
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                let at = rival.checkpoint().await.unwrap().position;
                if at == log.head() {
                    return;
                }
                // Whoever comes second finds the batch applied.
                rival.apply(log.batch(at, 3)).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let expected = crate::reference::Reference::tables_of(log.origin(), log.entries());
    harness.tables().await.assert_are(&expected);
}
