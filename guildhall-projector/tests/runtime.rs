//! The runtime over stores in memory that fail when told to.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod support;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use guildhall_conformance::faults::{Faulty, Mishap};
use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
use guildhall_core::{
    Append, Applied, ApplyError, ArtifactId, Batch, Checkpoint, Chronicle, Cid, Code,
    ContinuityError, DeploymentObserved, Difference, DifferenceKind, Json, Lease, NewEntry, OPS_DB,
    OnViolation, OpsDb, Position, Projector, ReadLimit, StoreError, Timestamp,
};
use guildhall_projector::{Runtime, RuntimeError, Settings, State, catch_up, rebuild, telemetry};
use metrics_util::debugging::DebuggingRecorder;
use support::{append, settings, stores};
use tokio::time::timeout;

/// How long anything here may take.
const SOON: Duration = Duration::from_secs(20);

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it hangs")
}

/// What one batch makes of the whole Chronicle.
async fn applied_at_once(chronicle: &MemoryChronicle) -> MemoryOpsDb {
    let ops_db = MemoryOpsDb::new();
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(usize::MAX)).await.unwrap();
    let origin = chronicle.origin().await.unwrap().unwrap();
    ops_db.projector().apply(Batch::decode(origin, entries).unwrap()).await.unwrap();
    ops_db
}

#[tokio::test]
async fn it_catches_up_then_follows() {
    let (chronicle, ops_db) = stores(50).await;
    let runtime = Runtime::spawn(chronicle.clone(), Arc::new(ops_db.projector()), settings());
    within(runtime.wait_until(Position::new(50))).await.unwrap();
    append(&*chronicle, 5).await;
    within(runtime.wait_until(Position::new(55))).await.unwrap();
    assert_eq!(ops_db.overview().await.unwrap().accords, 55);
    let status = runtime.status();
    assert_eq!((status.state, status.lag(), status.entries), (State::Live, 0, 55));
    within(runtime.shutdown()).await.unwrap();
    assert_eq!(runtime.status().state, State::Stopped);
    assert!(!runtime.status().is_healthy());
}

/// A read model whose database goes back, as by a crash that takes its last commits.
struct GoesBack(Mutex<Arc<dyn Projector>>);

impl GoesBack {
    fn live(&self) -> Arc<dyn Projector> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

#[async_trait]
impl Projector for GoesBack {
    async fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.live().checkpoint().await
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, ApplyError> {
        self.live().apply(batch).await
    }

    async fn hold_lease(&self) -> Result<Lease, StoreError> {
        self.live().hold_lease().await
    }

    async fn release_lease(&self) -> Result<(), StoreError> {
        self.live().release_lease().await
    }

