//! Sinks: each notice is handed over until it is taken, whoever is slow, and none under a silence.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use guildhall_core::{Position, Timestamp};
use guildhall_projector::ceremony::{
    DeliveryId, Notice, NoticeSink, Silence, Silences, SinkError, SinkOptions, SinkTask, Topic,
};

use crate::support::settings;
use crate::{Guild, seen, until, within};

/// Takes each notice at the attempt that is due, and keeps what it was handed.
#[derive(Default)]
struct Kept {
    handed: Mutex<Vec<(String, u64)>>,
    /// How often a notice is not taken before it is.
    failures: usize,
    /// Which position is refused for good.
    refused: Option<u64>,
}

impl Kept {
    fn positions(&self) -> Vec<u64> {
        self.handed.lock().unwrap().iter().map(|(_, position)| *position).collect()
    }
}

#[async_trait]
impl NoticeSink for Kept {
    async fn deliver(&self, id: &DeliveryId, notice: &Notice) -> Result<(), SinkError> {
        let mut handed = self.handed.lock().unwrap();
        handed.push((id.to_string(), notice.position.get()));
        let times = handed.iter().filter(|(it, _)| *it == id.as_str()).count();
        if self.refused == Some(notice.position.get()) {
            return Err(SinkError::Refused("it is no use here".into()));
        }
        if times <= self.failures {
            return Err(SinkError::Transient("try again".into()));
        }
        Ok(())
    }
}

async fn settled(task: &SinkTask, position: Position) {
    let mut status = task.watch_status();
    within(status.wait_for(|status| status.position >= position)).await.unwrap();
}

#[tokio::test]
async fn a_notice_comes_again_under_its_id_until_it_is_taken() {
    let guild = Guild::in_memory();
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let orchestrator = guild.orchestrator().start();
    let sink = Arc::new(Kept { failures: 2, refused: Some(6), ..Kept::default() });
    let options = SinkOptions::default().settings(settings());
    let task = within(orchestrator.deliver_to(sink.clone(), options)).await.unwrap();
    for second in 1..=3 {
        guild.record(seen(id, second)).await;
    }
    settled(&task, Position::new(6)).await;
    assert_eq!(sink.positions(), [4, 4, 4, 5, 5, 5, 6]);
    let ids: BTreeSet<_> = sink.handed.lock().unwrap().iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(ids.len(), 3, "a notice keeps its id");
    let status = task.status();
    assert_eq!((status.taken, status.refused, status.silenced), (2, 1, 0));
    assert!(status.last_error.unwrap().message.contains("it is no use here"));
}

#[tokio::test]
async fn a_sink_that_is_slow_holds_nobody_up_and_gets_what_did_not_fit_its_queue() {
    let guild = Guild::in_memory();
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let orchestrator = guild.orchestrator().queued_notices(2).start();
    let sink = Arc::new(Kept { failures: 1, ..Kept::default() });
    let options = SinkOptions::default().settings(settings());
    let task = within(orchestrator.deliver_to(sink.clone(), options)).await.unwrap();
    let mut last = Position::ZERO;
    for second in 1..=40 {
        last = guild.record(seen(id, second)).await;
    }
    until(&orchestrator, |it| it.status().position >= last).await;
    settled(&task, last).await;
    let told: BTreeSet<_> = sink.positions().into_iter().collect();
    assert_eq!(told, (4..=last.get()).collect(), "none is lost");
}

#[tokio::test]
async fn a_sink_goes_on_where_it_was_and_silences_pass_over() {
    let guild = Guild::in_memory();
    let id = guild.draft().await;
    for second in 1..=3 {
        guild.record(seen(id, second)).await;
    }
    within(guild.runtime.wait_until(Position::new(6))).await.unwrap();
    let orchestrator = guild.orchestrator().start();
    let (sink, silences) = (Arc::new(Kept::default()), Silences::default());
    let options = SinkOptions::default()
        .after(Position::new(4))
        .topics([Topic::PostureOf(id)])
        .silences(silences.clone())
        .settings(settings());
    let task = within(orchestrator.deliver_to(sink.clone(), options)).await.unwrap();
    settled(&task, Position::new(6)).await;
    assert_eq!(sink.positions(), [5, 6]);
    silences.add(Silence::new(Topic::AllPostures, Timestamp::MAX, "a drill"));
    let silent = guild.record(seen(id, 4)).await;
    settled(&task, silent).await;
    silences.end(Topic::AllPostures);
    let told = guild.record(seen(id, 5)).await;
    settled(&task, told).await;
    assert_eq!(sink.positions(), [5, 6, told.get()]);
    assert_eq!((task.status().taken, task.status().silenced), (3, 1));
}
