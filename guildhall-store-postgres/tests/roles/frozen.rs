//! Projectors that are frozen are ended, by whoever may.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{Batch, Chronicle, Lease, Position, Projector, ReadLimit, Rebuild};
use guildhall_projector::{Settings as RuntimeSettings, rebuild};

use crate::projecting::{append_all, log, within};
use crate::proxy::Proxy;
use crate::server::execute;
use crate::{Guild, LEASE};

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