    fn lease_time(&self) -> Duration {
        self.live().lease_time()
    }
}

#[tokio::test]
async fn it_goes_on_from_the_checkpoint_of_a_database_that_went_back() {
    let (chronicle, ops_db) = stores(50).await;
    let projector = Arc::new(GoesBack(Mutex::new(Arc::new(ops_db.projector()))));
    let runtime = Runtime::spawn(chronicle.clone(), projector.clone(), settings());
    within(runtime.wait_until(Position::new(50))).await.unwrap();
    let before = MemoryOpsDb::new();
    *projector.0.lock().unwrap() = Arc::new(before.projector());
    append(&*chronicle, 5).await;
    within(runtime.wait_until(Position::new(55))).await.unwrap();
    assert_eq!(before.overview().await.unwrap().accords, 55);
    let status = runtime.status();
    assert_eq!((status.restarts, status.failure.is_none()), (1, true), "{status:?}");
    within(runtime.shutdown()).await.unwrap();
}

#[tokio::test]
async fn an_empty_chronicle_is_followed_from_its_first_entry() {
    let (chronicle, ops_db) = stores(0).await;
    let runtime = Runtime::spawn(chronicle.clone(), Arc::new(ops_db.projector()), settings());
    append(&*chronicle, 1).await;
    within(runtime.wait_until(Position::FIRST)).await.unwrap();
}

#[tokio::test]
async fn catching_up_ends_at_the_end_and_a_second_time_has_nothing_to_do() {
    let (chronicle, ops_db) = stores(20).await;
    for expected in [20, 0] {
        let projector = Arc::new(ops_db.projector());
        let (mut heard, settings) = (0, settings());
        let run = catch_up(chronicle.clone(), projector, &settings, |_| heard += 1);
        let status = within(run).await.unwrap();
        assert_eq!((status.position, status.entries), (Position::new(20), expected));
        assert!(heard > 0);
    }
}

#[tokio::test]
async fn what_passes_is_tried_again_and_nothing_is_lost_or_doubled() {
    let (chronicle, ops_db) = stores(60).await;
    let (none, transient, lost) = (Mishap::None, Mishap::Transient, Mishap::AnswerLost);
    let projector = Faulty::new(ops_db.projector(), [none, transient, lost, none, lost, transient]);
    let reading = Faulty::new((*chronicle).clone(), [none, none, transient, none, transient]);
    let status =
        within(catch_up(Arc::new(reading), Arc::new(projector), &settings(), |_| {})).await;
    let status = status.unwrap();
    assert!(status.restarts >= 4, "{status:?}");
    assert!(status.last_error.unwrap().message.contains("transient"));
    assert_eq!(ops_db.tables(), applied_at_once(&chronicle).await.tables());
}

#[tokio::test]
async fn what_does_not_pass_stops_it_with_the_cause() {
    let (chronicle, ops_db) = stores(30).await;
    let projector = Faulty::new(ops_db.projector(), [Mishap::None, Mishap::Permanent]);
    let runtime = Runtime::spawn(chronicle, Arc::new(projector), settings());
    let error = within(runtime.wait_until(Position::new(30))).await.unwrap_err();
    let RuntimeError::Stopped(cause) = error else { panic!("{error}") };
    assert!(matches!(*cause, RuntimeError::Apply(ApplyError::Store(_))), "{cause}");
    let status = runtime.status();
    assert_eq!((status.state, status.restarts), (State::Failed, 0));
    assert!(!status.is_healthy());
    assert!(status.last_error.unwrap().message.contains("it will not pass"));
    assert!(within(runtime.stopped()).await.is_err());
}

#[tokio::test]
async fn retries_end_where_they_are_limited() {
    let (chronicle, ops_db) = stores(30).await;
    let mishaps = [Mishap::None, Mishap::Transient, Mishap::Transient, Mishap::Transient];
    let projector = Faulty::new(ops_db.projector(), mishaps);
    let settings = settings().retries(2);
    let runtime = Runtime::spawn(chronicle, Arc::new(projector), settings);
    let error = within(runtime.stopped()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Stopped(_)), "{error}");
    assert_eq!(runtime.status().restarts, 2);
}

#[tokio::test]
async fn what_stands_before_an_entry_that_cannot_be_read_is_applied() {
    let (chronicle, ops_db) = stores(30).await;
    // The second read, which takes place beside the first, meets something broken for good.
    let reading = Faulty::new((*chronicle).clone(), [Mishap::None, Mishap::Permanent]);
    let runtime = Runtime::spawn(Arc::new(reading), Arc::new(ops_db.projector()), settings());
    within(runtime.wait_until(Position::FIRST)).await.unwrap();
    assert!(within(runtime.stopped()).await.is_err());
    // The first read is a short one.
    assert_eq!(ops_db.overview().await.unwrap().accords, 1);
}

#[tokio::test]
async fn halting_says_how_far_it_got() {
    let (chronicle, ops_db) = stores(12).await;
    let unknown = DeploymentObserved {
        artifact_id: ArtifactId::new(),
        desired_cid: Cid::of(&Json::null()),
        detail: Json::null(),
        observed_at: Timestamp::MIN,
        observed_cid: None,
        target: "nowhere".to_owned(),
    };
    chronicle.append(Append::of([NewEntry::new(&unknown.into())])).await.unwrap();
    let projector = ops_db.projector().with_on_violation(OnViolation::Halt);
    let runtime = Runtime::spawn(chronicle, Arc::new(projector), settings());
    within(runtime.wait_until(Position::new(12))).await.unwrap();
    let RuntimeError::Stopped(cause) = within(runtime.stopped()).await.unwrap_err() else {
        panic!("it stopped")
    };
    let RuntimeError::Apply(ApplyError::Halted { position, violation }) = &*cause else {
        panic!("{cause}")
    };
    assert_eq!((*position, violation.code()), (Position::new(13), Code::CC11));
    assert_eq!(runtime.status().position, Position::new(12));
}

#[tokio::test]
async fn a_panic_stops_it_and_nobody_waits_for_ever() {
    let (chronicle, ops_db) = stores(30).await;
    for is_reading in [false, true] {
        let reading = Faulty::new((*chronicle).clone(), is_reading.then_some(Mishap::Panic));
        let projector = Faulty::new(ops_db.projector(), (!is_reading).then_some(Mishap::Panic));
        let runtime = Runtime::spawn(Arc::new(reading), Arc::new(projector), settings());
        let error = within(runtime.wait_until(Position::new(30))).await.unwrap_err();
        let RuntimeError::Stopped(cause) = error else { panic!("{error}") };
        assert!(matches!(*cause, RuntimeError::Panicked(_)), "{cause}");
    }
}

#[tokio::test]
async fn a_restored_chronicle_is_refused() {
    let (chronicle, ops_db) = stores(30).await;
    let projector = || Arc::new(ops_db.projector());
    within(catch_up(chronicle.clone(), projector(), &settings(), |_| {})).await.unwrap();
    let origin = chronicle.origin().await.unwrap().unwrap();
    let before = ops_db.tables();
    for entries in [10, 30, 40] {
        // Of the same origin, and other entries: shorter, as long, longer.
        let restored = Arc::new(MemoryChronicle::new());
        restored.fix_origin(origin.clone()).await.unwrap();
        append(&*restored, entries).await;
        let error = within(catch_up(restored, projector(), &settings(), |_| {})).await.unwrap_err();
        let RuntimeError::Stopped(cause) = error else { panic!("{error}") };
        let RuntimeError::Apply(ApplyError::Continuity(found)) = &*cause else { panic!("{cause}") };
        match found {
            ContinuityError::EndsBefore { .. } => assert_eq!(entries, 10),
            ContinuityError::Rewritten { .. } => assert!(entries >= 30),
            other => panic!("{other}"),
        }
    }
    let (other, _) = stores(40).await;
    let error = within(catch_up(other, projector(), &settings(), |_| {})).await.unwrap_err();
    let RuntimeError::Stopped(cause) = error else { panic!("{error}") };
    assert!(matches!(
        &*cause,
        RuntimeError::Apply(ApplyError::Continuity(ContinuityError::OtherOrigin { .. }))
    ));
    assert_eq!(ops_db.tables(), before);
}

#[tokio::test]
async fn a_rebuild_follows_a_restored_chronicle_where_that_is_accepted() {
    let (chronicle, ops_db) = stores(30).await;
    let settings = settings().accept_rewritten(true);
    let projector = || Arc::new(ops_db.projector());
    within(catch_up(chronicle.clone(), projector(), &settings, |_| {})).await.unwrap();
    for entries in [10, 0] {
        let restored = Arc::new(MemoryChronicle::new());
        restored.fix_origin(chronicle.origin().await.unwrap().unwrap()).await.unwrap();
        append(&*restored, entries).await;
        let target = ops_db.projector();
        let before = ops_db.tables();
        let cautious = settings.clone().accept_rewritten(false);
        let refused = within(rebuild(restored.clone(), &target, &cautious, |_| {})).await;
        let Err(RuntimeError::Rewritten { differences, continuity }) = refused else {
            panic!("{refused:?}")
        };
        assert!(matches!(continuity, Some(ContinuityError::EndsBefore { .. })));
        let gone = Difference {
            table: "accord_bindings",
            kind: DifferenceKind::Gone,
            rows: before.accord_bindings.len() as u64,
            first: Position::FIRST,
        };
        assert!(differences.contains(&gone), "{differences:?}");
        assert_eq!(ops_db.tables(), before);
        let rebuilt = rebuild(restored.clone(), &target, &settings, |_| {});
        let position = within(rebuilt).await.unwrap().position;
        assert_eq!(position, Position::try_from(entries as u64).unwrap());
        append(&*restored, 3).await;
        within(catch_up(restored.clone(), projector(), &settings, |_| {})).await.unwrap();
        assert_eq!(ops_db.tables(), applied_at_once(&restored).await.tables());
    }
}

#[tokio::test]
async fn one_works_the_other_stands_by_and_takes_over() {
    let (chronicle, ops_db) = stores(10).await;
    let lease = Duration::from_millis(300);
    let projector = || Arc::new(ops_db.projector().with_lease_time(lease));
    let first = Runtime::spawn(chronicle.clone(), projector(), settings());
    within(first.wait_until(Position::new(10))).await.unwrap();
    let second = Runtime::spawn(chronicle.clone(), projector(), settings());
    let mut watched = second.watch_status();
    let is_standing_by = |status: &guildhall_projector::Status| {
        matches!(status.state, State::Standby { .. }) && status.is_healthy()
    };
    within(watched.wait_for(is_standing_by)).await.unwrap();
    // Longer than the lease: the first one renews it though nothing happens.
    let idle = timeout(lease * 4, watched.wait_for(|status| status.state == State::Live));
    assert!(idle.await.is_err());
    within(first.shutdown()).await.unwrap();
    append(&*chronicle, 1).await;
    within(second.wait_until(Position::new(11))).await.unwrap();
    assert_eq!(second.status().state, State::Live);
}

#[tokio::test]
async fn catching_up_while_another_holds_the_lease_waits_for_its_progress() {
    let (chronicle, ops_db) = stores(10).await;
    let projector = || Arc::new(ops_db.projector().with_lease_time(Duration::from_millis(600)));
    let working = Runtime::spawn(chronicle.clone(), projector(), settings());
    within(working.wait_until(Position::new(10))).await.unwrap();
    append(&*chronicle, 5).await;
    let status = within(catch_up(chronicle, projector(), &settings(), |_| {})).await.unwrap();
    assert_eq!((status.position, status.entries), (Position::new(15), 0));
    assert_eq!(working.status().state, State::Live);
}

#[tokio::test]
async fn shutting_down_and_dropping_the_last_handle_release_the_lease() {
    let (chronicle, ops_db) = stores(10).await;
    let projector = || ops_db.projector().with_lease_time(Duration::from_secs(3600));
    for is_dropped in [false, true] {
        let runtime = Runtime::spawn(chronicle.clone(), Arc::new(projector()), settings());
        within(runtime.wait_until(Position::new(10))).await.unwrap();
        let mut watched = runtime.watch_status();
        if is_dropped {
            drop(runtime);
        } else {
            within(runtime.shutdown()).await.unwrap();
        }
        within(watched.wait_for(|status| status.state == State::Stopped)).await.unwrap();
        let other = projector();
        assert_eq!(other.hold_lease().await.unwrap(), Lease::Held);
        other.release_lease().await.unwrap();
    }
}

#[tokio::test]
async fn waiting_for_what_never_comes_ends_with_the_shutdown() {
    let (chronicle, ops_db) = stores(1).await;
    let runtime = Runtime::spawn(chronicle, Arc::new(ops_db.projector()), settings());
    let waiting = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.wait_until(Position::new(1000)).await }
    });
    within(runtime.wait_until(Position::FIRST)).await.unwrap();
    within(runtime.shutdown()).await.unwrap();
    assert!(matches!(within(waiting).await.unwrap(), Err(RuntimeError::ShutDown)));
}

/// Holds up every batch for as long as it is told to.
struct Stuck {
    projector: guildhall_core::memory::MemoryProjector,
    go_on: tokio::sync::Semaphore,
}

#[async_trait::async_trait]
impl Projector for Stuck {
    async fn checkpoint(&self) -> Result<guildhall_core::Checkpoint, guildhall_core::StoreError> {
        self.projector.checkpoint().await
    }

    async fn apply(&self, batch: Batch) -> Result<guildhall_core::Applied, ApplyError> {
        self.go_on.acquire().await.unwrap().forget();
        self.projector.apply(batch).await
    }

    async fn hold_lease(&self) -> Result<Lease, guildhall_core::StoreError> {
        self.projector.hold_lease().await
    }

    async fn release_lease(&self) -> Result<(), guildhall_core::StoreError> {
        self.projector.release_lease().await
    }

    fn lease_time(&self) -> Duration {
        self.projector.lease_time()
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_writer_bounds_what_is_read_ahead() {
    let (chronicle, ops_db) = stores(1000).await;
    let reading = Arc::new(Faulty::new((*chronicle).clone(), []));
    let stuck =
        Arc::new(Stuck { projector: ops_db.projector(), go_on: tokio::sync::Semaphore::new(0) });
    let runtime = Runtime::spawn(reading.clone(), stuck.clone(), settings());
    // Time is paused: it moves on only once nothing else can.
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Eight reads at most are stuck, eight wait, one waits to wait, and two are under way.
    assert!(reading.calls.load(Ordering::Relaxed) <= 19);
    stuck.go_on.add_permits(1000);
    runtime.wait_until(Position::new(1000)).await.unwrap();
}

#[tokio::test]
async fn reads_that_are_cut_short_by_their_size_are_seldom_in_vain() {
    let (chronicle, ops_db) = stores(400).await;
    let settings = settings().read_entries(5_000).read_bytes(1_000);
    let limit = ReadLimit { entries: settings.read_entries, bytes: settings.read_bytes };
    let fit = chronicle.read(Position::ZERO, limit).await.unwrap().len();
    assert!((2..40).contains(&fit), "{fit} fit");
    let reading = Arc::new(Faulty::new((*chronicle).clone(), []));
    let projector = Arc::new(ops_db.projector());
    within(catch_up(reading.clone(), projector, &settings, |_| {})).await.unwrap();
    assert_eq!(ops_db.tables(), applied_at_once(&chronicle).await.tables());
    // One of those that fit is the last of the read before.
    let (needed, calls) = (400 / (fit - 1), reading.calls.load(Ordering::Relaxed));
    assert!(calls <= needed * 5 / 4, "{calls} reads where {needed} hold all");
}

#[tokio::test]
async fn a_rebuild_takes_the_live_ones_place_while_the_log_grows() {
    let (chronicle, ops_db) = stores(40).await;
    let runtime = Runtime::spawn(chronicle.clone(), Arc::new(ops_db.projector()), settings());
    let growing = tokio::spawn({
        let chronicle = chronicle.clone();
        async move { append(&*chronicle, 200).await }
    });
    let target = ops_db.projector();
    let status = within(rebuild(chronicle.clone(), &target, &settings(), |_| {})).await.unwrap();
    assert!(status.position >= Position::new(40));
    growing.await.unwrap();
    within(runtime.wait_until(Position::new(240))).await.unwrap();
    assert_eq!(ops_db.tables(), applied_at_once(&chronicle).await.tables());
    let checkpoint = ops_db.checkpoint(OPS_DB).await.unwrap().unwrap();
    assert_eq!(checkpoint.position, Position::new(240));
}

/// A reader that stays for long does not throw a whole rebuild away; one that stays for ever does,
/// and so does a generation that is lost, whose first failure is told.
#[tokio::test]
async fn a_swap_that_is_held_up_is_tried_again() {
    let (chronicle, ops_db) = stores(40).await;
    let settings = settings().backoff_first(Duration::from_millis(1));
    for (mishaps, succeeds) in [
        (vec![Mishap::Transient; 20], true),
        (vec![Mishap::Transient; 21], false),
        (vec![Mishap::Transient, Mishap::Permanent], false),
    ] {
        let target = Faulty::new(ops_db.projector(), mishaps);
        let rebuilt = within(rebuild(chronicle.clone(), &target, &settings, |_| {})).await;
        match rebuilt {
            Ok(status) => assert!(succeeds && status.position == Position::new(40)),
            Err(RuntimeError::Store(error)) => assert!(!succeeds && error.is_transient()),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn every_documented_metric_is_measured_and_no_other() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (chronicle, ops_db) = stores(20).await;
            let projector = Faulty::new(ops_db.projector(), [Mishap::Transient]);
            within(catch_up(chronicle, Arc::new(projector), &Settings::default(), |_| {}))
                .await
                .unwrap();
        });
    });
    let mut measured: Vec<String> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, ..)| key.key().name().to_owned())
        .collect();
    measured.sort();
    let mut documented = telemetry::NAMES.map(str::to_owned);
    documented.sort();
    assert_eq!(measured, documented);
    let table = include_str!("../src/telemetry.rs");
    for name in telemetry::NAMES {
        assert!(table.contains(&format!("//! | `{name}` |")), "{name}");
    }
}
